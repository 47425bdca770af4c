//! `rollcage serve` as a process of its own, for as long as the benchmark lasts.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context as _;
use rollcage_sandbox::HostConfig;
use serde::Deserialize;
use tempfile::TempDir;

use crate::failure::Failure;

/// A server that ends with this value.
pub(super) struct Served {
    child: Child,
    /// Closed to end the server.
    stdin: Option<ChildStdin>,
    address: SocketAddr,
    _languages: TempDir,
}

#[derive(Deserialize)]
struct Ready {
    listening: String,
}

impl Served {
    /// Starts a server with a host like `host`, and a language `true` whose file is `recipe`.
    pub(super) fn start(host: &HostConfig, recipe: &str) -> Result<Self, Failure> {
        Self::try_start(host, recipe).context("cannot start a server").map_err(Failure::infrastructure)
    }

    fn try_start(host: &HostConfig, recipe: &str) -> anyhow::Result<Self> {
        let languages = tempfile::tempdir()?;
        std::fs::write(languages.path().join("true.yaml"), recipe)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--exit-with-stdin"])
            .args(["--isolation", host.isolation.as_str(), "--accounting", host.accounting.as_str()])
            .arg("--languages")
            .arg(languages.path())
            .env_remove("ROLLCAGE_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it has no standard output")?).read_line(&mut line)?;
        let ready = serde_json::from_str::<Ready>(&line).context("it did not say where it listens");
        let address = ready.and_then(|ready| Ok(ready.listening.parse()?));
        // Even a server that said something else ends with its value.
        let served = |address| Self { child, stdin, address, _languages: languages };
        Ok(served(address?))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It ends within its drain time; that it did is all we want to know.
        let _ended = self.child.wait();
    }
}
