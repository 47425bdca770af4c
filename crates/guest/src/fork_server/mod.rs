//! An interpreter as the launcher: it is started, initialises, and where it opens its program it makes cages whose programs
//! are copies of it.
//!
//! Before the interpreter runs, [`execute`] puts it into a user namespace of its own, without anything of the host. What
//! the library preloaded into it finds at the fork point is a [`Handover`], with which it becomes the launcher. From then on
//! stubs, confinement, reports and the end of all are those of any launcher.

mod execute;
mod handover;

pub(crate) use execute::execute;
pub use handover::Handover;
pub use rollcage_sys::child::Extent;

/// Descriptors an interpreter may hold for itself at its fork point: Ruby has two, the others none.
pub const KEPT_MAX: usize = 32;

/// Bytes of its memory that a copy may write to ahead of its request; further ones it writes to as it comes to them.
pub const COPIED_AHEAD_MAX: usize = 4 << 20;

/// The descriptor of the socket with the [`Handover`], as a decimal number. Set by the launcher; the others by its
/// supervisor.
pub const SOCKET_VARIABLE: &str = "ROLLCAGE_FORK_SOCKET";
/// In place of the socket where the process does not become a server, but waits there until its standard input has
/// something to read or its end: the processor time it may use from then on, in whole seconds.
pub const SPARE_VARIABLE: &str = "ROLLCAGE_SPARE_SECONDS";
/// The file in its first directory that a process makes when it begins to wait, so that one which does not wait, whatever the
/// reason, is never taken for one that does. Its supervisor removes it.
pub const WAITING_FILE: &std::ffi::CStr = c".rollcage-waiting";
/// The absolute path whose opening is the fork point.
pub const POINT_VARIABLE: &str = "ROLLCAGE_FORK_POINT";
/// Optional: `read` where the fork point is not the opening of the path but the first reading of what was opened; `loaded`
/// where it comes later, see the preloaded library.
pub const STOP_VARIABLE: &str = "ROLLCAGE_FORK_STOP";
/// Optional: how many openings of the path are let pass first, as a decimal number.
pub const PASSES_VARIABLE: &str = "ROLLCAGE_FORK_PASSES";
/// Optional: the absolute path of the executable that becomes the server, where a wrapper comes first.
pub const EXECUTABLE_VARIABLE: &str = "ROLLCAGE_FORK_EXECUTABLE";
/// Optional: Python that is run at the fork point, before the first request.
pub const PRELOAD_VARIABLE: &str = "ROLLCAGE_FORK_PRELOAD";
/// Optional: names of more variables to remove at the fork point, separated by commas.
pub const HIDDEN_VARIABLE: &str = "ROLLCAGE_FORK_HIDES";
/// The list of libraries that the dynamic loader loads first.
pub const LIBRARIES_VARIABLE: &str = "LD_PRELOAD";

/// The exit code of an interpreter that refused to become a fork server.
pub const REFUSED_EXIT: i32 = 120;
