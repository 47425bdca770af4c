//! Compiling: the same source once, and what is known of what it became.
//!
//! Owns the step between a source and its runs, for the judge and for cells alike: a policy's last cell is often its
//! answer. Leaves what a failed compiler means to whoever asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rollcage_sandbox::{RootTree, SandboxError};
use rollcage_types::{ExecOutcome, ExecRequest, FileEntry, LimitKind, Termination};
use rollcage_warm::ToolchainFiles;

use super::cages::Cages;
use super::compile_cache::CompileKey;
use super::engine::Spent;

/// What shells answer for a command that is there and cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// A compiler that ended, and where the time of whoever asked went.
#[derive(Debug)]
pub struct Compilation {
    /// What came of it, now or earlier.
    pub outcome: Arc<ExecOutcome>,
    /// Where the time went.
    pub spent: Spent,
}

/// What compiling left for the runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Compiled {
    /// Executable bits included.
    pub(super) files: Vec<FileEntry>,
    /// Files there were, and that we did not take: the source made too many or too large ones.
    omitted: u64,
}

impl Cages {
    /// Compiles, unless the same request has been compiled, or is just being compiled, for somebody else. Waiting for
    /// that counts as waiting, since nothing is compiled for it.
    pub async fn compile(&self, request: ExecRequest) -> Result<Compilation, SandboxError> {
        let asked = Instant::now();
        let key = self.compile_key(&request);
        let mut compiled = None;
        let own = &mut compiled;
        let compile = || async move {
            if let Some(outcome) = self.find_on_disk(key).await {
                return Ok(outcome);
            }
            let ran = self.run_compiler(Arc::new(request)).await?;
            *own = Some(Spent { queue: ran.queue, compile: ran.run, ..Spent::default() });
            self.keep_on_disk(key, &ran.outcome);
            Ok(ran.outcome)
        };
        let outcome = self.started.compile_cache.outcome_of(key, compile).await?;
        let waited = || Spent { queue: asked.elapsed(), ..Spent::default() };
        Ok(Compilation { outcome, spent: compiled.unwrap_or_else(waited) })
    }

    /// What the outcome of compiling depends on.
    fn compile_key(&self, request: &ExecRequest) -> CompileKey {
        let (language, host) = (&self.language, self.started.host());
        let root = match host.tree() {
            RootTree::HostToolchains => Path::new("/"),
            RootTree::Directory(tree) => tree,
        };
        let circumstances = [
            ToolchainFiles::of(language, &host).look().as_bytes().as_slice(),
            root.as_os_str().as_encoded_bytes(),
            host.enforcement().level.as_str().as_bytes(),
            language.name.as_bytes(),
            // Errors are told a little otherwise with it.
            format!("{:?}", language.prepare.as_ref().filter(|_| host.prepared().is_some())).as_bytes(),
        ]
        .map(<[u8]>::to_vec);
        CompileKey::new(&circumstances.each_ref().map(Vec::as_slice), request)
    }

    async fn find_on_disk(&self, key: CompileKey) -> Option<ExecOutcome> {
        let disk = self.started.disk_cache.clone()?;
        let enforcement = Arc::clone(self.started.host().enforcement());
        // A runtime that is being shut down finds nothing.
        tokio::task::spawn_blocking(move || disk.find(&key, &enforcement)).await.ok().flatten()
    }

    /// Nobody waits for it.
    fn keep_on_disk(&self, key: CompileKey, outcome: &ExecOutcome) {
        if let Some(disk) = self.started.disk_cache.clone() {
            let outcome = outcome.clone();
            let _writing = tokio::task::spawn_blocking(move || disk.keep(&key, &outcome));
        }
    }

    /// Compiles what nobody else may have the outcome of.
    pub(super) async fn compile_alone(&self, request: ExecRequest) -> Result<Compilation, SandboxError> {
        let ran = self.run_compiler(Arc::new(request)).await?;
        let spent = Spent { queue: ran.queue, compile: ran.run, ..Spent::default() };
        Ok(Compilation { outcome: Arc::new(ran.outcome), spent })
    }
}

impl Compiled {
    /// What a compiler left behind.
    pub(super) fn of(outcome: &ExecOutcome) -> Self {
        Self { files: outcome.files.clone(), omitted: outcome.files_omitted }
    }

    /// How a run ended that could not be started, where only the source can be the reason.
    ///
    /// A program that is there and cannot be executed was made so by its source (a data segment larger than any
    /// memory, say), and so were files that fit no workspace. One that is not there, although the compiler reported
    /// success, is the language file's mistake.
    pub(super) fn unstarted(&self, error: &SandboxError) -> Option<Termination> {
        let has = |name: &str| self.files.iter().any(|file| file.path.as_str() == name);
        match error {
            SandboxError::Exec { program, .. } => {
                let is_made = self.omitted > 0 || has(program.strip_prefix("./").unwrap_or(program));
                is_made.then_some(Termination::Exited { code: NOT_EXECUTABLE })
            }
            SandboxError::FilesTooLarge { path } => {
                has(path.as_str()).then_some(Termination::LimitExceeded(LimitKind::DiskSpace))
            }
            SandboxError::Place { .. }
            | SandboxError::Request(_)
            | SandboxError::NoProgram
            | SandboxError::NoNetwork { .. }
            | SandboxError::Cage { .. }
            | SandboxError::System { .. }
            | SandboxError::NotReady { .. }
            | SandboxError::Unkillable { .. }
            | SandboxError::StubLost
            | SandboxError::Agent { .. }
            | SandboxError::HostExhausted { .. }
            | SandboxError::LauncherGone => None,
        }
    }
}
