//! A process executed ahead, which waits for its program where it opens it.
//!
//! It may have any number of threads: the one that opens the file waits, as for a slow disk. Nothing else of it changes.

use rollcage_guest::fork_server::WAITING_FILE;

use crate::raw;

/// Says that it waits, and waits until standard input has something to read, or its end: the supervisor gives a program its input last. From then on
/// the process may use so many `seconds` of processor time.
pub(crate) fn wait(seconds: u64) {
    if raw::make_file(WAITING_FILE).is_err() {
        raw::exit(127);
    }
    raw::wait_readable(0);
    // A second more than was used, because parts of seconds are not counted here.
    let limit = raw::used_seconds().saturating_add(seconds).saturating_add(1);
    if raw::lower_limit(libc::RLIMIT_CPU, limit).is_err() {
        raw::exit(127);
    }
}
