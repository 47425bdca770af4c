//! A library for `LD_PRELOAD` that stops an unmodified interpreter where it opens its program, and makes it the launcher
//! of its own cages there: every request becomes a cage whose program is a copy of the interpreter, which returns from the
//! intercepted call into the real file. Nothing in the interpreter knows.
//!
//! It owns the fork point and what a copy must be given to be as if it had been started cold. Cages, confinement and what
//! is said to the supervisor are `rollcage-guest`'s, as for every launcher. An interpreter that never opens the file goes
//! on as if nothing were here: whoever started it sees its socket end, or nothing come, and needs a deadline.
//!
//! Between the clone and the return from the call this library allocates nothing and takes no lock; what an interpreter
//! does in its own fork handlers is its own. What stays the same among all programs of one interpreter: the layout of the
//! address space, stack guards, and the hash seed of languages that choose one when they start.
//! A process that cannot be copied can be told to wait at that point instead, for a program of its own ([`spare`]).
#![expect(unsafe_code, reason = "replaces functions of libc and calls the interpreter it is loaded into")]

mod arenas;
mod branch;
mod calls;
mod descriptors;
mod environment;
mod huge;
mod interpreter;
mod open_files;
mod point;
mod raw;
mod settings;
mod signals;
mod spare;
mod standard_input;
mod temporary;
mod trial;

/// Run by the loader before `main`, with every other library in place.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    if let Some(settings) = settings::take() {
        calls::arm(settings);
    }
}
