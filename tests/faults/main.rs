//! Faults on the store and on what the drivers stand on, made on the real thing: system calls of the real command that
//! fail, a supervisor killed at a given write, disks that are full, files that change under it, descriptors that run out.
//!
//! Whatever fails, three things hold. The blame is right: a failure of ours ends the run with a code of ours, and is
//! never a verdict or a reward. Nothing is lost or doubled: what was said to be stored is, and a resume makes of it
//! what an undisturbed run is. Nothing is left behind: no process, no cgroup, no mount.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod disks;
mod files;
mod place;
mod resources;
mod sweep;
mod traces;
mod tracing;
