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

use crate::descriptors::{is_event_counter, own_path};
use crate::{point, raw};

/// By this path a session's agent opens the socket that is its standard input, where its language cannot write to that.
const CHANNEL: &[u8] = b"/rollcage/channel";
const PREFIX: &[u8] = b"/rollcage/branch/";
/// The number that a session's interpreter has. A branch of it gets the next, and a branch of that this one again.
const FIRST_NUMBER: i32 = 2;
/// What fork(3) returns in the trunk, whose child the branch is not.
const NOT_A_CHILD: libc::pid_t = libc::pid_t::MAX;
const PATH_BYTES: usize = 4096;
/// Descriptors that cells do not meet.
const KEPT_FROM: c_int = 64;

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

/// A regular file that is open.
struct OpenFile {
    number: c_int,
    path: CString,
    flags: c_int,
    on_exec: c_int,
    offset: i64,
}

/// If a path asks for the socket: another descriptor of it.
pub(crate) fn channel(path: &CStr) -> Option<c_int> {
    (path.to_bytes() == CHANNEL).then(|| raw::duplicate_at_least(0, KEPT_FROM).unwrap_or(-1))
}

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
    match prepare(trunk) {
        Ok(held) => {
            say(socket, "branching", "").ok()?;
            let arrived = receive_arrivals(socket).ok()?;
            *PLANNED.lock().ok()? = Some(Planned { socket, arrived, held });
            ARMED.store(true, Ordering::Relaxed);
            Some(c"/dev/null")
        }
        Err(reason) => {
            let _unheard = say(socket, "refused", reason);
            None
        }
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
    for number in open_descriptors() {
        let Ok(status) = raw::file_status(number) else { continue };
        let own = Some((status.st_dev, status.st_ino));
        match status.st_mode & libc::S_IFMT {
            _ if known.contains(&own) => {
                let which = known.iter().position(|known| *known == own).unwrap_or(0);
                replaced.push((number, which, raw::flags(number, libc::F_GETFD).unwrap_or(0)));
            }
            libc::S_IFCHR => {}
            libc::S_IFREG | libc::S_IFDIR => files.push(open_file(number, &status)?),
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
fn open_descriptors() -> Vec<c_int> {
    let listed = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn open_file(number: c_int, status: &libc::stat) -> Result<OpenFile, &'static str> {
    const GONE: &str = "it holds a file that has no name any more";
    if status.st_nlink == 0 {
        return Err(GONE);
    }
    let mut place = [0; 32];
    let mut buffer = [0; PATH_BYTES];
    let length = raw::read_link(own_path(number, &mut place), &mut buffer).map_err(|_errno| GONE)?;
    let path = CString::new(buffer.get(..length).unwrap_or_default()).map_err(|_nul| GONE)?;
    let is_directory = status.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let offset = if is_directory { 0 } else { raw::seek(number, 0, libc::SEEK_CUR).unwrap_or(0) };
    let flags = raw::flags(number, libc::F_GETFL).map_err(|_errno| GONE)?;
    let on_exec = raw::flags(number, libc::F_GETFD).map_err(|_errno| GONE)?;
    Ok(OpenFile { number, path, flags, on_exec, offset })
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
    let [socket, _output, _error, init] = &planned.arrived;
    let plan = BranchPlan {
        socket: socket.as_raw_fd(),
        init: init.as_raw_fd(),
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

const fn on_exec_flag(on_exec: c_int) -> c_int {
    if on_exec & libc::FD_CLOEXEC == 0 { 0 } else { libc::O_CLOEXEC }
}

impl OpenFile {
    fn open_again(&self) -> Result<(), raw::Errno> {
        let once = libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC;
        let opened = raw::open_existing(&self.path, self.flags & !once | libc::O_CLOEXEC)?;
        if self.offset > 0 {
            raw::seek(opened, self.offset, libc::SEEK_SET)?;
        }
        raw::place_with(opened, self.number, on_exec_flag(self.on_exec))?;
        raw::close(opened);
        Ok(())
    }
}
