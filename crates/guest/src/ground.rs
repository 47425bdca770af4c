//! What a stub stands on at each isolation level: how it is set up before a request, laid out for it, and cleared after.

use core::ffi::CStr;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rollcage_sys::Errno;
use rollcage_sys::child::{Stage, exit};
use rollcage_sys::{descriptors, signals, wait};
use rollcage_types::IsolationLevel;
use rustix::fs::{CWD, Mode, OFlags, mkdir, openat};
use rustix::mount::{MountFlags, MoveMountFlags, mount, mount_bind, mount_remount, move_mount};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};
use rustix::process::{Gid, Pid, Uid, set_child_subreaper};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::base;
use crate::bench::Bench;
use crate::fork_server::KEPT_MAX;
use crate::protocol::{Command, Ended, Report, RunHeader, Wiring};
use crate::rootless;
use crate::service::Confinement;
use crate::small_text::SmallText;
use crate::stub::{Descriptors, is_for, now_ns};
use crate::tree::{self, SignalScope};
use crate::wire;

/// Files one workspace may hold. Each takes about a kilobyte of kernel memory.
const INODES_MAX: u64 = 16384;
/// A rootless workspace's size until a request says its own: room for the files of the request.
const FIRST_SIZE: u64 = 1 << 30;
/// See [`crate::protocol::RunMessage::disk_bytes`]; what both mounts of a rootless workspace have.
const WORKSPACE_FLAGS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// The level's ground under one stub.
#[derive(Debug)]
pub(crate) enum Ground {
    /// Mounts of the supervisor's making; a uid of the stub's own.
    Full,
    /// Mounts of the stub's own making, in a user namespace.
    Rootless,
    /// The host's own tree, and a domain to end the program's processes in.
    Process {
        /// The program's rules, but for one that its process adds.
        ruleset: OwnedFd,
        scope: SignalScope,
        /// Readable when a child ended.
        children: OwnedFd,
    },
}

impl Ground {
    /// Sets up all that needs no request. The launcher's control socket and other slots' sockets are none of this cage's
    /// business, and are closed on the way.
    pub(crate) fn take(bench: &Bench) -> Result<Self, (Stage, Errno)> {
        match &bench.shared.confinement {
            Confinement::Template { sealed, wired } => {
                let ruleset = if bench.wiring == Wiring::Wired { wired } else { sealed };
                let is_rootless = bench.shared.level == IsolationLevel::Rootless;
                if is_rootless {
                    // Before any id is shown to a file system, which would refuse one that is not mapped.
                    rootless::map_to(bench.uid).map_err(at(Stage::MapIds))?;
                    rootless::empty_bounding_set().map_err(at(Stage::BoundingSet))?;
                }
                if bench.wiring == Wiring::Wired {
                    wire::enter_own_network().map_err(at(Stage::Network))?;
                }
                close_all_but(bench, ruleset)?;
                mount_proc(is_rootless).map_err(at(Stage::MountProc))?;
                if is_rootless {
                    mount_workspace(bench).map_err(at(Stage::MountWorkspace))?;
                    return Ok(Self::Rootless);
                }
                Ok(Self::Full)
            }
            Confinement::Host { grants, signals } => {
                set_child_subreaper(Pid::from_raw(1)).map_err(at(Stage::Subreaper))?;
                let own = bench.directories.as_ref().ok_or((Stage::Rules, Errno::NOENT))?;
                let ruleset = grants.ruleset(own.each_ref().map(OwnedFd::as_fd)).map_err(at(Stage::Rules))?;
                let scope = SignalScope::enter(signals.as_fd()).map_err(at(Stage::SignalScope))?;
                close_all_but(bench, &ruleset)?;
                let children = signals::watch_children().map_err(at(Stage::Subreaper))?;
                Ok(Self::Process { ruleset, scope, children })
            }
        }
    }

    /// Says that the cage waits, and hands over its workspace if that was made here.
    pub(crate) fn announce(&self, bench: &Bench) -> Result<(), Errno> {
        let bytes = Report::Waiting.encode(bench.generation);
        match self {
            Self::Rootless => {
                let (work, tmp) = (open_directory(c"/ws/work")?, open_directory(c"/ws/tmp")?);
                let own = [work.as_fd(), tmp.as_fd()];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                let _fits = ancillary.push(SendAncillaryMessage::ScmRights(&own));
                sendmsg(&bench.socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
            }
            Self::Full | Self::Process { .. } => {
                rustix::net::send(&bench.socket, &bytes, SendFlags::NOSIGNAL)?;
            }
        }
        Ok(())
    }

    /// Puts what came with the request in its place.
    pub(crate) fn lay_out(
        &self,
        bench: &Bench,
        header: &RunHeader,
        descriptors: &mut Descriptors,
    ) -> Result<(), (Stage, Errno)> {
        match self {
            Self::Full => {
                let has_base = bench.shared.has_base;
                let target = if has_base { base::layer() } else { c"/ws/work" };
                attach(&descriptors.work, target).map_err(at(Stage::MountWork))?;
                if has_base {
                    base::lay_under(Some(bench.index)).map_err(at(Stage::MountBase))?;
                    base::hide_layer().map_err(at(Stage::MountBase))?;
                    // What came with the request is the layer; the program starts in the view.
                    descriptors.work = open_directory(c"/ws/work").map_err(at(Stage::MountBase))?;
                }
                attach(&descriptors.tmp, c"/ws/tmp").map_err(at(Stage::MountTmp))
            }
            Self::Rootless => {
                let size = workspace_options(header.disk_bytes, None);
                let resize = |target| {
                    mount_remount(target, WORKSPACE_FLAGS, size.as_c_str())
                        .map_err(at(Stage::ResizeWorkspace))
                };
                if bench.shared.has_base {
                    resize(base::layer())?;
                    base::hide_layer().map_err(at(Stage::MountBase))?;
                }
                resize(c"/ws/tmp")
            }
            Self::Process { .. } => Ok(()),
        }
    }

    /// The program's rules.
    pub(crate) fn ruleset(&self, bench: &Bench) -> i32 {
        match (self, &bench.shared.confinement) {
            (Self::Process { ruleset, .. }, _) => ruleset.as_raw_fd(),
            (_, Confinement::Template { sealed, wired }) => match bench.wiring {
                Wiring::Sealed => sealed.as_raw_fd(),
                Wiring::Wired => wired.as_raw_fd(),
            },
            // No ground but the process's comes of it. No descriptor is -1, and the child's step fails.
            (Self::Full | Self::Rootless, Confinement::Host { .. }) => -1,
        }
    }

    /// Gives up every privilege, once the program runs.
    pub(crate) fn renounce(&self, program_uid: u32) {
        let changed = match self {
            Self::Full => {
                // The stub's uid is not the program's, so the program cannot signal or trace it. Cages' uids are
                // even, stubs' the odd ones that follow.
                let own = program_uid + 1;
                let (uid, gid) = (Uid::from_raw(own), Gid::from_raw(own));
                rustix::thread::set_thread_res_gid(gid, gid, gid)
                    .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
            }
            // The program's Landlock domain keeps it from tracing this process, and a namespace's init hears no signal
            // from inside.
            Self::Rootless | Self::Process { .. } => Ok(()),
        };
        // Leaving uid 0 takes capabilities away; a fork server's stub had another.
        let dropped = changed.and_then(|()| match self {
            Self::Full | Self::Rootless => set_capabilities(
                None,
                CapabilitySets {
                    effective: CapabilitySet::empty(),
                    permitted: CapabilitySet::empty(),
                    inheritable: CapabilitySet::empty(),
                },
            ),
            Self::Process { .. } => Ok(()),
        });
        if dropped.is_err() {
            // Fail closed: ending PID 1 kills the whole cage.
            exit(1)
        }
    }

    /// Waits for the program's process to end. `None` for a failure that cannot be.
    pub(crate) fn await_program(&self, bench: &Bench, child: Pid) -> Option<wait::Ended> {
        match self {
            Self::Full | Self::Rootless => tree::await_program(child),
            Self::Process { scope, children, .. } => {
                let socket = bench.socket.as_fd();
                let mut is_the_end = || is_the_end(socket, bench.generation);
                tree::await_program_or_word(child, children, socket, scope, &mut is_the_end)
            }
        }
    }

    /// What is reported of a program whose process was just reaped.
    pub(crate) fn account_for(&self, reaped: &wait::Ended, started_ns: u64) -> Ended {
        let mut ended = Ended {
            status: reaped.status,
            started_ns,
            at_ns: now_ns(),
            cpu_us: reaped.cpu_us,
            max_rss_kib: reaped.max_rss_kib,
            ..Ended::default()
        };
        // Orphans that have ended are reaped; one that lives means the tree must be killed.
        ended.alone = tree::is_alone();
        self.measure_disk(&mut ended);
        ended
    }

    /// Of the host's own file system nothing can be said of one workspace.
    fn measure_disk(&self, ended: &mut Ended) {
        if matches!(self, Self::Process { .. }) {
            return;
        }
        if let Ok(work) = rustix::fs::statfs(c"/ws/work") {
            let block = u64::try_from(work.f_bsize).unwrap_or(0);
            ended.disk_used = work.f_blocks.saturating_sub(work.f_bfree).saturating_mul(block);
            ended.disk_full = is_full(&work);
        }
        // Most often the same file system.
        ended.disk_full |= rustix::fs::statfs(c"/ws/tmp").is_ok_and(|tmp| is_full(&tmp));
    }

    /// Ends what is left where the end of this process does not.
    pub(crate) fn clear(&self) {
        match self {
            Self::Full | Self::Rootless => {}
            Self::Process { scope, .. } => scope.clear(),
        }
    }
}

fn at(stage: Stage) -> impl FnOnce(Errno) -> (Stage, Errno) {
    move |errno| (stage, errno)
}

/// Closes all but the slot's socket, the ruleset, and what an interpreter opened for itself.
fn close_all_but(bench: &Bench, ruleset: &OwnedFd) -> Result<(), (Stage, Errno)> {
    let own = [bench.socket.as_raw_fd(), ruleset.as_raw_fd()];
    let mut kept = [0; KEPT_MAX + 2];
    let mut count = 0;
    for (place, fd) in kept.iter_mut().zip(own.iter().chain(bench.shared.birth.kept())) {
        *place = *fd;
        count += 1;
    }
    let kept = kept.get_mut(..count).unwrap_or_default();
    descriptors::close_all_but(kept).map_err(at(Stage::CloseLaunchers))
}

/// Processes only: no /proc/sys, kcore, keys, cmdline of the kernel and so on. Other users' processes, that is this stub,
/// are invisible.
fn mount_proc(is_rootless: bool) -> Result<(), Errno> {
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if is_rootless {
        // The files of the network namespace are closed by their modes, and their owner could open them again.
        flags |= MountFlags::RDONLY;
    }
    mount(c"proc", c"/proc", c"proc", flags, c"subset=pid,hidepid=invisible")
}

/// One file system for both directories, as large as any request's files until the request says how large; or, where the
/// workspace is a view of another directory, one for what is changed there and one for `/tmp`.
fn mount_workspace(bench: &Bench) -> Result<(), Errno> {
    let options = workspace_options(FIRST_SIZE, Some(bench.uid));
    let fresh = |target| mount(c"tmpfs", target, c"tmpfs", WORKSPACE_FLAGS, options.as_c_str());
    fresh(c"/ws/tmp")?;
    if bench.shared.has_base {
        fresh(base::layer())?;
        base::make_layer()?;
        return base::lay_under(None);
    }
    mkdir(c"/ws/tmp/.work", Mode::RWXU)?;
    mount_bind(c"/ws/tmp/.work", c"/ws/work")
}

fn workspace_options(size: u64, owner: Option<u32>) -> SmallText {
    let text = SmallText::new().text("size=").number(size).text(",nr_inodes=").number(INODES_MAX);
    match owner {
        Some(uid) => {
            let uid = u64::from(uid);
            text.text(",mode=0700,uid=").number(uid).text(",gid=").number(uid)
        }
        None => text,
    }
}

fn open_directory(path: &CStr) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn attach(mounted: &OwnedFd, target: &CStr) -> Result<(), Errno> {
    move_mount(mounted.as_fd(), c"", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Whether the supervisor has asked for the end of this cage, or is gone.
fn is_the_end(socket: BorrowedFd<'_>, generation: u64) -> bool {
    let mut bytes = [0; Command::BYTES];
    match recv(socket, &mut bytes, rustix::net::RecvFlags::DONTWAIT) {
        Ok((0, _)) => true,
        Ok((length, _)) => {
            let command = bytes.get(..length).and_then(Command::decode_whole);
            command.is_some_and(|command| is_for(command, generation))
        }
        Err(Errno::AGAIN | Errno::INTR) => false,
        Err(_) => true,
    }
}

const fn is_full(usage: &rustix::fs::StatFs) -> bool {
    usage.f_bfree == 0 || usage.f_ffree == 0
}
