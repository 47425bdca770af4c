//! A language, parsed: what its file says, and the requests that follow from it.

use std::sync::Arc;

use rollcage_types::{Collect, ExecRequest, FileEntry, LimitOverrides, Limits, RelativePath};

use crate::command::Command;
use crate::error::LanguageError;
use crate::file;
use crate::prepare::Prepare;
use crate::proof::CompletionProof;
use crate::root::RootRecipe;
use crate::self_test::SelfTest;
use crate::session::{SessionKind, SessionRecipe};
use crate::test_code::TestCode;
use crate::warm::{ForkRecipe, Warm};

/// How programs of one language are compiled, run and tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Language {
    /// What it is called in requests, records and on the command line.
    pub name: String,
    /// Other names: fence tags of answers, file suffixes, habits.
    pub aliases: Vec<String>,
    /// What people call it.
    pub display: String,
    /// Advice for the policy, part of a task's prompt.
    pub prompt: String,
    /// Where the source text is written in the workspace.
    pub filename: RelativePath,
    /// What compiling leaves behind for the run. Empty where there is no compile step or the file does not
    /// say; then the whole workspace is carried over.
    pub artefacts: Vec<RelativePath>,
    /// Programs that must exist on the host, or in the language's own root.
    pub toolchain: Vec<String>,
    /// How a missing toolchain is installed.
    pub install: Option<Install>,
    /// The image an Agnostics verifier would be built on. Kept for export; cages do not use images.
    pub container: Option<Container>,
    /// The root file system of its own that its programs find; `None` for the host's toolchains.
    pub root: Option<RootRecipe>,
    /// Prints the toolchain's version.
    pub version: Option<Command>,
    /// Limits of a run where they differ from the defaults.
    pub limits: LimitOverrides,
    /// Limits of compiling where they differ from the defaults.
    pub compile_limits: LimitOverrides,
    /// Variables set for compiling and running, sorted by name.
    pub env_vars: Vec<(String, String)>,
    /// How a program shows that it ran to its end; `None` where nothing can be appended to a program.
    pub completion_proof: Option<CompletionProof>,
    /// How tests given as code are run, where that differs; see [`Language::for_test_code`].
    pub test_code: Option<TestCode>,
    /// How state is carried from turn to turn; `None` runs every cell alone.
    pub session: Option<SessionKind>,
    /// The recipe of a session of that kind.
    pub session_recipe: Option<SessionRecipe>,
    /// What is made once for all its compilers; `None` for nothing.
    pub prepare: Option<Prepare>,
    /// How an interpreter is kept ready; `None` starts one for each program.
    pub warm: Option<Warm>,
    /// The programs that show that the language works.
    pub tests: Vec<SelfTest>,
    pub(crate) compile: Option<Command>,
    pub(crate) execute: Command,
}

/// How a toolchain is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Install {
    /// A line for a root shell.
    Shell(String),
    /// Lines of a Dockerfile, which `languages install` can only show.
    ContainerInstructions(String),
}

/// The `container` section of an Agnostics file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The image to build on.
    pub base_image: Option<String>,
    /// Its family, such as `debian`.
    pub family: Option<String>,
}

impl Language {
    /// Reads a language file. `path` names it in messages, and its stem names the language unless the file does.
    pub fn parse(path: &str, text: &str) -> Result<Self, LanguageError> {
        file::parse(path, text)
    }

    /// The compiler's command line, with the workspace as current directory.
    pub fn compile_command(&self) -> Option<&Command> {
        self.compile.as_ref()
    }

    /// The program's command line, with the workspace as current directory.
    pub fn run_command(&self) -> &Command {
        &self.execute
    }

    /// How its interpreter is copied, if it is.
    pub const fn fork_recipe(&self) -> Option<&ForkRecipe> {
        match &self.warm {
            Some(Warm::Fork(recipe)) => Some(recipe),
            Some(Warm::Spare(_)) | None => None,
        }
    }

    /// Whether `word` is this language's name or one of its aliases, whatever its case.
    pub fn answers_to(&self, word: &str) -> bool {
        std::iter::once(&self.name).chain(&self.aliases).any(|known| known.eq_ignore_ascii_case(word))
    }

    /// Its name and its aliases: the tags that code blocks in it may have.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).map(String::as_str)
    }

    /// Whether a program is given the arguments after its command. A line that a shell runs keeps them to itself.
    pub fn takes_arguments(&self) -> bool {
        !matches!(self.execute.argv.as_slice(), [shell, flag, _] if shell == "/bin/sh" && flag == "-c")
    }

    /// The source text as the file that the commands expect.
    pub fn source_file(&self, source: impl Into<Arc<[u8]>>) -> FileEntry {
        FileEntry::new(self.filename.clone(), source)
    }

    /// The limits of a run: the defaults, the language's changes, then the caller's.
    pub fn run_limits(&self, overrides: &LimitOverrides) -> Limits {
        self.limits.overridden_by(overrides).apply(&Limits::default())
    }

    /// Compiles `files`, the source among them, and reads back what a run needs. `None` where nothing is compiled.
    pub fn compile_request(&self, files: Vec<FileEntry>) -> Option<ExecRequest> {
        let command = self.compile.as_ref()?;
        let collect = match self.artefacts.as_slice() {
            [] => Collect::Everything,
            artefacts => Collect::Files(artefacts.to_vec()),
        };
        let limits = self.compile_limits.apply(&Limits::default());
        Some(ExecRequest { limits, collect, ..self.request(command, files) })
    }

    /// Runs a program from `files`: the source where nothing is compiled, otherwise what compiling left behind.
    /// Input, output and the caller's limits are for the caller to set.
    pub fn run_request(&self, files: Vec<FileEntry>) -> ExecRequest {
        ExecRequest {
            limits: self.run_limits(&LimitOverrides::default()),
            ..self.request(&self.execute, files)
        }
    }

    fn request(&self, command: &Command, files: Vec<FileEntry>) -> ExecRequest {
        ExecRequest {
            env_vars: self.env_vars.clone(),
            files,
            ..ExecRequest::new(command.argv.iter().cloned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rollcage_types::ByteSize;

    use super::*;

    fn parse(text: &str) -> Language {
        Language::parse("lang.yaml", text).unwrap()
    }

    #[test]
    fn requests_follow_from_the_file() {
        let language = parse(
            "prompt: p\nfilename: a.x\ncompile: xc a.x\nexecute: ./a.out\nartefacts: [a.out]\n\
             limits: {memory: 1GiB}\ncompile_limits: {cpu_time: 30s}\nenv_vars: {A: b}\n",
        );
        let compile = language.compile_request(vec![language.source_file(*b"src")]).unwrap();
        assert_eq!(compile.argv, ["xc", "a.x"]);
        assert_eq!(compile.collect, Collect::Files(vec![RelativePath::new("a.out").unwrap()]));
        assert_eq!(compile.limits.wall_time, Duration::from_secs(60));
        assert_eq!(compile.limits.memory, Limits::default().memory);
        assert_eq!(compile.files[0].path.as_str(), "a.x");
        let run = language.run_request(Vec::new());
        assert_eq!(run.argv, ["./a.out"]);
        assert_eq!(run.limits.memory, ByteSize::gib(1));
        assert_eq!(run.env_vars, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(run.collect, Collect::Nothing);
    }

    #[test]
    fn unnamed_artefacts_carry_the_whole_workspace() {
        let language = parse("prompt: p\nfilename: a.x\ncompile: xc a.x\nexecute: ./a.out\n");
        assert_eq!(language.compile_request(Vec::new()).unwrap().collect, Collect::Everything);
        assert!(parse("prompt: p\nfilename: a.x\nexecute: x a.x\n").compile_request(Vec::new()).is_none());
    }
}
