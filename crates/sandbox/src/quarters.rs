//! The slots of one launcher: who their programs are, and where it is left when they started.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rollcage_guest::protocol::{ServerUids, start_clock_offset};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;

/// What a launcher is told of its slots.
#[derive(Debug)]
pub(crate) struct Quarters {
    /// Of each slot.
    pub(crate) uids: Vec<u32>,
    pub(crate) start_clock: Arc<OwnedFd>,
    /// The users of a fork server, where it has a user namespace with those of slots.
    pub(crate) server_uids: Option<ServerUids>,
    /// Whether a slot's next cage is made only when it is asked for.
    pub(crate) on_demand: bool,
}

impl Quarters {
    /// Makes the start clock for slots of these users.
    pub(crate) fn new(
        uids: Vec<u32>,
        server_uids: Option<ServerUids>,
        on_demand: bool,
    ) -> Result<Self, Errno> {
        let start_clock = memfd_create("rollcage-start-clock", MemfdFlags::CLOEXEC)?;
        ftruncate(&start_clock, start_clock_offset(u32::try_from(uids.len()).unwrap_or(u32::MAX)))?;
        Ok(Self { uids, start_clock: Arc::new(start_clock), server_uids, on_demand })
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.uids.len()
    }
}
