//! Bringing a session's state about again: in a fresh interpreter, by what the session was told.

use std::sync::Arc;
use std::time::Instant;

use rollcage_sandbox::{Cancel, SessionCage, Turn};
use rollcage_types::FileEntry;

use crate::live::agent::Agent;
use crate::live::error::LiveError;
use crate::live::farm::FarmState;
use crate::live::inner::{open_cage, turn_limits};
use crate::live::log::{Entry, LoggedCell, Recorded};
use crate::live::outcome::{CellLimits, LiveOutcome, Rehydrated};
use crate::live::session::Shared;

/// A replay has this many times the limits of time: a busy machine must not decide what state there is.
const PATIENCE: u32 = 4;

/// Opens a cage and tells it all that is in the log. With `files`, the workspace is made to have these in the end, and if
/// nothing was left out of them (the number with them) no others.
pub(super) fn rebuild(
    farm: &Arc<FarmState>,
    shared: &Shared,
    log: &[Entry],
    files: Option<&(Vec<FileEntry>, u64)>,
) -> Result<(SessionCage, Rehydrated), LiveError> {
    let began = Instant::now();
    let cage = open_cage(farm, &shared.agent, &shared.language, &shared.spec)?;
    // Counted as live from here on, whatever becomes of it.
    let mut opened = Opened { farm, cage: Some(cage) };
    let mut rehydrated = Rehydrated::default();
    if log.iter().any(|entry| matches!(entry, Entry::Cell(_))) {
        let _room = (farm.room_for(shared.spec.limits.memory.as_u64())?, farm.room.cell());
        for entry in log {
            replay(opened.cage()?, shared, entry, &mut rehydrated)?;
        }
    } else {
        for entry in log {
            replay(opened.cage()?, shared, entry, &mut rehydrated)?;
        }
    }
    if let Some((files, left_out)) = files {
        restore_files(opened.cage()?, files, *left_out == 0)?;
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
        Entry::Put(file) => Ok(cage.put_file(file)?),
        Entry::Cell(cell) if cell.recorded.skipped => {
            rehydrated.skipped.push(cell.number);
            Ok(())
        }
        Entry::Cell(cell) => {
            let again = replay_cell(cage, shared, cell)?;
            rehydrated.cells += 1;
            if again.ending != cell.recorded.ending {
                let first = cell.recorded.ending.clone();
                let told = |ending: Option<crate::report::Ending>| {
                    ending.map_or_else(|| "it ended the interpreter".to_owned(), |ending| ending.to_string())
                };
                return Err(LiveError::Diverged {
                    cell: cell.number,
                    first: told(first),
                    again: told(again.ending),
                });
            }
            if again.digest != cell.recorded.digest {
                rehydrated.diverged.push(cell.number);
            }
            Ok(())
        }
    }
}

fn replay_cell(cage: &mut SessionCage, shared: &Shared, cell: &LoggedCell) -> Result<Recorded, LiveError> {
    let spec = &shared.spec;
    let mut limits = CellLimits::from(&spec.limits);
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
    Ok(Recorded::of(&LiveOutcome::of(cell.number, done, None)))
}

/// Makes the workspace what it was.
fn restore_files(cage: &SessionCage, files: &[FileEntry], is_complete: bool) -> Result<(), LiveError> {
    let (there, _omitted) = cage.all_files()?;
    if is_complete {
        for file in there.iter().filter(|file| !files.iter().any(|kept| kept.path == file.path)) {
            cage.remove_file(&file.path)?;
        }
    }
    for file in files.iter().filter(|file| !there.contains(file)) {
        cage.put_file(file)?;
    }
    Ok(())
}
