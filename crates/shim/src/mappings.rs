//! Memory of the interpreter's that its copies would not have for themselves.

use std::io::Read as _;

/// Whether the process has a mapping that is shared and can be written to, or why that cannot be found out.
pub(crate) fn has_shared() -> Result<bool, i32> {
    let mut text = String::new();
    // By way of std, whose calls of libc are this library's own while the fork point is waited for no more.
    std::fs::File::open("/proc/self/maps")
        .and_then(|mut maps| maps.read_to_string(&mut text))
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
    Ok(text.lines().filter_map(|line| line.split(' ').nth(1)).any(is_shared_and_writable))
}

/// Of the second field of a line: `rw-s`.
fn is_shared_and_writable(permissions: &str) -> bool {
    let permissions = permissions.as_bytes();
    permissions.get(1) == Some(&b'w') && permissions.get(3) == Some(&b's')
}
