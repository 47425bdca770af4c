//! What the environment asks of this library, read once and removed before the interpreter looks.
//!
//! Nothing of it may reach the program: not the variables, not the entry in `LD_PRELOAD`, which would load this library
//! into whatever the program executes. A wrapper that runs first (R is a shell script) keeps everything as it is.

use core::ffi::CStr;
use std::ffi::CString;

use crate::environment;
use crate::raw;
use crate::wire::{EXECUTABLE_VARIABLE, HIDDEN_VARIABLE, POINT_VARIABLE, PRELOAD_VARIABLE, SOCKET_VARIABLE};

/// Above all descriptors that an interpreter opens when it starts, so that these get the numbers that they get cold;
/// below the lowest limit on descriptors in use.
const SOCKET_LEAST: i32 = 100;

/// Bytes of the longest path, with its NUL.
const PATH_BYTES_MAX: usize = 4096;

/// What one interpreter is to do.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The path whose opening is the fork point; absolute.
    pub(crate) point: CString,
    /// The directory that relative paths start from.
    pub(crate) directory: CString,
    pub(crate) socket: i32,
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
    let socket: i32 = environment::value(SOCKET_VARIABLE)?.to_str().ok()?.parse().ok()?;
    if environment::value(EXECUTABLE_VARIABLE).is_some_and(|wanted| !is_executable(wanted)) {
        return None;
    }
    let settings = Settings {
        point,
        directory: current_directory()?,
        socket: raw::duplicate_at_least(socket, SOCKET_LEAST).ok()?,
        pid: raw::own_pid(),
        preload: environment::value(PRELOAD_VARIABLE).map(CStr::to_owned),
        hidden: environment::value(HIDDEN_VARIABLE).map(CStr::to_owned).unwrap_or_default(),
    };
    // Whatever else came along would count among the interpreter's own.
    let up_to_socket = raw::close_range(3, settings.socket - 1);
    let after_socket = raw::close_range(settings.socket + 1, i32::MAX);
    environment::remove_own();
    up_to_socket.and(after_socket).ok().map(|()| settings)
}

impl Settings {
    /// Whether an open of `path` is the one waited for.
    pub(crate) fn is_point(&self, path: &CStr) -> bool {
        let (path, point) = (path.to_bytes(), self.point.to_bytes());
        if path.first() == Some(&b'/') {
            return path == point;
        }
        let below = point.strip_prefix(self.directory.to_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
        below == Some(path.strip_prefix(b"./").unwrap_or(path))
    }
}

fn is_executable(wanted: &CStr) -> bool {
    let mut buffer = [0; PATH_BYTES_MAX];
    let read = raw::read_link(c"/proc/self/exe", &mut buffer).unwrap_or(0);
    buffer.get(..read) == Some(wanted.to_bytes())
}

fn current_directory() -> Option<CString> {
    let directory = std::env::current_dir().ok()?;
    CString::new(directory.into_os_string().into_encoded_bytes()).ok()
}
