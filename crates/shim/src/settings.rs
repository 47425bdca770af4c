//! What the environment asks of this library, read once and removed before the interpreter looks.
//!
//! Nothing of it may reach the program: not the variables, not the entry in `LD_PRELOAD`, which would load this library
//! into whatever the program executes. A wrapper that runs first (R is a shell script) keeps everything as it is.

use core::ffi::CStr;
use std::ffi::CString;
use std::os::fd::{FromRawFd as _, OwnedFd};

use rollcage_guest::fork_server::{
    EXECUTABLE_VARIABLE, HIDDEN_VARIABLE, PASSES_VARIABLE, POINT_VARIABLE, PRELOAD_VARIABLE, SOCKET_VARIABLE,
    SPARE_VARIABLE, STOP_VARIABLE,
};

use crate::environment;
use crate::raw;

/// Above all descriptors that an interpreter opens when it starts, so that these get the numbers that they get cold;
/// below the lowest limit on descriptors in use.
const SOCKET_LEAST: i32 = 100;

/// Bytes of the longest path, with its NUL.
const PATH_BYTES_MAX: usize = 4096;

/// Which call is the fork point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The one that opens the program.
    Open,
    /// The first that reads from it, where an interpreter goes on initialising after it has opened it.
    Read,
    /// The one by which Ruby says that it has loaded what programs need; see `calls`.
    Loaded,
}

/// What becomes of the process at the path that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It serves copies of itself. What it is told comes from this socket.
    Server {
        /// A descriptor.
        socket: i32,
    },
    /// It waits for its input, and may use so many seconds of processor time then.
    Spare {
        /// Whole ones.
        seconds: u64,
    },
}

/// What one interpreter is to do.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The path whose opening is waited for; absolute.
    point: CString,
    /// Where the part of it begins that is relative to the interpreter's first directory, if there is one.
    relative_at: Option<usize>,
    pub(crate) stop: Stop,
    /// Openings that are let pass before it is waited for: an interpreter may look at the file before it runs it.
    pub(crate) passes: u32,
    pub(crate) role: Role,
    /// The process that loaded this library; its children are not the server.
    pub(crate) pid: i32,
    pub(crate) preload: Option<CString>,
    /// More names to remove, separated by commas, when the fork point is reached: the interpreter itself reads them.
    pub(crate) hidden: CString,
}

/// Reads the settings, removes them from the environment and takes the socket. `None` if there are none for this
/// executable, which then runs undisturbed.
pub(crate) fn take() -> Option<Settings> {
    let point = environment::value(POINT_VARIABLE)?.to_owned();
    let role = match (number(SOCKET_VARIABLE), number(SPARE_VARIABLE)) {
        (Some(socket), _) => Role::Server { socket: raw::duplicate_at_least(socket, SOCKET_LEAST).ok()? },
        (None, Some(seconds)) => Role::Spare { seconds },
        (None, None) => return None,
    };
    if environment::value(EXECUTABLE_VARIABLE).is_some_and(|wanted| !is_executable(wanted)) {
        return None;
    }
    let settings = Settings {
        relative_at: relative_part(&point),
        point,
        stop: match environment::value(STOP_VARIABLE).map(CStr::to_bytes) {
            Some(b"read") => Stop::Read,
            Some(b"loaded") => Stop::Loaded,
            _ => Stop::Open,
        },
        passes: number(PASSES_VARIABLE).unwrap_or(0),
        role,
        pid: raw::own_pid(),
        preload: environment::value(PRELOAD_VARIABLE).map(CStr::to_owned),
        hidden: environment::value(HIDDEN_VARIABLE).map(CStr::to_owned).unwrap_or_default(),
    };
    environment::remove_own();
    if let Role::Server { socket } = settings.role {
        // Whatever else came along would count among the interpreter's own.
        raw::close_range(3, socket - 1).and(raw::close_range(socket + 1, i32::MAX)).ok()?;
    }
    Some(settings)
}

impl Settings {
    /// Whether what comes of the fork point are sessions.
    pub(crate) fn is_session(&self) -> bool {
        self.point.to_bytes().starts_with(b"/rollcage/")
    }

    /// If an open of `path` is the one waited for: the same name in memory of our own.
    pub(crate) fn point(&self, path: &CStr) -> Option<&CStr> {
        let path = path.to_bytes();
        if path.first() == Some(&b'/') {
            return (path == self.point.to_bytes()).then_some(&self.point);
        }
        self.relative_at?;
        let relative = self.path();
        (relative.to_bytes() == path.strip_prefix(b"./").unwrap_or(path)).then_some(relative)
    }

    /// The path whose opening is waited for, by which a copy opens it: relative where there is such a way, because programs
    /// may be in another directory than the server was.
    pub(crate) fn path(&self) -> &CStr {
        let relative = self.relative_at.and_then(|at| self.point.to_bytes_with_nul().get(at..));
        relative.and_then(|bytes| CStr::from_bytes_with_nul(bytes).ok()).unwrap_or(&self.point)
    }

    /// The socket with the handover, which is given away; `None` where there is none.
    pub(crate) fn take_socket(&self) -> Option<OwnedFd> {
        let Role::Server { socket } = self.role else { return None };
        // SAFETY: `take` made this descriptor, and nobody asks for it twice: the process ends, or becomes the launcher.
        Some(unsafe { OwnedFd::from_raw_fd(socket) })
    }
}

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    environment::value(variable)?.to_str().ok()?.parse().ok()
}

fn is_executable(wanted: &CStr) -> bool {
    let mut buffer = [0; PATH_BYTES_MAX];
    let read = raw::read_link(c"/proc/self/exe", &mut buffer).unwrap_or(0);
    buffer.get(..read) == Some(wanted.to_bytes())
}

fn relative_part(point: &CStr) -> Option<usize> {
    let directory = std::env::current_dir().ok()?.into_os_string().into_encoded_bytes();
    let rest = point.to_bytes().strip_prefix(directory.as_slice())?;
    rest.starts_with(b"/").then_some(directory.len() + 1)
}
