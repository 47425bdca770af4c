//! What compilers made: in memory for a moment, on disk for longer.
//!
//! Only what would come out the same again is kept: that a compiler ended by itself. The key is all that it can see, so a
//! change of anything, the toolchain included, is another key.

mod disk;
mod key;
mod memory;
mod record;

pub use disk::{DiskCache, DiskCacheCounts};

pub(super) use key::CompileKey;
pub(super) use memory::CompileCache;
