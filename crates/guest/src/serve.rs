//! The launcher at work: one thread that clones stubs, kills them when told to, and reaps them.
//!
//! It decides nothing about programs; it keeps a stub ready in every slot in use, kills the cage it is told to, and
//! says when nothing of a cage is left.
#![expect(unsafe_code, reason = "clones processes that share its memory")]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rollcage_sys::Errno;
use rollcage_sys::child::Stage;
use rollcage_sys::clone::{CAGE_NAMESPACES, Caller, ROOTLESS_CAGE_NAMESPACES, spawn_sharing_memory};
use rollcage_sys::stack::{Region, Stack};
use rollcage_types::IsolationLevel;
use rustix::event::epoll;
use rustix::net::{SendFlags, send};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::bench::{Bench, Ledger, Rooms};
use crate::intake::receive;
use crate::launcher::{LauncherError, call};
use crate::protocol::{Command, Report, Setup, Wiring};
use crate::service::Shared;
use crate::stub;
use crate::tree::SignalScope;

/// Marks the control socket among epoll's events; slots carry their index.
const CONTROL: u64 = u64::MAX;
/// Events taken from the kernel at a time; more wait their turn.
const EVENTS: usize = 32;

/// The launcher once it is set up. Once it serves it allocates nothing: in an interpreter, stubs may be copying the
/// allocator's memory at any moment.
#[derive(Debug)]
pub(crate) struct Launcher {
    epoll: OwnedFd,
    slots: Ledger<Slot>,
    rooms: Rooms,
    start_clock: Region,
    on_demand: bool,
    /// How every cage is ended where no namespace does it.
    scope: Option<SignalScope>,
}

#[derive(Debug)]
struct Slot {
    /// Reached only through a pointer while a stub lives, because the stub works in it.
    bench: *mut Bench,
    stub_stack: Stack,
    live: Option<OwnedFd>,
    generation: u64,
    wiring: Wiring,
}

impl Slot {
    fn new(
        rooms: &Rooms,
        shared: &'static Shared,
        setup: &Setup,
        socket: OwnedFd,
        directories: Option<[OwnedFd; 2]>,
    ) -> Result<Self, Errno> {
        let (bench, stub_stack) = rooms.lay_out(shared, setup, socket, directories)?;
        Ok(Self { bench, stub_stack, live: None, generation: 0, wiring: Wiring::Sealed })
    }

    /// For a slot whose stub is gone.
    fn report(&self, report: Report) {
        // SAFETY: no stub of this slot lives, so the bench is ours alone.
        let socket = unsafe { (*self.bench).socket.as_fd() };
        // A supervisor that is gone shows on the control socket.
        let _sent = send(socket, &report.encode(self.generation), SendFlags::NOSIGNAL);
    }

    /// For a slot whose stub is gone.
    fn reset_start_clock(&self) {
        // SAFETY: no stub of this slot lives, so the bench is ours alone.
        let bench = unsafe { &*self.bench };
        bench.shared.start_clock.store(bench.index, 0);
    }

    /// Clones this slot's next stub.
    fn start(&mut self, index: usize, epoll: &OwnedFd) -> Result<(), Errno> {
        self.generation += 1;
        // SAFETY: no stub of this slot lives, so the bench is ours alone.
        let bench = unsafe { &mut *self.bench };
        bench.generation = self.generation;
        bench.stays = false;
        bench.wiring = self.wiring;
        bench.failure.clear();
        let namespaces = match bench.shared.level {
            IsolationLevel::Full => CAGE_NAMESPACES,
            IsolationLevel::Rootless => ROOTLESS_CAGE_NAMESPACES,
            IsolationLevel::Process => 0,
        };
        // SAFETY: the slot's last stub has been reaped, so its stack and bench are free; the bench is never
        // deallocated; `stub::main` keeps the rules for code on a borrowed stack.
        let spawned = unsafe {
            spawn_sharing_memory(
                namespaces,
                None,
                Caller::Continues,
                self.stub_stack,
                stub::main,
                self.bench.cast(),
            )
        }?;
        let pidfd = spawned.pidfd.expect("a caller that continues is given a pidfd");
        let data = epoll::EventData::new_u64(index as u64);
        if let Err(errno) = epoll::add(epoll, &pidfd, data, epoll::EventFlags::IN) {
            // Nobody would see it end: end it here.
            let _sent = pidfd_send_signal(&pidfd, Signal::KILL);
            let _reaped = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            return Err(errno);
        }
        self.live = Some(pidfd);
        Ok(())
    }
}

impl Launcher {
    /// Makes room for every slot's stubs.
    pub(crate) fn new(
        control: BorrowedFd<'_>,
        shared: &'static Shared,
        scope: Option<SignalScope>,
        slots: Vec<(Setup, OwnedFd, Option<[OwnedFd; 2]>)>,
    ) -> Result<Self, LauncherError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(call("create an epoll"))?;
        let watched = epoll::EventData::new_u64(CONTROL);
        epoll::add(&epoll, control, watched, epoll::EventFlags::IN)
            .map_err(call("watch the control socket"))?;
        let rooms = Rooms::map(slots.len()).map_err(call("map stacks"))?;
        let slots = slots
            .into_iter()
            .map(|(setup, socket, directories)| Slot::new(&rooms, shared, &setup, socket, directories))
            .collect::<Result<Vec<_>, _>>()
            .map_err(call("lay out stacks"))?;
        let slots = Ledger::of(slots).map_err(call("map the slots"))?;
        Ok(Self {
            epoll,
            slots,
            rooms,
            start_clock: shared.start_clock.region(),
            on_demand: shared.on_demand,
            scope,
        })
    }

    /// Where it, its stubs and their children write while they work. A program that is a copy of it must not have them.
    pub(crate) const fn regions(&self) -> [Region; 3] {
        [self.rooms.region(), self.slots.region(), self.start_clock]
    }

    /// Makes cages until the supervisor is gone.
    pub(crate) fn serve(mut self, control: BorrowedFd<'_>) -> Result<(), LauncherError> {
        let mut space = [const { MaybeUninit::uninit() }; EVENTS];
        loop {
            let events = match epoll::wait(&self.epoll, &mut space, None) {
                Ok((events, _rest)) => events,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(call("wait for events")(errno)),
            };
            for event in events {
                let data = event.data.u64();
                if data == CONTROL {
                    let mut bytes = [0; Command::BYTES];
                    match receive(control, &mut bytes) {
                        // The supervisor is gone: exit, and the kernel ends every cage.
                        Ok((0, _)) => {
                            if let Some(scope) = &self.scope {
                                scope.clear();
                            }
                            return Ok(());
                        }
                        Ok((length, _)) => self.obey(bytes.get(..length).and_then(Command::decode)),
                        Err(errno) => return Err(call("receive a command")(errno)),
                    }
                } else if let Ok(index) = usize::try_from(data) {
                    self.reap(index);
                }
            }
        }
    }

    fn obey(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Start { slot, wiring }) => self.set(slot as usize, wiring),
            Some(Command::Kill { slot, generation }) => {
                let Some(slot) = self.slots.entry(slot as usize) else { return };
                if let Some(pidfd) = slot.live.as_ref().filter(|_| slot.generation == generation) {
                    // ESRCH: it ended by itself in the meantime.
                    let _sent = pidfd_send_signal(pidfd, Signal::KILL);
                }
            }
            None => {}
        }
    }

    /// Makes the slot's cages of this kind from now on.
    fn set(&mut self, index: usize, wiring: Wiring) {
        let Some(slot) = self.slots.entry(index) else { return };
        let is_other = slot.wiring != wiring;
        slot.wiring = wiring;
        match &slot.live {
            // The next follows when it is reaped.
            Some(pidfd) if is_other => {
                let _sent = pidfd_send_signal(pidfd, Signal::KILL);
            }
            Some(_) => {}
            None => self.start(index),
        }
    }

    fn start(&mut self, index: usize) {
        let Some(slot) = self.slots.entry(index) else { return };
        if slot.live.is_some() {
            return;
        }
        if let Err(errno) = slot.start(index, &self.epoll) {
            slot.report(Report::Failed { stage: Stage::CloneStub, errno });
            slot.report(Report::Reaped { next_ready: false });
        }
    }

    fn reap(&mut self, index: usize) {
        let Some(slot) = self.slots.entry(index) else { return };
        let Some(pidfd) = slot.live.as_ref() else { return };
        let status = match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
        {
            Ok(Some(status)) => status,
            Ok(None) | Err(_) => return,
        };
        if let Some(scope) = self.scope.as_ref().filter(|_| status.terminating_signal().is_some()) {
            // What it was to end has become ours, and nothing says which cage it belonged to.
            scope.clear();
            rollcage_sys::child::exit(1);
        }
        // Explicitly, because stubs hold copies of this descriptor: closing ours would not end the watch.
        let _unwatched = epoll::delete(&self.epoll, pidfd);
        slot.live = None;
        // A stub that served ends with 0, a killed one by a signal. One that failed at its own work would
        // fail again at once, so the next is made only when it is asked for.
        let has_failed = status.exit_status().is_some_and(|code| code != 0);
        let next_ready = !has_failed && !self.on_demand;
        // Before the report: whoever hears it may look at the clock for the next cage at once.
        slot.reset_start_clock();
        slot.report(Report::Reaped { next_ready });
        if next_ready {
            self.start(index);
        }
    }
}
