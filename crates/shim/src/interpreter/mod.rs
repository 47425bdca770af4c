//! What an interpreter must be told when it forks without having asked to.
//!
//! Interpreters are recognised by functions they export. One that is not known forks like any other program.

mod bash;
mod python;
mod ruby;

use core::ffi::{CStr, c_void};
use core::ptr::NonNull;

use rollcage_guest::protocol::Refusal;

use crate::point;
use crate::raw;

/// The interpreter that this library was loaded into.
pub(crate) enum Interpreter {
    Python(Box<python::Python>),
    Ruby(ruby::Ruby),
    Bash(bash::Bash),
    Other,
}

impl Interpreter {
    /// Recognises it, and makes it ready to fork. The preload is for Python; others have options of their own for that,
    /// and refuse it.
    pub(crate) fn take(preload: Option<&CStr>) -> Result<Self, Refusal> {
        if let Some(python) = python::Python::find() {
            return python.prepare(preload).map(Box::new).map(Self::Python);
        }
        if preload.is_some() {
            return Err(Refusal::Preload);
        }
        let ruby = ruby::Ruby::find().map(Self::Ruby);
        Ok(ruby.or_else(|| bash::Bash::find().map(Self::Bash)).unwrap_or(Self::Other))
    }

    /// Has it fork, once. It comes back from that in each program's process, and nowhere else.
    pub(crate) fn fork(&self) {
        match self {
            Self::Python(python) => python.fork(),
            Self::Ruby(ruby) => ruby.fork(),
            Self::Bash(_) | Self::Other => fork_plainly(),
        }
    }

    /// In a program's process: gives it what must be its own.
    pub(crate) fn settle(&self) {
        match self {
            Self::Python(python) => python.settle(),
            Self::Bash(bash) => bash.settle(),
            Self::Ruby(_) | Self::Other => {}
        }
    }
}

/// Without telling the interpreter.
fn fork_plainly() {
    let _zero = point::fork_asked_for();
}

/// Something that the interpreter exports.
fn exported(name: &CStr) -> Option<NonNull<c_void>> {
    raw::find(libc::RTLD_DEFAULT, name)
}

/// Looks a function up and gives it a type: the one that the interpreter's own headers declare it with.
macro_rules! function {
    ($name:literal as $type:ty) => {
        crate::interpreter::exported($name).map(|address| {
            // SAFETY: the address is that of a function declared so.
            unsafe { core::mem::transmute::<*mut core::ffi::c_void, $type>(address.as_ptr()) }
        })
    };
}
use function;
