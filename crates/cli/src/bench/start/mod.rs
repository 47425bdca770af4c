//! What it takes until a program runs and has ended: bare, in a cage, and in a cage with what is kept ready for its language.

mod cases;
mod compiling;
mod targets;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rollcage_api::{BenchReport, BenchRow};
use rollcage_language::{Language, LanguageSet, Warm};
use rollcage_sandbox::{Cancel, Host, HostConfig};
use rollcage_types::{ExecOutcome, FileEntry, Start};
use rollcage_warm::{Bounds, Pool, prepared_directory};

pub(crate) use cases::StartCase;

use crate::bench::exec::{BARE, CAGED, directory_of, run_bare};
use crate::bench::machine;
use crate::bench::measure::{Effort, Subject, measure};
use crate::failure::Failure;
use crate::language_files::find;
use crate::{host, output, toolchain};

/// In a cage, with what is kept ready.
const WARM: &str = "caged-warm";

/// What to measure and for how long.
#[derive(Clone, Debug)]
pub(crate) struct StartPlan {
    pub(crate) host: HostConfig,
    pub(crate) cases: Vec<StartCase>,
    /// Whether somebody asked for these cases by name, and wants to know why one cannot be had.
    pub(crate) is_chosen: bool,
    pub(crate) effort: Effort,
}

/// Measures every case of `plan`.
pub(crate) fn start(plan: &StartPlan, cancel: &Cancel) -> Result<BenchReport, Failure> {
    // Before our own runs make it busy.
    let machine = machine::describe();
    let set = LanguageSet::built_in();
    let cache = tempfile::tempdir().context("cannot create a directory").map_err(Failure::infrastructure)?;
    open_up(cache.path())?;
    let prepared = prepared_directory(cache.path())
        .context("cannot create a directory")
        .map_err(Failure::infrastructure)?;
    let config = HostConfig { prepared: Some(prepared), ..plan.host.clone() };
    let mut rows = Vec::new();
    for case in &plan.cases {
        let language = find(&set, case.language())?;
        if let Err(missing) = toolchain::require(&language, &config) {
            if plan.is_chosen {
                return Err(missing);
            }
            output::note(&format!("{} is left out: {}", case.name(), missing.error));
            continue;
        }
        rows.append(&mut if *case == StartCase::CppBits {
            compiling::measured(*case, &language, &config, plan.effort, cache.path(), cancel)?
        } else {
            measured(*case, &language, &config, plan.effort, cancel)?
        });
        if cancel.is_cancelled() {
            break;
        }
    }
    let targets = targets::targets(&rows);
    Ok(BenchReport { bench: "start".to_owned(), machine, rows, targets })
}

/// The caches of users are open to their cages; temporary directories are not.
fn open_up(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .context("cannot open up a directory")
        .map_err(Failure::infrastructure)
}

fn measured(
    case: StartCase,
    language: &Arc<Language>,
    config: &HostConfig,
    effort: Effort,
    cancel: &Cancel,
) -> Result<Vec<BenchRow>, Failure> {
    let host = Arc::new(host::start_for(language, config.slots, config.clone())?);
    let pool = Pool::new(Arc::clone(&host), Some(Bounds::of_machine()));
    let files = compiled(case, language, &host, cancel)?;
    let request = language.run_request(files);
    let directory = directory_of(&request.files)?;
    if let Err(reason) = pool.await_ready(language, case.preload()) {
        let why = anyhow::anyhow!("nothing can be kept ready for {}: {}", language.display, reason.as_str());
        return Err(Failure::infrastructure(why));
    }
    let idle_kb = idle_kb(&pool);
    // Spares are used up one by one. Throughput takes them as they come.
    let is_refilled = matches!(language.warm, Some(Warm::Spare(_)));
    let refill = || {
        let ready = pool.await_ready(language, case.preload());
        std::thread::sleep(REST);
        ready
            .map_err(|reason| Failure::infrastructure(anyhow::anyhow!("no spare waits: {}", reason.as_str())))
    };
    let bare = || run_bare(&request, directory.path());
    let caged = || check(&host.run(&request, cancel).map_err(Failure::infrastructure)?, None, cancel);
    let expected = if is_refilled { None } else { Some(Start::Fork) };
    let warm =
        || check(&pool.run(language, &request, cancel).map_err(Failure::infrastructure)?, expected, cancel);
    let name = case.name();
    let subjects = [
        Subject { case: name, mode: BARE, before: None, once: &bare },
        Subject { case: name, mode: CAGED, before: None, once: &caged },
        Subject { case: name, mode: WARM, before: is_refilled.then_some(&refill as _), once: &warm },
    ];
    let mut rows = measure(&subjects, effort, cancel)?;
    for row in rows.iter_mut().filter(|row| row.mode == WARM) {
        row.memory_kb = idle_kb;
    }
    Ok(rows)
}

/// Until the last one's end, and the start of the one that takes its place, are over.
const REST: Duration = Duration::from_millis(20);

/// What the case's program is run from.
fn compiled(
    case: StartCase,
    language: &Language,
    host: &Host,
    cancel: &Cancel,
) -> Result<Vec<FileEntry>, Failure> {
    let source = vec![language.source_file(case.source().as_bytes())];
    let Some(request) = language.compile_request(source.clone()) else { return Ok(source) };
    let compiled = host.run(&request, cancel).map_err(Failure::infrastructure)?;
    check(&compiled, None, cancel)?;
    Ok(compiled.files)
}

/// Memory of one that waits.
fn idle_kb(pool: &Pool) -> Option<u64> {
    let kept = pool.kept().pop()?;
    let one = kept.memory?.as_u64() / u64::try_from(kept.spares.max(1)).unwrap_or(1);
    Some(one / 1024)
}

/// A run that did not do what is measured measures nothing.
fn check(outcome: &ExecOutcome, expected: Option<Start>, cancel: &Cancel) -> Result<(), Failure> {
    if cancel.is_cancelled() {
        return Ok(());
    }
    let ExecOutcome { termination, start, stderr, .. } = outcome;
    if !termination.is_success() {
        let said = stderr.to_text();
        return Err(Failure::infrastructure(anyhow::anyhow!("a program ended with {termination:?}: {said}")));
    }
    match expected.filter(|expected| expected != start) {
        None => Ok(()),
        Some(_) => Err(Failure::infrastructure(anyhow::anyhow!("a program started {}", start.as_str()))),
    }
}
