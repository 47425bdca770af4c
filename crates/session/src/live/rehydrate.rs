//! Bringing a session's state about again: in a fresh interpreter, by what the session was told.

use std::time::Instant;

use rollcage_sandbox::{AllFiles, Cancel, SessionCage, Turn, TurnEnd};
use rollcage_types::{FileEntry, Termination};

use crate::live::agent::Agent;
use crate::live::alive::Live;
use crate::live::error::LiveError;
use crate::live::inner::bring_up;
use crate::live::log::{Entry, LoggedCell, Recorded};
use crate::live::outcome::{CellLimits, LiveOutcome, Rehydrated};
use crate::live::run::{how_told, turn_limits};
use crate::live::session::Shared;
use crate::report::Ending;

/// A replay has this many times the limits of time: a busy machine must not decide what state there is.
const PATIENCE: u32 = 4;

/// Brings up a fresh interpreter and tells it all that is in the log. With `files`, the workspace is made to have these in the end,
/// and if they are all that there were no others.
pub(super) fn rebuild(
    shared: &Shared,
    log: &[Entry],
    files: Option<&AllFiles>,
    cancel: &Cancel,
) -> Result<(Live, Rehydrated), LiveError> {
    let (began, farm) = (Instant::now(), &shared.farm);
    let mut live = bring_up(farm, &shared.agent, &shared.language, &shared.spec, cancel)?;
    let mut rehydrated = Rehydrated::default();
    if !log.is_empty() {
        let promise = farm.room_for(shared.spec.limits.memory.as_u64(), cancel)?;
        let _busy = farm.budget.room.busy();
        for entry in log {
            replay(&mut live, shared, entry, cancel, &mut rehydrated)?;
        }
        let left_running = live.has_left_running(shared.agent.tasks);
        live.promise = left_running.map_err(LiveError::Sandbox)?.then_some(promise);
    }
    if let Some(files) = files {
        restore_files(&live.cage, files)?;
    }
    rehydrated.time = began.elapsed();
    Ok((live, rehydrated))
}

fn replay(
    live: &mut Live,
    shared: &Shared,
    entry: &Entry,
    cancel: &Cancel,
    rehydrated: &mut Rehydrated,
) -> Result<(), LiveError> {
    match entry {
        _ if cancel.is_cancelled() => Err(LiveError::Interrupted),
        Entry::Put(_, file) => Ok(live.cage.put_file(file)?),
        Entry::Cell(cell) if cell.recorded.skipped => {
            rehydrated.skipped.push(cell.number);
            Ok(())
        }
        Entry::Cell(cell) => {
            let again = replay_cell(&mut live.cage, shared, cell, cancel)?;
            live.note_ending(&shared.language, again.ending.as_ref());
            rehydrated.cells += 1;
            if again.digest != cell.recorded.digest {
                rehydrated.diverged.push(cell.number);
            }
            Ok(())
        }
    }
}

/// Runs a cell again. What comes back ended as it had, by itself.
fn replay_cell(
    cage: &mut SessionCage,
    shared: &Shared,
    cell: &LoggedCell,
    cancel: &Cancel,
) -> Result<Recorded, LiveError> {
    let spec = &shared.spec;
    let mut limits = cell.limits.clone().unwrap_or_else(|| CellLimits::from(&spec.limits));
    limits.cpu_time *= PATIENCE;
    limits.wall_time *= PATIENCE;
    limits.idle_time = limits.idle_time.map(|idle| idle * PATIENCE);
    let mut answers = cell.answers.iter();
    let mut answer = |_prompt: &[u8]| Agent::answer(answers.next().and_then(Option::as_deref));
    let turn = Turn {
        number: cell.number,
        order: &shared.agent.cell(cell.number, cell.source.as_bytes(), &cell.stdin),
        limits: &turn_limits(&limits),
        capture: spec.capture,
        interrupts: shared.agent.interrupts,
    };
    let done = cage.execute(&turn, cancel, &mut answer);
    let done = done.map_err(|error| LiveError::Sandbox(error.into_inner()))?;
    if done.interrupted == Some(Termination::Cancelled) {
        return Err(LiveError::Interrupted);
    }
    let otherwise = |again: String| {
        let first =
            cell.recorded.ending.as_ref().map_or_else(|| "it did not say how".to_owned(), Ending::to_string);
        LiveError::Diverged { cell: cell.number, first, again }
    };
    match (&done.end, &done.interrupted) {
        (TurnEnd::Ended(how), _) => return Err(otherwise(format!("its interpreter {}", how_told(how)))),
        (TurnEnd::Lost(why), _) => return Err(otherwise((*why).to_owned())),
        // It may have seen to that itself, and gone on with half of what it had done.
        (TurnEnd::Done(_), Some(why)) => return Err(otherwise(format!("it {}", how_told(why)))),
        (TurnEnd::Done(_), None) => {}
    }
    let again = Recorded::of(&LiveOutcome::of(cell.number, done, None));
    if again.ending != cell.recorded.ending {
        return Err(otherwise(
            again.ending.map_or_else(|| "it did not say how".to_owned(), |ending| ending.to_string()),
        ));
    }
    Ok(again)
}

/// Makes the workspace what it was. Files that are open stay the same files.
fn restore_files(cage: &SessionCage, files: &AllFiles) -> Result<(), LiveError> {
    let there = cage.all_files()?.files;
    if files.too_many == 0 {
        for file in there.iter().filter(|file| !files.files.iter().any(|kept| kept.path == file.path)) {
            cage.remove_file(&file.path)?;
        }
    }
    for file in files.files.iter().filter(|file| !there.contains(file)) {
        // Whoever has it open remembers what was in it.
        if is_database(file) && cage.has_open(&file.path).map_err(LiveError::Sandbox)? {
            return Err(LiveError::DatabaseDiverged { path: file.path.clone() });
        }
        cage.put_file(file)?;
    }
    Ok(())
}

/// Of SQLite or `DuckDB`, by how their files begin.
fn is_database(file: &FileEntry) -> bool {
    const SQLITE: &[u8] = b"SQLite format 3\0";
    /// Behind a checksum of eight bytes.
    const DUCKDB: &[u8] = b"DUCK";
    file.content.starts_with(SQLITE) || file.content.get(8..).is_some_and(|rest| rest.starts_with(DUCKDB))
}
