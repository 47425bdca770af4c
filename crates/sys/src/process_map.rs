//! What the memory of a process is made of: see proc_pid_maps(5), and `PROCMAP_QUERY` in linux/fs.h.
#![expect(unsafe_code, reason = "rustix has no such call")]

use core::ffi::CStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::raw::syscall;

/// `struct procmap_query`, of which only the question matters here.
#[repr(C)]
#[derive(Default)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    answer: [u64; 10],
}

const QUERY: usize = 0xc068_6611;
const _: () = assert!(size_of::<Query>() == 0x68, "as the call says");

/// Whether a process has a mapping that is shared and can be written to. `maps` is its file of this name in /proc.
pub fn shares_memory(maps: &CStr) -> Result<bool, Errno> {
    let maps = openat(CWD, maps, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    match query(&maps) {
        // Kernels before 6.11 do not know the question, and filters may not.
        Err(Errno::NOTTY | Errno::INVAL) => read(maps),
        answered => answered,
    }
}

fn query(maps: &OwnedFd) -> Result<bool, Errno> {
    /// The first one from an address on that is writable and shared.
    const FLAGS: u64 = 0x02 | 0x08 | 0x10;
    let mut query = Query { size: size_of::<Query>() as u64, flags: FLAGS, ..Query::default() };
    let fd = (maps.as_raw_fd() as isize).cast_unsigned();
    // SAFETY: the kernel reads and writes one structure, of the size that the call says, with no pointer in it.
    match unsafe { syscall(libc::SYS_ioctl, [fd, QUERY, (&raw mut query) as usize, 0, 0, 0]) } {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn read(maps: OwnedFd) -> Result<bool, Errno> {
    let mut text = String::new();
    File::from(maps)
        .read_to_string(&mut text)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(text.lines().filter_map(|line| line.split(' ').nth(1)).any(is_shared_and_writable))
}

/// Of the second field of a line: `rw-s`.
fn is_shared_and_writable(permissions: &str) -> bool {
    let permissions = permissions.as_bytes();
    permissions.get(1) == Some(&b'w') && permissions.get(3) == Some(&b's')
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process that has said that it is ready, and waits.
    fn python(mapping: &str) -> (Child, std::ffi::CString) {
        let script = format!("import mmap\n{mapping}\nprint(flush=True); input()");
        let mut child = Command::new("python3")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let maps = std::ffi::CString::new(format!("/proc/{}/maps", child.id())).unwrap();
        (child, maps)
    }

    #[test]
    fn memory_that_others_could_change_is_seen_either_way() {
        for (mapping, expected) in [
            ("", false),
            ("m = mmap.mmap(-1, 4096)", true),
            ("m = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)", false),
            ("f = open('/bin/sh', 'rb'); m = mmap.mmap(f.fileno(), 4096, prot=mmap.PROT_READ)", false),
        ] {
            let (mut child, maps) = python(mapping);
            let file = || OwnedFd::from(File::open(maps.to_str().unwrap()).unwrap());
            let answers = (shares_memory(&maps), read(file()));
            drop(child.stdin.take());
            child.wait().unwrap();
            assert_eq!(answers, (Ok(expected), Ok(expected)), "{mapping}");
        }
    }
}
