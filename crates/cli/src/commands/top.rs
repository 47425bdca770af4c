//! The command line as a whole: which command was asked for.

use crate::commands::{bench, doctor, eval, judge, languages, rollout, run, serve, session, show};
use crate::failure::Failure;

/// Runs code that language models write in a cage, judges it, and carries their conversations with it.
#[derive(Debug, clap::Parser)]
#[command(name = "rollcage", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Start here:
  rollcage doctor                 what this host enforces, and which languages it can run
  rollcage run hello.py           run one program in a cage
  rollcage languages test         show that every language works

Exit codes: 0 done; 1 judged and not accepted; 2 wrong command line; 101 to 110 how a program was ended; \
111 a file given to us is wrong; 112 a toolchain is missing; 113 we failed; 114 the policy's server failed; \
115 the store failed. `rollcage run` passes the program's own code through.

ROLLCAGE_LOG=debug logs to standard error.";

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Doctor(doctor::Args),
    Languages(languages::Args),
    Judge(judge::Args),
    Eval(eval::Args),
    Rollout(rollout::Args),
    Session(Box<session::Args>),
    Show(show::Args),
    Serve(serve::Args),
    Bench(bench::Args),
}

/// Runs the command that was asked for and returns the code to end with.
pub(crate) fn dispatch(arguments: Arguments) -> Result<u8, Failure> {
    match arguments.command {
        Command::Run(args) => run::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Languages(args) => languages::run(&args),
        Command::Judge(args) => judge::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Rollout(args) => rollout::run(&args),
        Command::Session(args) => session::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Bench(args) => bench::run(&args),
    }
}
