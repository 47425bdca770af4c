//! Packets with descriptors, over the server's socket.

use core::mem;
use core::ptr;

use crate::raw::{self, Errno};
use crate::wire::{DESCRIPTORS_MAX, REQUEST_BYTES, Report, Request};

/// Bytes for the descriptors of a message, and more than enough for its header.
const CONTROL_BYTES: usize = 128;

/// What a packet held.
pub(crate) struct Received {
    /// `None` if it is no request.
    pub(crate) request: Option<Request>,
    /// How many came along.
    pub(crate) descriptors: usize,
}

/// Takes one packet; `None` when the other end is closed.
pub(crate) fn receive(
    socket: i32,
    descriptors: &mut [i32; DESCRIPTORS_MAX],
) -> Result<Option<Received>, Errno> {
    let mut bytes = [0_u8; REQUEST_BYTES + 1];
    let mut control = Control([0; CONTROL_BYTES]);
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut message = message_of(&mut part, &mut control, CONTROL_BYTES);
    let read = raw::receive_message(socket, &mut message)?;
    if read == 0 {
        return Ok(None);
    }
    let mut count = 0;
    // SAFETY: the kernel filled the header in.
    let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: not null, so it lies in `control` as a whole.
    let header = unsafe { header.as_ref() };
    if let Some(header) = header.filter(|header| header.cmsg_type == libc::SCM_RIGHTS) {
        // SAFETY: plain arithmetic.
        let empty = unsafe { libc::CMSG_LEN(0) } as usize;
        count = (header.cmsg_len.saturating_sub(empty) / mem::size_of::<i32>()).min(DESCRIPTORS_MAX);
        // SAFETY: the header is followed by its data.
        let data = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: the kernel wrote `count` numbers there, and `descriptors` has room for them.
        unsafe { ptr::copy_nonoverlapping(data, descriptors.as_mut_ptr().cast(), count * 4) };
    }
    let request = bytes.get(..read).and_then(Request::decode);
    Ok(Some(Received { request, descriptors: count }))
}

/// Sends one packet, with a descriptor or without. If nobody reads, the next look at the socket ends the server.
pub(crate) fn report(socket: i32, report: &Report, descriptor: Option<i32>) -> Result<(), Errno> {
    let mut bytes = report.encode();
    let mut control = Control([0; CONTROL_BYTES]);
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: plain arithmetic.
    let space = unsafe { libc::CMSG_SPACE(4) } as usize;
    let message = message_of(&mut part, &mut control, if descriptor.is_some() { space } else { 0 });
    if let Some(descriptor) = descriptor {
        // SAFETY: `control` has room for a header.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        // SAFETY: plain arithmetic.
        let length = unsafe { libc::CMSG_LEN(4) } as usize;
        let filled =
            libc::cmsghdr { cmsg_len: length, cmsg_level: libc::SOL_SOCKET, cmsg_type: libc::SCM_RIGHTS };
        // SAFETY: as above; `control` is aligned for it.
        unsafe { header.write(filled) };
        // SAFETY: the header is followed by its data.
        let data = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: there is room for one number.
        unsafe { data.cast::<i32>().write_unaligned(descriptor) };
    }
    raw::send_message(socket, &message)
}

/// Aligned for the header of a control message.
#[repr(align(8))]
struct Control([u8; CONTROL_BYTES]);

fn message_of(part: &mut libc::iovec, control: &mut Control, control_len: usize) -> libc::msghdr {
    // SAFETY: all-zero bytes are an empty header.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control_len;
    message
}
