//! The arguments of `rollcage languages`.

use crate::cage_options::CageOptions;
use crate::commands::languages::{install, list, test};
use crate::failure::Failure;
use crate::language_files::LanguagesOption;

/// List, test and install languages
///
/// A language is a YAML file: how its programs are compiled and run, and the small programs that show it works.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "\
Examples:
  rollcage languages list
  rollcage languages test python cpp
  rollcage languages install lua
  rollcage languages test --languages ./my-languages fortran

A file in the directory --languages names (or ROLLCAGE_LANGUAGES) adds a language, or replaces the built-in \
one of that name. The least it needs:
  prompt: Use Fortran 2008.
  filename: snippet.f90
  compile: gfortran -o program snippet.f90
  execute: ./program";

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// List the languages, the files they come from, and whether their toolchains are here
    List(Choice),
    /// Run the languages' self-tests in the cage: output, exit codes, compile and runtime errors, limits
    ///
    /// Ends with 0 if every test passed, 1 if one did not, and 112 if a toolchain is missing.
    Test {
        #[command(flatten)]
        choice: Choice,
        #[command(flatten)]
        cages: CageOptions,
    },
    /// Install missing toolchains on this host, as root; prints each command before it runs it
    ///
    /// Languages whose toolchains are here are left alone. Without LANG, all of the others are installed.
    Install(Choice),
}

/// Which languages, and how to answer.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Choice {
    /// Names or aliases; all languages if none is given
    #[arg(value_name = "LANG")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) languages: LanguagesOption,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    match &args.action {
        Action::List(choice) => list::run(choice),
        Action::Test { choice, cages } => test::run(choice, cages),
        Action::Install(choice) => install::run(choice),
    }
}
