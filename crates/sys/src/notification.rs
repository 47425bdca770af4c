//! seccomp_unotify(2): system calls that wait until somebody outside lets them go on.
#![expect(unsafe_code, reason = "rustix has none of these calls")]

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

use crate::raw::syscall;
use crate::seccomp::Instruction;

/// What a filter returns to have somebody asked: `SECCOMP_RET_USER_NOTIF`.
pub const ASK: u32 = 0x7fc0_0000;

/// `struct seccomp_notif` of linux/seccomp.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    architecture: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const RECEIVE: usize = 0xc050_2100;
const SEND: usize = 0xc018_2101;
const _: () = assert!(size_of::<Notification>() == 0x50 && size_of::<Response>() == 0x18, "as the calls say");

/// A call that waits.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    id: u64,
    /// Whose, as this process numbers it.
    pub process: u32,
    /// The call.
    pub number: i32,
    /// Its first argument.
    pub argument: u64,
}

/// As [`crate::seccomp::install`], and gives what is asked about the calls for which the filter says so.
pub fn install_asking(filter: &[Instruction]) -> Result<OwnedFd, Errno> {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const Instruction,
    }
    const NEW_LISTENER: usize = 1 << 3;
    let length = u16::try_from(filter.len()).map_err(|_too_long| Errno::INVAL)?;
    let program = Program { length, instructions: filter.as_ptr() };
    let args = [libc::SECCOMP_SET_MODE_FILTER as usize, NEW_LISTENER, (&raw const program) as usize, 0, 0, 0];
    // SAFETY: `program` and the instructions it points to outlive the call, which copies them.
    let fd = unsafe { syscall(libc::SYS_seccomp, args) }?;
    let fd = i32::try_from(fd).map_err(|_too_large| Errno::MFILE)?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The next call that waits; blocks until there is one. `NOENT` if it was given up meanwhile.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Waiting, Errno> {
    let mut notification = Notification::default();
    let fd = (listener.as_raw_fd() as isize).cast_unsigned();
    // SAFETY: the kernel writes one notification where there is room for one, which is zeroed as it asks.
    unsafe { syscall(libc::SYS_ioctl, [fd, RECEIVE, (&raw mut notification) as usize, 0, 0, 0]) }?;
    let Notification { id, pid, number, arguments, .. } = notification;
    Ok(Waiting { id, process: pid, number, argument: arguments[0] })
}

/// Lets a call go on as it is, or fail with `EPERM`.
pub fn answer(listener: BorrowedFd<'_>, waiting: Waiting, goes_on: bool) -> Result<(), Errno> {
    const CONTINUE: u32 = 1;
    let response = match goes_on {
        true => Response { id: waiting.id, flags: CONTINUE, ..Response::default() },
        false => Response { id: waiting.id, error: -libc::EPERM, ..Response::default() },
    };
    let fd = (listener.as_raw_fd() as isize).cast_unsigned();
    // SAFETY: the kernel reads one response.
    unsafe { syscall(libc::SYS_ioctl, [fd, SEND, (&raw const response) as usize, 0, 0, 0]) }.map(|_zero| ())
}
