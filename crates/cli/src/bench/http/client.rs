//! A client with one connection that it keeps: no more of HTTP/1.1 (RFC 9112) than our own server speaks.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use crate::failure::Failure;

/// A benchmark's request is answered in far less, or never.
const REPLY_TIME_MAX: Duration = Duration::from_secs(120);

/// A connection to the server.
pub(super) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let connect = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(REPLY_TIME_MAX))?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream = connect().context("cannot connect to the server").map_err(Failure::infrastructure)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends `body` and returns the body of the reply, whose status must be 200.
    pub(super) fn post(&mut self, path: &str, body: &[u8]) -> Result<String, Failure> {
        self.exchange(path, body).context("talking to the server").map_err(Failure::infrastructure)
    }

    fn exchange(&mut self, path: &str, body: &[u8]) -> anyhow::Result<String> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body].concat())?;
        self.buffer.clear();
        let mut chunk = [0; 16 * 1024];
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.read(&mut chunk)?;
        };
        let head = std::str::from_utf8(&self.buffer[..head_end])?.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("the reply has no length")?.trim().parse()?;
        while self.buffer.len() < head_end + length {
            self.read(&mut chunk)?;
        }
        let reply = String::from_utf8(self.buffer[head_end..head_end + length].to_vec())?;
        anyhow::ensure!(head.starts_with("http/1.1 200"), "the server answered `{reply}`");
        Ok(reply)
    }

    fn read(&mut self, chunk: &mut [u8]) -> anyhow::Result<()> {
        let count = self.stream.read(chunk)?;
        anyhow::ensure!(count > 0, "the server closed the connection");
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(())
    }
}
