//! What `rollcage run` says about a program that has ended.

use rollcage_api::{ExecReport, ExitCode, run_exit_code};
use rollcage_types::{ExecOutcome, Limits, Termination};
use serde::Serialize;

use crate::execute::Executed;
use crate::failure::Failure;
use crate::limit_options::value_and_remedy;
use crate::output;

/// The object `--json` prints: the last program that ran, which is the compiler where the program did not compile.
#[derive(Serialize)]
struct RunReport {
    #[serde(flatten)]
    ended: ExecReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    compile: Option<CompileReport>,
}

#[derive(Serialize)]
struct CompileReport {
    succeeded: bool,
    #[serde(flatten)]
    ended: ExecReport,
}

/// Prints the outcome as JSON and returns the code to end with.
pub(crate) fn print_json(executed: &Executed) -> Result<u8, Failure> {
    let compile = |succeeded, outcome: &ExecOutcome| CompileReport { succeeded, ended: outcome.into() };
    let report = match executed {
        Executed::CompileFailed(outcome) => {
            RunReport { ended: outcome.into(), compile: Some(compile(false, outcome)) }
        }
        Executed::Ran { compile: compiler, outcome } => RunReport {
            ended: outcome.into(),
            compile: compiler.as_deref().map(|outcome| compile(true, outcome)),
        },
    };
    output::print_json(&report)?;
    Ok(exit_code(executed))
}

/// Prints what the program wrote, a note where it did not just exit, and returns the code to end with.
pub(crate) fn print(executed: &Executed, limits: &Limits) -> Result<u8, Failure> {
    match executed {
        Executed::CompileFailed(outcome) => {
            // Both streams are the compiler's, not the program's.
            output::print_error_bytes(&outcome.stdout.head)?;
            output::print_error_bytes(&outcome.stderr.head)?;
            output::note(&format!("rollcage: {}", compile_note(outcome.termination)));
        }
        Executed::Ran { outcome, .. } => {
            output::print_bytes(&outcome.stdout.head)?;
            output::print_error_bytes(&outcome.stderr.head)?;
            if let Some(note) = run_note(outcome.termination, limits) {
                output::note(&format!("rollcage: {note}"));
            }
        }
    }
    Ok(exit_code(executed))
}

fn exit_code(executed: &Executed) -> u8 {
    match executed {
        Executed::CompileFailed(outcome) => match outcome.termination {
            // The compiler has no code of its own that a caller could tell from the program's.
            Termination::Exited { .. } | Termination::Signaled { .. } => ExitCode::BadInput.number(),
            ended @ (Termination::LimitExceeded(_) | Termination::Cancelled) => run_exit_code(ended),
        },
        Executed::Ran { outcome, .. } => run_exit_code(outcome.termination),
    }
}

fn compile_note(termination: Termination) -> String {
    match termination {
        Termination::Exited { code } => format!("it does not compile (the compiler exited with code {code})"),
        Termination::Signaled { signal } => {
            format!("it does not compile (the compiler was ended by signal {})", signal_name(signal))
        }
        Termination::LimitExceeded(kind) => format!(
            "the compiler exceeded its {} limit; raise it under `compile_limits` in a language file of your own",
            kind.as_str()
        ),
        Termination::Cancelled => "cancelled while compiling".to_owned(),
    }
}

fn run_note(termination: Termination, limits: &Limits) -> Option<String> {
    match termination {
        Termination::Exited { .. } => None,
        Termination::Signaled { signal } => Some(format!("ended by signal {}", signal_name(signal))),
        Termination::LimitExceeded(kind) => {
            let (value, remedy) = value_and_remedy(kind, limits);
            Some(format!("exceeded the {} limit of {value}; raise it with `{remedy}`", kind.as_str()))
        }
        Termination::Cancelled => Some("cancelled".to_owned()),
    }
}

/// The signals programs die of, numbered as Linux numbers them on every architecture we run on.
const SIGNALS: [(i32, &str); 13] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (15, "SIGTERM"),
    (31, "SIGSYS"),
];

fn signal_name(signal: i32) -> String {
    match SIGNALS.iter().find(|(number, _)| *number == signal) {
        Some((number, name)) => format!("{number} ({name})"),
        None => signal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcage_types::{Captured, Enforcement, IsolationLevel, LimitKind, Usage};

    use super::*;

    fn outcome(termination: Termination) -> ExecOutcome {
        ExecOutcome {
            termination,
            start: rollcage_types::Start::Cold,
            stdout: Captured::whole("out"),
            stderr: Captured::whole(""),
            usage: Usage::default(),
            network: rollcage_types::NetworkLog::default(),
            enforcement: Arc::new(Enforcement::nothing(IsolationLevel::Full)),
            files: Vec::new(),
            files_omitted: 0,
        }
    }

    #[test]
    fn a_compiler_never_speaks_with_the_programs_codes() {
        for (termination, compiling, running) in [
            (Termination::Exited { code: 1 }, 111, 1),
            (Termination::Signaled { signal: 11 }, 111, 109),
            (Termination::LimitExceeded(LimitKind::Memory), 104, 104),
            (Termination::Cancelled, 110, 110),
        ] {
            assert_eq!(
                exit_code(&Executed::CompileFailed(outcome(termination))),
                compiling,
                "{termination:?}"
            );
            let ran = Executed::Ran { compile: None, outcome: outcome(termination) };
            assert_eq!(exit_code(&ran), running, "{termination:?}");
        }
    }

    #[test]
    fn notes_name_the_cause_and_the_remedy() {
        let limits = Limits::default();
        for (termination, expected) in [
            (Termination::Exited { code: 1 }, None),
            (Termination::Signaled { signal: 11 }, Some("ended by signal 11 (SIGSEGV)")),
            (Termination::Signaled { signal: 40 }, Some("ended by signal 40")),
            (
                Termination::LimitExceeded(LimitKind::WallTime),
                Some("exceeded the wall_time limit of 20s; raise it with `--wall 40s`"),
            ),
        ] {
            assert_eq!(run_note(termination, &limits).as_deref(), expected);
        }
    }
}
