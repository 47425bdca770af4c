//! What an image says of the processes it is made for, as plain data. Whether to heed it is the caller's business.

use crate::manifest::{DocumentError, Process};

/// How an image wants to be run. Nothing in it is trusted; texts are free of zero bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Names and values, in order; a later one replaces an earlier one of the same name.
    pub env_vars: Vec<(String, String)>,
    /// The directory to begin in; empty for the root directory.
    pub working_directory: String,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments behind the entrypoint's, or the program where there is none.
    pub command: Vec<String>,
    /// `user`, `uid`, `user:group` or `uid:gid`; empty for root.
    pub user: String,
}

impl ImageConfig {
    pub(crate) fn from_wire(process: Option<Process>) -> Result<Self, DocumentError> {
        let process = process.unwrap_or_default();
        let pair = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        let env_vars = texts(process.env.unwrap_or_default(), "a variable")?;
        Ok(Self {
            env_vars: env_vars.into_iter().map(pair).collect(),
            working_directory: text(process.working_dir.unwrap_or_default(), "a working directory")?,
            entrypoint: texts(process.entrypoint.unwrap_or_default(), "an entrypoint")?,
            command: texts(process.cmd.unwrap_or_default(), "a command")?,
            user: text(process.user.unwrap_or_default(), "a user")?,
        })
    }
}

fn text(text: String, what: &'static str) -> Result<String, DocumentError> {
    if text.contains('\0') { Err(DocumentError::Zero { what }) } else { Ok(text) }
}

fn texts(texts: Vec<String>, what: &'static str) -> Result<Vec<String>, DocumentError> {
    texts.into_iter().map(|each| text(each, what)).collect()
}
