//! The descriptors that the interpreter opened while it started, which its children must not share.
//!
//! Two children with one eventfd, pipe or file offset could disturb each other. So a child gets new ones under the same
//! numbers. What cannot be made anew keeps the interpreter from becoming a server.

use core::ffi::CStr;

use rollcage_guest::fork_server::KEPT_MAX;
use rollcage_guest::protocol::Refusal;

use crate::raw::{self, Errno};

/// [`KEPT_MAX`] for a report.
const KEPT_MAX_DETAIL: i64 = 32;
const _: () = assert!(KEPT_MAX == 32, "both are one number");
/// Descriptors looked at. One above is not kept, so children do not have it; interpreters start from the lowest.
const LOOKED_AT: i32 = 1024;
/// The standard streams come with each request.
const FIRST: i32 = 3;
/// Bytes of `/proc/self/fd/` and a number, with its NUL.
const PATH_BYTES: usize = 32;

/// What the interpreter holds.
#[derive(Debug)]
pub(crate) struct Own {
    /// In ascending order; the first `len` count.
    held: [Held; KEPT_MAX],
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    number: i32,
    kind: Kind,
    /// `FD_CLOEXEC`, or not.
    on_exec: i32,
    /// As `F_GETFL` gives it.
    status: i32,
    inode: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A device, or a directory: nothing in it that could be disturbed.
    Harmless,
    /// A regular file that can only be read: opened again, at its offset.
    File,
    EventCounter,
    Pipe,
    /// A file without a name that can be written to: the text that a session's agent came in. A session never reads on in it.
    Script,
}

impl Own {
    /// What is open besides the standard streams and `socket`. The program's file, if that is `open`, will be replaced by
    /// whoever opened it.
    pub(crate) fn take_stock(
        socket: i32,
        open: Option<i32>,
        is_session: bool,
    ) -> Result<Self, (Refusal, i64)> {
        let nothing = Held { number: -1, kind: Kind::Harmless, on_exec: 0, status: 0, inode: 0 };
        let mut own = Self { held: [nothing; KEPT_MAX], len: 0 };
        for number in (FIRST..LOOKED_AT).filter(|number| *number != socket) {
            let Ok(on_exec) = raw::flags(number, libc::F_GETFD) else { continue };
            let shared = (Refusal::SharedDescriptor, i64::from(number));
            let held = if open == Some(number) {
                Held { number, on_exec, ..nothing }
            } else {
                Held::look(number, on_exec, is_session).ok_or(shared)?
            };
            let place = own.held.get_mut(own.len);
            *place.ok_or((Refusal::TooManyDescriptors, KEPT_MAX_DETAIL))? = held;
            own.len += 1;
        }
        // A pipe with one end here has the other somewhere else.
        for held in own.iter().filter(|held| held.kind == Kind::Pipe) {
            let has = |mode| {
                own.iter().any(|other| other.inode == held.inode && other.status & libc::O_ACCMODE == mode)
            };
            if !(has(libc::O_RDONLY) && has(libc::O_WRONLY)) {
                return Err((Refusal::SharedDescriptor, i64::from(held.number)));
            }
        }
        Ok(own)
    }

    fn iter(&self) -> impl Iterator<Item = &Held> + Clone {
        self.held.iter().take(self.len)
    }

    /// In a child: makes anew what it shares with the server. Needs `/proc` if there is a regular file.
    pub(crate) fn make_private(&self) -> Result<(), Errno> {
        for (index, held) in self.iter().enumerate() {
            let flags = held.status & (libc::O_NONBLOCK | libc::O_ACCMODE) | libc::O_CLOEXEC;
            match held.kind {
                Kind::Harmless => {}
                Kind::File => {
                    let offset = raw::seek(held.number, 0, libc::SEEK_CUR)?;
                    let mut buffer = [0; PATH_BYTES];
                    let again = raw::open_existing(own_path(held.number, &mut buffer), flags)?;
                    raw::seek(again, offset, libc::SEEK_SET)?;
                    held.replace(again)?;
                }
                Kind::EventCounter => {
                    held.replace(raw::event_counter(flags & libc::O_NONBLOCK | libc::EFD_CLOEXEC)?)?;
                }
                Kind::Pipe => self.replace_pipe(index, held.inode)?,
                Kind::Script => held.replace(raw::open_existing(c"/dev/null", flags)?)?,
            }
        }
        Ok(())
    }

    /// Replaces all descriptors of one pipe, once: at the first of them.
    fn replace_pipe(&self, index: usize, inode: u64) -> Result<(), Errno> {
        let ends = || self.iter().filter(|held| held.kind == Kind::Pipe && held.inode == inode);
        if self.iter().take(index).any(|held| held.kind == Kind::Pipe && held.inode == inode) {
            return Ok(());
        }
        let is_nonblocking = ends().any(|held| held.status & libc::O_NONBLOCK != 0);
        let [from, to] = raw::pipe(libc::O_CLOEXEC | if is_nonblocking { libc::O_NONBLOCK } else { 0 })?;
        for held in ends() {
            let end = if held.status & libc::O_ACCMODE == libc::O_RDONLY { from } else { to };
            raw::place_with(end, held.number, held.flags_on_exec())?;
        }
        raw::close(from);
        raw::close(to);
        Ok(())
    }

    /// Their numbers, in ascending order.
    pub(crate) fn numbers(&self) -> Vec<i32> {
        self.iter().map(|held| held.number).collect()
    }
}

impl Held {
    /// `None` if children could not be given one like it.
    fn look(number: i32, on_exec: i32, is_session: bool) -> Option<Self> {
        let file = raw::file_status(number).ok()?;
        let status = raw::flags(number, libc::F_GETFL).ok()?;
        let is_read_only = status & libc::O_ACCMODE == libc::O_RDONLY;
        let kind = match file.st_mode & libc::S_IFMT {
            libc::S_IFCHR | libc::S_IFDIR => Kind::Harmless,
            libc::S_IFREG if is_read_only => Kind::File,
            libc::S_IFREG if is_session && file.st_nlink == 0 => Kind::Script,
            libc::S_IFIFO => Kind::Pipe,
            _ if is_event_counter(number) => Kind::EventCounter,
            _ => return None,
        };
        Some(Self { number, kind, on_exec, status, inode: file.st_ino })
    }

    fn flags_on_exec(&self) -> i32 {
        if self.on_exec & libc::FD_CLOEXEC == 0 { 0 } else { libc::O_CLOEXEC }
    }

    /// Puts `new` in its place.
    fn replace(&self, new: i32) -> Result<(), Errno> {
        raw::place_with(new, self.number, self.flags_on_exec())?;
        raw::close(new);
        Ok(())
    }
}

pub(crate) fn is_event_counter(number: i32) -> bool {
    let mut path = [0; PATH_BYTES];
    let mut target = [0; PATH_BYTES];
    let read = raw::read_link(own_path(number, &mut path), &mut target).unwrap_or(0);
    target.get(..read) == Some(b"anon_inode:[eventfd]")
}

/// `/proc/self/fd/NUMBER`, written into `buffer`.
pub(crate) fn own_path(number: i32, buffer: &mut [u8; PATH_BYTES]) -> &CStr {
    const DIRECTORY: &[u8] = b"/proc/self/fd/";
    buffer[..DIRECTORY.len()].copy_from_slice(DIRECTORY);
    let mut digits = [0; 10];
    let mut rest = number.unsigned_abs();
    let mut count = 0;
    for (digit, value) in digits.iter_mut().zip(b"0".iter().cycle()) {
        *digit = value + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    for (place, digit) in buffer.iter_mut().skip(DIRECTORY.len()).zip(digits.iter().take(count).rev()) {
        *place = *digit;
    }
    // There is room for more digits than a number has, so a NUL remains.
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"")
}
