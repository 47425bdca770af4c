//! Putting a session aside: its memory into swap, or what brings it back onto disk.

use std::sync::atomic::Ordering;

use rollcage_sandbox::swap_free;
use rollcage_types::ByteSize;

use crate::live::alive::{Counted, OnDisk};
use crate::live::error::LiveError;
use crate::live::inner::{Inner, Stand};
use crate::live::log::Entry;
use crate::live::session::Shared;
use crate::live::store::{Aside, Stored};

impl Inner {
    pub(super) fn park(&mut self, shared: &Shared) -> Result<(), LiveError> {
        let live = self.live()?;
        if live.parked.is_some() {
            return Ok(());
        }
        if swap_free() == ByteSize::default() {
            return Err(LiveError::NotParkable {
                reason: "the machine has no swap, so that it would free nothing",
            });
        }
        live.cage.park().map_err(LiveError::Sandbox)?;
        live.parked = Some(Counted::new(&shared.farm, |counters| &counters.parked));
        Ok(())
    }

    pub(super) fn evict(&mut self, shared: &Shared) -> Result<(), LiveError> {
        if matches!(self.stand, Stand::Evicted(_)) {
            return Ok(());
        }
        let not_replayable = |reason: &str| LiveError::NotReplayable { reason: reason.to_owned() };
        let left_running = self.live()?.has_left_running(shared.agent.tasks);
        if left_running.map_err(LiveError::Sandbox)? {
            return Err(not_replayable("a cell left threads or processes running"));
        }
        let is_skipped = |entry: &Entry| matches!(entry, Entry::Cell(cell) if cell.recorded.skipped);
        if self.log.iter().any(is_skipped) {
            return Err(not_replayable(
                "a cell was interrupted, is not done twice, or did not say how it ended",
            ));
        }
        let files = self.cage()?.all_files()?;
        if files.too_many > 0 {
            return Err(not_replayable("its workspace holds more than is put aside"));
        }
        let aside = Aside { log: std::mem::take(&mut self.log), files: files.files };
        let path = shared.farm.directory.join(format!("session-{}", shared.id));
        match Stored::write(path, &aside) {
            Ok(stored) => {
                let on_disk = OnDisk::new(&shared.farm, stored);
                self.leave(&shared.farm, Stand::Evicted(on_disk));
                shared.farm.order.forget(shared);
                shared.farm.counters.evictions.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(source) => {
                self.log = aside.log;
                Err(LiveError::Store { action: "write", source })
            }
        }
    }
}
