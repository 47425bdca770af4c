//! Moving what a waiting session holds out of memory, where there is somewhere to move it: swap, compressed or not.

use std::os::fd::AsFd as _;

use rollcage_sys::page_out::{Range, page_out};
use rollcage_types::ByteSize;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::SandboxError;
use crate::furnish::system;
use crate::session::cage::{SessionCage, group};

/// Memory that can still be moved out on this machine. None, and a kernel that is asked to moves nothing.
pub fn swap_free() -> ByteSize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("SwapFree:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    ByteSize::kib(kib.unwrap_or(0))
}

impl SessionCage {
    /// Has the session's own memory moved out. It comes back page by page when its next cell touches it.
    pub fn park(&self) -> Result<(), SandboxError> {
        for process in self.group.processes_now().map_err(group)? {
            let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) else { continue };
            // It ended meanwhile, or its memory is being taken apart.
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            let ranges = private_ranges(process);
            match page_out(pidfd.as_fd(), &ranges) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(system("move a session's memory out")(errno)),
            }
        }
        Ok(())
    }
}

fn private_ranges(process: u32) -> Vec<Range> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    maps.lines().filter_map(private_and_writable).collect()
}

/// The addresses of a line like `55d0-55d1 rw-p …`.
fn private_and_writable(line: &str) -> Option<Range> {
    let mut fields = line.split(' ');
    let (start, end) = fields.next()?.split_once('-')?;
    if fields.next()? != "rw-p" {
        return None;
    }
    let address = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (address(start)?, address(end)?);
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_that_can_be_written_is_a_sessions_own() {
        for (line, expected) in [
            ("1000-3000 rw-p 00000000 00:00 0 [heap]", Some((0x1000, 0x2000))),
            ("1000-3000 r--p 00000000 00:00 0", None),
            ("1000-3000 rw-s 00000000 00:00 0", None),
            ("nonsense", None),
        ] {
            assert_eq!(private_and_writable(line), expected, "{line}");
        }
    }
}
