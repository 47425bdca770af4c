//! `rollcage languages build`: the root file systems of languages that have their own.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use rollcage_api::ExitCode;
use rollcage_language::Language;
use rollcage_roots::{BuildError, BuildOptions, Built, Progress, Roots, build};
use rollcage_sandbox::Cancel;
use serde::Serialize;

use crate::commands::languages::args::Choice;
use crate::failure::Failure;
use crate::interrupt::cancellable;
use crate::language_files::select;
use crate::{output, table};

/// How often the bar turns where nothing else moves.
const SPIN: Duration = Duration::from_millis(120);

#[derive(Serialize)]
struct BuildReport {
    languages: Vec<BuildResult>,
}

#[derive(Serialize)]
struct BuildResult {
    language: String,
    result: Outcome,
    root: String,
    /// Archives, named by package, version and architecture.
    packages: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Present,
    Built,
}

/// Runs the command.
pub(crate) fn run(choice: &Choice, mirror: Option<&str>) -> Result<u8, Failure> {
    let set = choice.languages.load()?;
    let mut languages = select(&set, &choice.names)?;
    if choice.names.is_empty() {
        languages.retain(|language| language.root.is_some());
    }
    if let Some(other) = languages.iter().find(|language| language.root.is_none()) {
        let name = &other.name;
        return Err(Failure::usage(format!("{} has no root file system of its own", other.display))
            .with_hint(format!(
                "it runs on the host's toolchains; see `rollcage languages install {name}`"
            )));
    }
    let (json, mirror) = (choice.json, mirror.map(str::to_owned));
    cancellable(move |cancel| {
        let build = |language: &Arc<Language>| build_one(language, mirror.as_deref(), cancel);
        let languages = match languages.iter().map(build).collect::<Result<Vec<_>, _>>() {
            Err(_ended) if cancel.is_cancelled() => return Ok(ExitCode::Cancelled.number()),
            built => built?,
        };
        let report = BuildReport { languages };
        if json {
            output::print_json(&report)?;
        } else {
            output::print_text(&text(&report))?;
        }
        Ok(ExitCode::Success.number())
    })
}

fn build_one(language: &Language, mirror: Option<&str>, cancel: &Cancel) -> Result<BuildResult, Failure> {
    let recipe = language.root.as_ref().expect("languages without a recipe have been refused");
    let shown = Shown::new(language);
    let options = BuildOptions {
        mirror,
        is_cancelled: &|| cancel.is_cancelled(),
        progress: &|progress| shown.show(progress),
    };
    let built = build(&Roots::of_user(), recipe, &options);
    shown.bar.finish_and_clear();
    let Built { root, packages, was_there } = built.map_err(failed)?;
    Ok(BuildResult {
        language: language.name.clone(),
        result: if was_there { Outcome::Present } else { Outcome::Built },
        root: root.display().to_string(),
        packages,
    })
}

fn failed(error: BuildError) -> Failure {
    let code = match &error {
        BuildError::BadMirror { .. } => ExitCode::Usage,
        BuildError::Cancelled => ExitCode::Cancelled,
        BuildError::Resolve { .. } | BuildError::Fixup { .. } => ExitCode::BadInput,
        BuildError::Machine
        | BuildError::NoMirror
        | BuildError::HostLacks { .. }
        | BuildError::Index { .. }
        | BuildError::Fetch { .. }
        | BuildError::Unpack { .. }
        | BuildError::NotPrivate { .. }
        | BuildError::Run { .. }
        | BuildError::File { .. } => ExitCode::Infrastructure,
    };
    let hint = error.hint();
    hint.into_iter().fold(Failure::new(code, error), Failure::with_hint)
}

/// Progress on standard error: a line for each step, and on a terminal a bar below it.
struct Shown<'a> {
    language: &'a Language,
    bar: ProgressBar,
    /// The step that was said last.
    step: Cell<u8>,
}

impl<'a> Shown<'a> {
    fn new(language: &'a Language) -> Self {
        let bar = ProgressBar::no_length();
        let style = ProgressStyle::with_template("{spinner} {msg}");
        bar.set_style(style.unwrap_or_else(|_error| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(SPIN);
        Self { language, bar, step: Cell::new(0) }
    }

    fn show(&self, progress: Progress<'_>) {
        let name = &self.language.display;
        let (step, line, moving) = match progress {
            Progress::Waiting => {
                (1, format!("{name}: waiting for another process that is building it"), String::new())
            }
            Progress::Resolving { mirror } => {
                (2, format!("{name}: fetching the package index from {mirror}"), String::new())
            }
            Progress::Fetching { packages, bytes, bytes_total } => (
                3,
                format!("{name}: fetching {packages} packages of {}", HumanBytes(bytes_total)),
                format!("{} of {}", HumanBytes(bytes), HumanBytes(bytes_total)),
            ),
            Progress::Unpacking { done, packages } => {
                (4, format!("{name}: unpacking {packages} packages"), format!("{done} of {packages}"))
            }
            Progress::NoLibraryCache => (
                5,
                format!(
                    "{name}: the loader's cache cannot be written without a user namespace; libraries in unusual \
                     directories will not be found"
                ),
                String::new(),
            ),
        };
        if self.step.replace(step) != step {
            self.bar.suspend(|| output::note(&line));
        }
        self.bar.set_message(moving);
    }
}

fn text(report: &BuildReport) -> String {
    let row = |one: &BuildResult| {
        let result = match one.result {
            Outcome::Present => "already here",
            Outcome::Built => "built",
        };
        [one.language.clone(), result.to_owned(), one.packages.len().to_string(), one.root.clone()]
    };
    table::render(["language", "result", "packages", "root"], report.languages.iter().map(row))
}
