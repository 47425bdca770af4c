//! seccomp(2): a compiled filter, ready to be installed by a child that may not allocate.
#![expect(unsafe_code, reason = "rustix has no seccomp call")]

use rustix::io::Errno;

use crate::raw::syscall;

/// One instruction of classic BPF, as in `linux/filter.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Jump if true, in instructions.
    pub jump_true: u8,
    /// Jump if false, in instructions.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// The kernel refuses longer programs (`BPF_MAXINSNS`).
pub const INSTRUCTIONS_MAX: usize = 4096;

/// Confines the calling thread to `filter`. Needs no_new_privs. Allocates nothing.
pub fn install(filter: &[Instruction]) -> Result<(), Errno> {
    let length = u16::try_from(filter.len()).map_err(|_too_long| Errno::INVAL)?;
    let program = Program { length, instructions: filter.as_ptr() };
    // SAFETY: `program` and the instructions it points to outlive the call, which copies them.
    unsafe {
        syscall(
            libc::SYS_seccomp,
            [libc::SECCOMP_SET_MODE_FILTER as usize, 0, (&raw const program) as usize, 0, 0, 0],
        )
    }?;
    Ok(())
}
