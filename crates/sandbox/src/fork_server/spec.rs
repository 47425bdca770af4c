//! What interpreter becomes a fork server, and which requests its programs are like.

use std::time::Duration;

use rollcage_types::{ByteSize, ExecRequest, Limits, RelativePath};

/// The file whose opening is the fork point.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForkPoint {
    /// The program's own.
    Program,
    /// Another, by an absolute path, that the interpreter opens before the program's.
    Path(String),
}

/// The call at which the interpreter is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stop {
    /// The one that opens the file.
    #[default]
    Open,
    /// The first that reads from it.
    Read,
    /// For Ruby: the one after it has loaded what programs need. It has asked for the program's first byte by then, which
    /// every copy reads for itself.
    Loaded,
}

impl Stop {
    /// As the preloaded library is told; `None` goes without saying.
    pub(crate) fn setting(self) -> Option<String> {
        match self {
            Self::Open => None,
            Self::Read => Some("read".to_owned()),
            Self::Loaded => Some("loaded".to_owned()),
        }
    }
}

/// How an interpreter is started to become a fork server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForkServerSpec {
    /// Its command line: that of the requests it will serve.
    pub argv: Vec<String>,
    /// Its variables: those of the requests.
    pub env_vars: Vec<(String, String)>,
    /// More variables, for the start alone: programs do not see them.
    pub start_vars: Vec<(String, String)>,
    /// Where programs' source texts lie in their workspaces.
    pub program: RelativePath,
    /// What is waited for.
    pub point: ForkPoint,
    /// Openings of the file that are let pass first: an interpreter may look at its program before it runs it.
    pub passes: u32,
    /// Where it is stopped.
    pub stop: Stop,
    /// Bytes of which a program holds some if what the interpreter sees at those first openings matters.
    pub not_with: Vec<Vec<u8>>,
    /// The executable that becomes the server, as an absolute path, where the command line starts another.
    pub executable: Option<String>,
    /// Python that is run before the first program; for Python only.
    pub preload: Option<String>,
    /// Limits of the requests; the server itself has their stack.
    pub limits: Limits,
    /// Memory of the server, with what the kernel holds for its programs' sake.
    pub memory: ByteSize,
    /// Time on the clock that it may take to come to its fork point.
    pub start_time: Duration,
    /// Whether its programs may be branched: [`crate::SessionCage::branch`].
    pub branches: bool,
}

/// Why a request cannot be served by a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mismatch {
    /// It has another command line.
    Arguments,
    /// It has other variables.
    Variables,
    /// Its stack is limited otherwise, which interpreters look at when they start.
    Stack,
    /// It does not bring the program's file.
    NoProgram,
    /// It is a program that the interpreter treats otherwise from the start.
    Content,
    /// Its workspace starts as a view of a directory.
    Base,
    /// It has other limits of those that hold from the start.
    Limits,
    /// It has a network.
    Network,
    /// It brings a file that the interpreter looks for before it opens its program.
    Beside,
}

impl Mismatch {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Arguments,
        Self::Variables,
        Self::Stack,
        Self::NoProgram,
        Self::Content,
        Self::Base,
        Self::Limits,
        Self::Network,
        Self::Beside,
    ];

    /// The name used in reports and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arguments => "other_arguments",
            Self::Variables => "other_variables",
            Self::Stack => "other_stack",
            Self::NoProgram => "no_program",
            Self::Content => "other_content",
            Self::Base => "workspace_view",
            Self::Limits => "other_limits",
            Self::Network => "network",
            Self::Beside => "other_files",
        }
    }
}

impl ForkServerSpec {
    /// Whether a run of `request` by a copy of this interpreter is the run that it asks for.
    pub fn accepts(&self, request: &ExecRequest) -> Result<(), Mismatch> {
        if request.argv != self.argv {
            return Err(Mismatch::Arguments);
        }
        if request.env_vars != self.env_vars {
            return Err(Mismatch::Variables);
        }
        if request.limits.stack != self.limits.stack {
            return Err(Mismatch::Stack);
        }
        let program = request.files.iter().find(|file| file.path == self.program);
        let content = &program.ok_or(Mismatch::NoProgram)?.content;
        let holds = |bytes: &Vec<u8>| content.windows(bytes.len().max(1)).any(|window| window == bytes);
        if self.not_with.iter().any(holds) {
            return Err(Mismatch::Content);
        }
        Ok(())
    }
}
