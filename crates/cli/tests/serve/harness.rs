//! A server to talk to, and as much of HTTP/1.1 (RFC 9112) as talking to it takes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::Value;

/// Whatever takes longer will never happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program that ends only if it is ended.
pub(crate) const ENDLESS: &str =
    r#"{"language": "bash", "code": "exec sleep 600", "limits": {"wall_time": "300s"}}"#;

/// A server that ends with this value.
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    pub(crate) listening: String,
}

/// A reply, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// Whether cages can be made here; says what is missing if not.
pub(crate) fn can_serve() -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        eprintln!("skipped: needs root");
    }
    is_root
}

impl Server {
    /// Starts one on a free port of loopback.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", arguments)
    }

    /// Starts one at `address`.
    pub(crate) fn start_at(address: &str, arguments: &[&str]) -> Self {
        let mut child = command(address, arguments).spawn().unwrap();
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: `{line}`"));
        Self { child, stdin, listening: ready["listening"].as_str().unwrap().to_owned() }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Kills its launcher and every interpreter that it keeps.
    pub(crate) fn kill_children(&self) {
        let own = self.child.id();
        let children = fs::read_dir(format!("/proc/{own}/task")).unwrap().flat_map(|task| {
            // Threads come and go.
            let text = fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
            text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()
        });
        let mut killed = 0;
        for child in children.filter_map(rustix::process::Pid::from_raw) {
            // What has just ended by itself is not there.
            killed += usize::from(kill_process(child, Signal::KILL).is_ok());
        }
        assert_ne!(killed, 0, "the server has no child");
    }

    /// Ends its standard input.
    pub(crate) fn end_stdin(&mut self) {
        drop(self.stdin.take());
    }

    /// Waits for its end and returns its exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// A connection.
    pub(crate) fn connect(&self) -> TcpStream {
        let address: SocketAddr = self.listening.parse().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request and does not wait for the reply.
    pub(crate) fn send(&self, path: &str, body: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(post(path, &[], body.as_bytes()).as_slice()).unwrap();
        stream
    }

    /// Sends `body` as JSON.
    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        read_reply(self.send(path, body)).unwrap()
    }

    /// Sends `bytes`, whatever they are.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Option<Reply> {
        let mut stream = self.connect();
        // The server may have refused the head before it has all of the body.
        let _refused = stream.write_all(bytes);
        read_reply(stream)
    }

    /// Asks for `path`.
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").as_bytes())
            .unwrap()
    }

    /// A number of its health.
    pub(crate) fn health(&self, field: &str) -> u64 {
        self.get("/health").json()[field].as_u64().unwrap()
    }

    /// Waits until a number of its health is `expected`.
    pub(crate) fn wait_for(&self, field: &str, expected: u64) {
        wait_until(field, || self.health(field) == expected);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end_stdin();
        if self.child.try_wait().unwrap().is_none() {
            let _ended = self.child.wait();
        }
    }
}

impl Reply {
    /// The body, as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the error it must be.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }
}

/// The command, not yet started. Requests in work do not hold up its end.
pub(crate) fn command(address: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcage"));
    command.args(["serve", "--exit-with-stdin", "--listen", address]).args(arguments);
    if !arguments.contains(&"--drain-time") {
        command.args(["--drain-time", "100ms"]);
    }
    command.env_remove("ROLLCAGE_LANGUAGES").env_remove("ROLLCAGE_LOG").env_remove("ROLLCAGE_TOKEN");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The bytes of a request whose connection ends with it.
pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    let json = [("content-type", "application/json")];
    let headers = if headers.iter().any(|(name, _)| *name == "content-type") {
        headers.to_vec()
    } else {
        [&json, headers].concat()
    };
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// Reads a reply to the end of its connection; `None` if there is none.
pub(crate) fn read_reply(mut stream: impl Read) -> Option<Reply> {
    let mut bytes = Vec::new();
    // What came before a reset counts.
    let _reset = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let headers: BTreeMap<String, String> = lines.map(header).collect();
    let is_chunked = headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
    let body = if is_chunked { unchunked(body) } else { body.to_owned() };
    Some(Reply { status, headers, body })
}

fn unchunked(mut text: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&rest[..size]);
        text = rest.get(size + 2..).unwrap_or_default();
    }
    body
}

/// Looks again and again.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
