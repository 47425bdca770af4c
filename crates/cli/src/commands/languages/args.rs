//! The arguments of `rollcage languages`.

use crate::cage_options::CageOptions;
use crate::commands::languages::{build, install, list, test};
use crate::failure::Failure;
use crate::language_files::LanguagesOption;

/// List, test, install and build languages
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
  rollcage languages build julia
  rollcage languages test --languages ./my-languages fortran

A file in the directory --languages names (or ROLLCAGE_LANGUAGES) adds a language, or replaces the built-in \
one of that name. The least it needs:
  prompt: Use Fortran 2008.
  filename: snippet.f90
  compile: gfortran -o program snippet.f90
  execute: ./program";

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// List the languages, whether their toolchains are here, and which versions those are
    ///
    /// Versions are asked in cages and remembered. JSON says of each language: name, display, aliases, present, version
    /// (null where it is not known), warm (whether something is kept started for it; not yet for any), source (its file,
    /// or `built-in`), toolchain (`host`, or `root` for a root file system of its own), missing, compiled, session.
    List {
        #[command(flatten)]
        choice: Choice,
        #[command(flatten)]
        cages: CageOptions,
    },
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
    /// Languages whose toolchains are here are left alone. Without LANG, all of the others are installed, but for those
    /// with a root file system of their own, which `build` makes.
    Install(Choice),
    /// Build the root file systems of languages that have their own, as any user; the host's packages stay as they are
    ///
    /// Packages of the suite that the language's file names are fetched from the host's Debian mirror, verified by the
    /// host's apt with Debian's keys, and unpacked; none of their scripts runs. What is built lies below
    /// /var/cache/rollcage/roots, or for other users than root ~/.cache/rollcage/roots (ROLLCAGE_ROOTS names another
    /// directory), and is whole or not there. Without LANG, all such languages are built.
    ///
    /// Ends with 0 if all are there, 110 if interrupted, 113 if one could not be built; packages that were fetched are
    /// kept for the next attempt.
    Build {
        #[command(flatten)]
        choice: Choice,
        /// The mirror to fetch from, as in `http://HOST/debian` [default: the one of this host's own packages]
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
    },
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
        Action::List { choice, cages } => list::run(choice, cages),
        Action::Test { choice, cages } => test::run(choice, cages),
        Action::Install(choice) => install::run(choice),
        Action::Build { choice, mirror } => build::run(choice, mirror.as_deref()),
    }
}
