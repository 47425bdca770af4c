//! The loopback interface of a fresh network namespace; see netdevice(7).
#![expect(unsafe_code, reason = "rustix has no interface requests")]

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

use crate::raw::syscall;

/// `struct ifreq` of `linux/if.h`: a name, and a union of 24 bytes.
#[repr(C, align(8))]
struct Request {
    name: [u8; 16],
    value: [u8; 24],
}

/// `SIOCSIFFLAGS`.
pub const SET_FLAGS: u32 = 0x8914;
/// `SIOCSIFADDR`.
pub const SET_ADDRESS: u32 = 0x8916;

/// Turns `lo` on. `socket` is any of the namespace's. Allocates nothing.
pub fn bring_up_loopback(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut request = request(*b"lo", 0);
    let up = u16::try_from(libc::IFF_UP).unwrap_or(1);
    request.value[..2].copy_from_slice(&up.to_ne_bytes());
    make(socket, SET_FLAGS, &mut request)
}

/// Gives `lo` one more address. `number` tells the addresses apart, from 1. Allocates nothing.
pub fn add_to_loopback(socket: BorrowedFd<'_>, number: u8, address: Ipv4Addr) -> Result<(), Errno> {
    let mut request = request(*b"lo", number);
    // struct sockaddr_in: family, port, address.
    let family = u16::try_from(libc::AF_INET).unwrap_or(2);
    request.value[..2].copy_from_slice(&family.to_ne_bytes());
    request.value[4..8].copy_from_slice(&address.octets());
    make(socket, SET_ADDRESS, &mut request)
}

/// A request about the interface `name`, or its alias of this number.
fn request(name: [u8; 2], alias: u8) -> Request {
    let mut request = Request { name: [0; 16], value: [0; 24] };
    request.name[..2].copy_from_slice(&name);
    if alias != 0 {
        let digits = [b'0' + alias / 100, b'0' + alias / 10 % 10, b'0' + alias % 10];
        request.name[2] = b':';
        request.name[3..6].copy_from_slice(&digits);
    }
    request
}

fn make(socket: BorrowedFd<'_>, what: u32, request: &mut Request) -> Result<(), Errno> {
    let fd = socket.as_raw_fd().cast_unsigned() as usize;
    let pointer = (request as *mut Request) as usize;
    // SAFETY: both requests read and write a struct ifreq, which this has the size and layout of.
    unsafe { syscall(libc::SYS_ioctl, [fd, what as usize, pointer, 0, 0, 0]) }?;
    Ok(())
}
