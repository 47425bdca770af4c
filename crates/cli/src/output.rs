//! Writing results: to standard output, whole, and without complaint when the reader has gone.
//!
//! Text is made safe for a terminal here, once, so that no command can forget it; only what `rollcage run` passes
//! through goes out as it is.

use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;
use serde::Serialize;

use crate::failure::Failure;
use crate::visible_text::{visible, visible_json};

/// Writes `bytes` to standard output as they are.
///
/// A reader that has gone, as in `rollcage … | head -1`, has what it wanted; that is no failure.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    done(stdout.write_all(bytes).and_then(|()| stdout.flush()), "standard output")
}

/// Writes `bytes` to standard error as they are.
pub(crate) fn print_error_bytes(bytes: &[u8]) -> Result<(), Failure> {
    done(io::stderr().lock().write_all(bytes), "standard error")
}

/// Writes a result made of text for people. Whatever is quoted in it cannot act on their terminal.
pub(crate) fn print_text(text: &str) -> Result<(), Failure> {
    print_bytes(visible(text).as_bytes())
}

/// Writes a result as one line of JSON, which people look at on terminals too.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value)
        .context("cannot write the result as JSON")
        .map_err(Failure::infrastructure)?;
    print_bytes(format!("{}\n", visible_json(&line)).as_bytes())
}

/// Writes a line for the person at the terminal to standard error.
pub(crate) fn note(text: &str) {
    // A note that nobody can read is not worth failing for. One write, so that it does not mix with others'.
    let _closed = io::stderr().lock().write_all(format!("{}\n", visible(text)).as_bytes());
}

fn done(written: io::Result<()>, stream: &str) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::infrastructure(
            anyhow::Error::new(error).context(format!("cannot write to {stream}")),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}
