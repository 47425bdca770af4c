//! One program from its source to its end: compiled first where its language compiles, then run.
//!
//! Leaves what its end means to whoever asked; nothing is judged here.

use std::sync::Arc;

use rollcage_language::Language;
use rollcage_sandbox::SandboxError;
use rollcage_types::{
    CapturePlan, Captured, Collect, ExecOutcome, ExecRequest, FileEntry, LimitOverrides, NetworkLog,
    RelativePath, Usage,
};

use super::cages::Cages;
use super::compile::{Compilation, Compiled};
use super::engine::Spent;
use super::error_chain::error_chain;

/// A program to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it is written in.
    pub language: Arc<Language>,
    /// Its source.
    pub code: Arc<[u8]>,
    /// Its standard input.
    pub stdin: Arc<[u8]>,
    /// Arguments after its name.
    pub args: Vec<String>,
    /// Files beside it; its source wins over one of the same name.
    pub files: Vec<FileEntry>,
    /// Limits of the run that differ from the language's.
    pub limits: LimitOverrides,
    /// Limits of compiling that differ from the language's.
    pub compile_limits: LimitOverrides,
    /// How much output is kept.
    pub capture: CapturePlan,
    /// Files to read back.
    pub collect: Vec<RelativePath>,
}

/// How far a program got.
#[derive(Clone, Debug)]
pub enum Executed {
    /// The compiler failed, or was ended.
    CompileFailed(Arc<ExecOutcome>),
    /// It ran.
    Ran {
        /// Compiling it, in a language that does.
        compile: Option<Arc<ExecOutcome>>,
        /// The run.
        run: Box<ExecOutcome>,
    },
}

impl Program {
    /// A program and nothing else: no input, no arguments, no files, the language's limits.
    pub fn new(language: Arc<Language>, code: impl Into<Arc<[u8]>>) -> Self {
        Self {
            language,
            code: code.into(),
            stdin: Arc::from([].as_slice()),
            args: Vec::new(),
            files: Vec::new(),
            limits: LimitOverrides::default(),
            compile_limits: LimitOverrides::default(),
            capture: CapturePlan::default(),
            collect: Vec::new(),
        }
    }

    fn sources(&self) -> Vec<FileEntry> {
        self.beside(vec![self.language.source_file(Arc::clone(&self.code))])
    }

    fn beside(&self, own: Vec<FileEntry>) -> Vec<FileEntry> {
        let is_other = |file: &&FileEntry| own.iter().all(|own| own.path != file.path);
        let mut files: Vec<_> = self.files.iter().filter(is_other).cloned().collect();
        files.extend(own);
        files
    }

    fn compile_request(&self) -> Option<ExecRequest> {
        let request = self.language.compile_request(self.sources())?;
        let limits = self.compile_limits.apply(&request.limits);
        Some(ExecRequest { limits, ..request })
    }

    fn run_request(&self, files: Vec<FileEntry>) -> ExecRequest {
        let mut request = self.language.run_request(files);
        request.limits = self.language.run_limits(&self.limits);
        request.stdin = Arc::clone(&self.stdin);
        request.argv.extend(self.args.iter().cloned());
        request.capture = self.capture;
        if !self.collect.is_empty() {
            request.collect = Collect::Files(self.collect.clone());
        }
        request
    }
}

/// Compiles and runs `program` in cages of its language. A program that its own source made impossible to start ends
/// like any other, with what stood in the way in its standard error. Dropping the future ends its cages.
pub async fn execute(cages: &Cages, program: &Program) -> Result<(Executed, Spent), SandboxError> {
    let mut spent = Spent::default();
    let Some(request) = program.compile_request() else {
        let ran = cages.run(program.run_request(program.sources())).await?;
        spent.queue += ran.queue;
        spent.run += ran.run;
        return Ok((Executed::Ran { compile: None, run: Box::new(ran.outcome) }, spent));
    };
    let Compilation { outcome: compile, spent: own } = cages.compile(request).await?;
    spent += own;
    if !compile.termination.is_success() {
        return Ok((Executed::CompileFailed(compile), spent));
    }
    let compiled = Compiled::of(&compile);
    let request = program.run_request(program.beside(compiled.files.clone()));
    let run = match cages.run(request).await {
        Ok(ran) => {
            spent.queue += ran.queue;
            spent.run += ran.run;
            ran.outcome
        }
        Err(error) => match compiled.unstarted(&error) {
            Some(termination) => ExecOutcome {
                termination,
                start: rollcage_types::Start::Cold,
                stdout: Captured::default(),
                stderr: Captured::whole(format!("{}\n", error_chain(&error))),
                usage: Usage::default(),
                network: NetworkLog::default(),
                enforcement: Arc::clone(&compile.enforcement),
                files: Vec::new(),
                files_omitted: 0,
            },
            None => return Err(error),
        },
    };
    Ok((Executed::Ran { compile: Some(compile), run: Box::new(run) }, spent))
}
