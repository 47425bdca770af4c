//! Bringing a session's state about again: in a fresh interpreter, by what the session was told.

use std::sync::Arc;
use std::time::Instant;

use rollcage_sandbox::{AllFiles, Cancel, SessionCage, Turn, TurnEnd};
use rollcage_types::FileEntry;

use crate::live::agent::Agent;
use crate::live::error::LiveError;
use crate::live::farm::FarmState;
use crate::live::inner::{how_told, open_cage, turn_limits};
use crate::live::log::{Entry, LoggedCell, Recorded};
use crate::live::outcome::{CellLimits, LiveOutcome, Rehydrated};
use crate::live::session::Shared;
use crate::report::Ending;

/// A replay has this many times the limits of time: a busy machine must not decide what state there is.
const PATIENCE: u32 = 4;

/// Opens a cage and tells it all that is in the log. With `files`, the workspace is made to have these in the end, and if they
/// are all that there were no others.
pub(super) fn rebuild(
    farm: &Arc<FarmState>,
    shared: &Shared,
    log: &[Entry],
    files: Option<&AllFiles>,
) -> Result<(SessionCage, Rehydrated), LiveError> {
    let began = Instant::now();
    let cage = open_cage(farm, &shared.agent, &shared.language, &shared.spec)?;
    // Counted as live from here on, whatever becomes of it.
    let mut opened = Opened { farm, cage: Some(cage) };
    let mut rehydrated = Rehydrated::default();
    let has_cells = log.iter().any(|entry| matches!(entry, Entry::Cell(_)));
    let room = || Ok::<_, LiveError>((farm.room_for(shared.spec.limits.memory.as_u64())?, farm.room.cell()));
    let room = has_cells.then(room).transpose()?;
    for entry in log {
        replay(opened.cage()?, shared, entry, &mut rehydrated)?;
    }
    drop(room);
    if let Some(files) = files {
        restore_files(opened.cage()?, files)?;
    }
    rehydrated.time = began.elapsed();
    let cage = opened.cage.take().ok_or(LiveError::Closed)?;
    Ok((cage, rehydrated))
}

/// A cage that is not a session's yet.
struct Opened<'a> {
    farm: &'a FarmState,
    cage: Option<SessionCage>,
}

impl Opened<'_> {
    fn cage(&mut self) -> Result<&mut SessionCage, LiveError> {
        self.cage.as_mut().ok_or(LiveError::Closed)
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        if self.cage.take().is_some() {
            self.farm.counters.live.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn replay(
    cage: &mut SessionCage,
    shared: &Shared,
    entry: &Entry,
    rehydrated: &mut Rehydrated,
) -> Result<(), LiveError> {
    match entry {
        Entry::Put(_, file) => Ok(cage.put_file(file)?),
        Entry::Cell(cell) if cell.recorded.skipped => {
            rehydrated.skipped.push(cell.number);
            Ok(())
        }
        Entry::Cell(cell) => {
            let again = replay_cell(cage, shared, cell)?;
            rehydrated.cells += 1;
            if again.digest != cell.recorded.digest {
                rehydrated.diverged.push(cell.number);
            }
            Ok(())
        }
    }
}

/// Runs a cell again. What comes back ended as it had, by itself.
fn replay_cell(cage: &mut SessionCage, shared: &Shared, cell: &LoggedCell) -> Result<Recorded, LiveError> {
    let spec = &shared.spec;
    let mut limits = cell.limits.clone().unwrap_or_else(|| CellLimits::from(&spec.limits));
    limits.cpu_time *= PATIENCE;
    limits.wall_time *= PATIENCE;
    limits.idle_time = limits.idle_time.map(|idle| idle * PATIENCE);
    let mut answers = cell.answers.iter();
    let mut answer = |_prompt: &[u8]| Agent::answer(answers.next().and_then(Option::as_deref));
    let turn = Turn {
        number: cell.number,
        order: &Agent::cell(cell.number, cell.source.as_bytes(), &cell.stdin),
        limits: &turn_limits(&limits),
        capture: spec.capture,
        interrupts: shared.agent.interrupts,
    };
    let done = cage.execute(&turn, &Cancel::new(), &mut answer).map_err(LiveError::Sandbox)?;
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
