//! `rollcage session`: a prompt whose cells run in one caged interpreter.

mod attention;
mod command;
mod complete;
mod conversation;
mod reader;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use rollcage_language::{Language, LanguageSet};
use rollcage_session::live::{AsideDirectory, Farm, FarmConfig, FarmError, LiveSpec};
use rollcage_types::{FileEntry, RelativePath};

use crate::cage_options::CageOptions;
use crate::failure::Failure;
use crate::language_files::{LanguagesOption, find};
use crate::limit_options::LimitOptions;
use crate::{host, program_file, toolchain};

use conversation::Conversation;
use reader::Reader;

/// Talk to an interpreter that stays in its cage
///
/// On a terminal this is a prompt with history and editing; Ctrl-C interrupts the cell that runs. Otherwise standard input is
/// read: cells are separated by lines of `%%`. `:help` lists what else the prompt understands.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The language, by name or alias
    #[arg(short, long, value_name = "LANG")]
    lang: String,
    /// What the interpreter has loaded before the first cell: one of the preloads of the language's file, such as `pandas`
    #[arg(long, value_name = "NAME")]
    preload: Option<String>,
    /// A file that the first cell finds in the workspace, under its own name; may be repeated
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Seeds the random numbers of the language
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u32,
    /// Print one JSON object for each cell instead of its output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    languages: LanguagesOption,
    #[command(flatten)]
    cages: CageOptions,
    #[command(flatten)]
    limits: LimitOptions,
}

const EXAMPLES: &str = "\
Examples:
  rollcage session -l python --preload pandas --file sales.csv
  rollcage session -l sqlite --file shop.db
  printf 'x = 1\\n%%%%\\nx + 1\\n' | rollcage session -l python --json

--cpu, --wall, --idle and --output are of each cell, the other limits of the session. A cell that meets one is \
interrupted, and the session goes on where the language lets it; else `:restore` brings back what there was before.";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let set = args.languages.load()?;
    let language = find(&set, &args.lang)?;
    toolchain::require(&language, &args.cages.host_config(None))?;
    let files = args.files.iter().map(|path| file(path)).collect::<Result<Vec<_>, _>>()?;
    let host = Arc::new(host::start_for(&language, 1, args.cages.host_config(None))?);
    let directory =
        AsideDirectory::create().context("cannot create a directory").map_err(Failure::infrastructure)?;
    let config =
        FarmConfig { memory: None, live_max: None, directory: directory.path().to_owned(), idle: None };
    let farm = Farm::new(host, config).map_err(Failure::infrastructure)?;
    let mut reader = Reader::new(&language)?;
    let spec = LiveSpec {
        seed: args.seed,
        limits: language.run_limits(&args.limits.overrides()),
        files,
        preload: args.preload.clone(),
        asks: reader.is_terminal(),
        forks: true,
        ..LiveSpec::default()
    };
    let session = farm.open(&language, spec).map_err(|error| cannot_open(error, &language, &set))?;
    let mut conversation = Conversation::new(session, args.json, reader.is_terminal())?;
    conversation.hold(&mut reader)
}

fn file(path: &std::path::Path) -> Result<FileEntry, Failure> {
    let content = program_file::read(path, "the file")?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.and_then(|name| RelativePath::new(name).ok());
    let name = name.with_context(|| format!("`{}` has no plain name", path.display()));
    Ok(FileEntry::new(name.map_err(Failure::bad_input)?, content))
}

fn cannot_open(error: FarmError, language: &Language, all: &LanguageSet) -> Failure {
    match &error {
        FarmError::NoAgent { .. } => {
            let have: Vec<_> =
                all.iter().filter(|one| one.session.is_some()).map(|one| one.name.as_str()).collect();
            Failure::usage(error).with_hint(format!("sessions are there for {}", have.join(", ")))
        }
        FarmError::NoPreload { .. } => {
            let known = language.fork_recipe().map(|recipe| recipe.preloads.as_slice()).unwrap_or_default();
            let names: Vec<_> = known.iter().map(|preload| preload.name.as_str()).collect();
            Failure::usage(error).with_hint(format!("known here are: {}", names.join(", ")))
        }
        FarmError::TooLarge { .. }
        | FarmError::Full { .. }
        | FarmError::Interrupted
        | FarmError::Bank(_)
        | FarmError::Sandbox(_)
        | FarmError::Thread(_)
        | FarmError::Directory(_) => Failure::infrastructure(error),
    }
}
