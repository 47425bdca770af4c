//! The `rollcage` command: reads arguments, calls the crates that do the work, prints what they found.
//!
//! Owns nothing but words: every command translates arguments into requests and outcomes into text or JSON.
//! Results go to standard output, notes and logs to standard error. Every way of failing has one documented
//! exit code ([`rollcage_api::ExitCode`]) and is printed once, in [`failure`].
#![forbid(unsafe_code)]

mod bench;
mod cache_directory;
mod cage_options;
mod commands;
mod dataset_files;
mod engine_host;
mod execute;
mod failure;
mod hook_options;
mod host;
mod interrupt;
mod language_files;
mod limit_options;
mod network_options;
mod output;
mod program_file;
mod progress;
mod reuse_options;
mod root_option;
mod run_report;
mod table;
mod toolchain;
mod visible_text;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

/// The variable that says what is logged, as in `ROLLCAGE_LOG=debug`.
const LOG_VARIABLE: &str = "ROLLCAGE_LOG";

/// Two processors take turns on these without waiting, and more of them only hold on to more.
const HEAPS: i32 = 2;

fn main() -> ExitCode {
    rollcage_sandbox::launcher_main_if_asked();
    rollcage_sandbox::limit_heaps(HEAPS);
    let arguments = match commands::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_unset| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Otherwise a reader of standard error that has gone would end us with a panic.
        .log_internal_errors(false)
        .init();
    match commands::dispatch(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code.number())
        }
    }
}

/// Prints what clap has to say: help and the version are results, anything else is a mistake.
fn usage(error: &clap::Error) -> ExitCode {
    // Whoever closed the stream does not want to hear about it.
    let _closed = error.print();
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(rollcage_api::ExitCode::Usage.number()),
    }
}
