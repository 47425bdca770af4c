//! A server of the binary's own, and requests to it that no client would send.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

/// A server, which ends with this.
pub(crate) struct Server {
    child: Child,
    /// Its end of file ends the server, also where a test dies.
    stdin: Option<ChildStdin>,
    address: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// Whether cages can be made and every one of `programs` is here; says what is missing if not.
pub(crate) fn can_run(programs: &[&str]) -> bool {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: needs root");
        return false;
    }
    let missing = programs.iter().find(|program| !is_here(program));
    if let Some(missing) = missing {
        eprintln!("skipped: needs {missing}");
    }
    missing.is_none()
}

/// Whether the host has the program.
pub(crate) fn is_here(program: &str) -> bool {
    ["/usr/local/bin", "/usr/bin"].iter().any(|directory| Path::new(directory).join(program).exists())
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rollcage"))
            .args(["serve", "--listen", "127.0.0.1:0", "--exit-with-stdin"])
            .args(arguments)
            .env_remove("ROLLCAGE_LANGUAGES")
            .env_remove("ROLLCAGE_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, stdin, address: ready["listening"].as_str().unwrap().to_owned() }
    }

    /// Where clients find it, with `user` in front of the address.
    pub(crate) fn url(&self, user: &str) -> String {
        format!("http://{user}{}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\n"), &[])
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_bytes(path, body.to_string().as_bytes())
    }

    pub(crate) fn post_bytes(&self, path: &str, body: &[u8]) -> Answer {
        let length = body.len();
        self.ask(
            &format!(
                "POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
            ),
            body,
        )
    }

    /// Sends a request whose answer nobody reads yet.
    pub(crate) fn send(&self, head: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("{head}Host: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        stream
    }

    /// How many requests to `route` it has answered with `status`.
    pub(crate) fn answered(&self, route: &str, status: u16) -> u64 {
        let metrics = self.get("/metrics").body;
        let name = format!("rollcage_http_requests_total{{route=\"{route}\",status=\"{status}\"}} ");
        let count = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&name));
        count.map_or(0, |count| count.parse().unwrap())
    }

    pub(crate) fn ask(&self, head: &str, body: &[u8]) -> Answer {
        let mut answer = Vec::new();
        self.send(head, body).read_to_end(&mut answer).unwrap();
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = serde_json::from_str(body).unwrap_or_else(|_not_json| Value::from(body));
        Answer { status, head: head.to_lowercase(), body }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // A test that has failed has said why.
        let _ended = self.child.wait();
    }
}
