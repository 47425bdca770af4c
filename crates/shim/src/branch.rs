//! Branches of a session: the interpreter asks for one by opening a path that is never there, and forks as its language does.
//!
//! The path names three descriptors: the socket to the supervisor, and those that standard output and error go to. The answer
//! on the socket brings what the branch will have in their place, and the next fork(3) makes it. In the branch every descriptor of
//! those three is replaced, whatever its number; regular files are opened again at their offsets, in the branch's own copy of
//! the workspace; and the current directory is entered again.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::CString;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Mutex;

use rollcage_guest::branch::{ARRIVALS, receive_arrivals};
use rollcage_sys::child::{BranchPlan, Side, branch};
use rollcage_sys::pidfd;

use crate::descriptors::is_event_counter;
use crate::open_files::{OpenFile, on_exec_flag};
use crate::signals::Blocked;
use crate::{point, raw};

const PREFIX: &[u8] = b"/rollcage/branch/";
/// The number that a session's interpreter has. A branch of it gets the next, and a branch of that this one again.
const FIRST_NUMBER: i32 = 2;
/// What fork(3) returns in the trunk, whose child the branch is not.
const NOT_A_CHILD: libc::pid_t = libc::pid_t::MAX;
const PATH_BYTES: usize = 4096;

/// Set while the next fork is to be a branch.
static ARMED: AtomicBool = AtomicBool::new(false);
static PLANNED: Mutex<Option<Planned>> = Mutex::new(None);

struct Planned {
    /// The trunk's own.
    socket: c_int,
    /// The branch's, and what its init executes.
    arrived: [OwnedFd; ARRIVALS],
    held: Held,
}

/// What a branch will have of its own in place of its trunk's.
struct Held {
    files: Vec<OpenFile>,
    replaced: Vec<Replaced>,
    /// Event counters, by number, and `F_GETFL` of them.
    counters: Vec<(c_int, c_int)>,
    directory: CString,
}

/// A descriptor, which of those that arrived takes its place, and `F_GETFD` of it.
type Replaced = (c_int, usize, c_int);

/// Looks whether a path asks for a branch, and if so has everything ready for it or says why there will be none. What is opened in
/// place of the path says which.
pub(crate) fn look_at(path: &CStr) -> Option<&'static CStr> {
    let numbers = path.to_bytes().strip_prefix(PREFIX)?;
    let mut numbers = numbers
        .split(|byte| *byte == b'/')
        .map(|word| std::str::from_utf8(word).ok().and_then(|word| word.parse::<c_int>().ok()));
    let (Some(Some(socket)), Some(Some(output)), Some(Some(error))) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        return None;
    };
    let trunk = [socket, output, error];
    match arm(socket, trunk) {
        Ok(true) => Some(c"/dev/null"),
        Ok(false) => None,
        Err(reason) => {
            let _unheard = say(socket, "refused", reason);
            None
        }
    }
}

/// Whether the next fork is to be a branch now, unless the supervisor has called it off.
fn arm(socket: c_int, trunk: [c_int; 3]) -> Result<bool, &'static str> {
    const LOST: &str = "it cannot be spoken to";
    let held = prepare(trunk)?;
    say(socket, "branching", "").map_err(|_errno| LOST)?;
    let Some(arrived) = receive_arrivals(socket).map_err(|_errno| "it has no descriptors left")? else {
        return Ok(false);
    };
    *PLANNED.lock().map_err(|_poisoned| LOST)? = Some(Planned { socket, arrived, held });
    ARMED.store(true, Ordering::Relaxed);
    Ok(true)
}

/// The next fork is to be none after all.
pub(crate) fn disarm() {
    ARMED.store(false, Ordering::Relaxed);
    let planned = PLANNED.lock().ok().and_then(|mut planned| planned.take());
    if let Some(planned) = planned {
        let _unheard = say(planned.socket, "refused", "it has no descriptors left");
    }
}

fn say(socket: c_int, kind: &str, content: &str) -> Result<(), raw::Errno> {
    raw::write_all(socket, format!("{kind} {}\n{content}", content.len()).as_bytes())
}

/// What has to be known beforehand, or why a copy would not be a branch.
fn prepare(trunk: [c_int; 3]) -> Result<Held, &'static str> {
    if raw::thread_count() != Ok(1) {
        return Err("it has threads");
    }
    if raw::has_child() {
        return Err("it has children");
    }
    let known = trunk.map(identity);
    let mut files = Vec::new();
    let (mut replaced, mut counters) = (Vec::new(), Vec::new());
    for number in open_descriptors().ok_or("its descriptors cannot be listed")? {
        let Ok(status) = raw::file_status(number) else { continue };
        let own = Some((status.st_dev, status.st_ino));
        match status.st_mode & libc::S_IFMT {
            _ if known.contains(&own) => {
                let which = known.iter().position(|known| *known == own).unwrap_or(0);
                replaced.push((number, which, raw::flags(number, libc::F_GETFD).unwrap_or(0)));
            }
            libc::S_IFCHR => {}
            libc::S_IFREG | libc::S_IFDIR => files.push(OpenFile::look_at(number, &status, &files)?),
            // Ruby wakes itself by these.
            _ if is_event_counter(number) => {
                counters.push((number, raw::flags(number, libc::F_GETFL).unwrap_or(0)));
            }
            _ => return Err("it has descriptors that cannot be copied"),
        }
    }
    let mut buffer = [0; PATH_BYTES];
    let length = raw::read_link(c"/proc/self/cwd", &mut buffer).unwrap_or(0);
    let directory = CString::new(buffer.get(..length).unwrap_or_default()).unwrap_or_default();
    Ok(Held { files, replaced, counters, directory })
}

/// By a listing: there may be few of many.
fn open_descriptors() -> Option<Vec<c_int>> {
    let listed = std::fs::read_dir("/proc/self/fd").ok()?.flatten();
    Some(listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn identity(number: c_int) -> Option<(libc::dev_t, libc::ino_t)> {
    raw::file_status(number).ok().map(|status| (status.st_dev, status.st_ino))
}

/// If the next fork is to be a branch: makes it, and gives what fork(3) returns.
pub(crate) fn fork_asked_for() -> Option<libc::pid_t> {
    if !ARMED.swap(false, Ordering::Relaxed) {
        return None;
    }
    let planned = PLANNED.lock().ok()?.take()?;
    // One that came while the clone waits would have it made again, which nobody waits for then.
    let _held = Blocked::take();
    let [socket, _output, _error, init] = &planned.arrived;
    let plan = BranchPlan {
        socket: socket.as_raw_fd(),
        init: init.as_raw_fd(),
        tells: !pidfd::is_told_how_processes_end(),
        skips_number: raw::own_pid() == FIRST_NUMBER,
    };
    Some(match branch(plan, point::registered_sequences()) {
        Ok(Side::Trunk) => NOT_A_CHILD,
        Ok(Side::Branch) => {
            if planned.settle().is_err() {
                raw::exit(1);
            }
            0
        }
        // The caller need not know: it goes on as a trunk does, and to fail is not what each language expects of a fork.
        Err(errno) => {
            let _unheard = say(planned.socket, "refused", &format!("the kernel made no copy: {errno}"));
            NOT_A_CHILD
        }
    })
}

impl Planned {
    /// In the branch: gives it what is its own.
    fn settle(&self) -> Result<(), raw::Errno> {
        raw::new_session();
        // A directory that is gone is none in the copy either.
        if raw::change_directory(&self.held.directory).is_err() {
            raw::change_directory(c"/ws/work")?;
        }
        for file in &self.held.files {
            file.open_again()?;
        }
        for (number, flags) in &self.held.counters {
            let own = raw::event_counter(flags & libc::O_NONBLOCK | libc::O_CLOEXEC)?;
            raw::place_with(own, *number, libc::O_CLOEXEC)?;
            raw::close(own);
        }
        for (number, which, on_exec) in &self.held.replaced {
            let new = self.arrived.get(*which).ok_or(libc::EINVAL)?.as_raw_fd();
            raw::place_with(new, *number, on_exec_flag(*on_exec))?;
        }
        Ok(())
    }
}
