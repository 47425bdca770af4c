//! What a child's confinement is made of.

use crate::child::stage::Failure;
use crate::seccomp::Instruction;

/// One `setrlimit` to make.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceLimit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Padding, so that the layout has no holes.
    pub reserved: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// Cgroup descriptors a child may have to join: one per version 1 hierarchy.
pub const CGROUPS_MAX: usize = 4;
/// Resource limits a child takes on.
pub const RESOURCE_LIMITS_MAX: usize = 10;
/// Where a program finds its workspace open, if it is kept open for it: as `/proc/self/fd/3` it is a path that holds
/// wherever the workspace lies.
pub const WORKSPACE_DESCRIPTOR: i32 = 3;

/// All a child needs for its confinement, as numbers and pointers to memory that outlives it.
#[derive(Debug)]
pub struct PreparedChild {
    /// `tasks` (v1) or `cgroup.procs` (v2) files open for writing; -1 where unused.
    pub cgroups: [i32; CGROUPS_MAX],
    /// Descriptors that become 0, 1 and 2; each above [`WORKSPACE_DESCRIPTOR`].
    pub stdio: [i32; 3],
    /// The workspace, open as a directory.
    pub directory: i32,
    /// Whether the program keeps it open.
    pub directory_kept: bool,
    /// Descriptors above the standard streams, and above that of a workspace that is kept, that the program keeps too;
    /// `kept_len` of them, in ascending order.
    pub kept: *const i32,
    /// How many.
    pub kept_len: usize,
    /// Whether the program gets a cgroup namespace.
    pub hides_cgroups: bool,
    /// Whether the rules lack the program's own directory below /proc, which exists only now.
    pub allows_own_process_files: bool,
    /// The first `resource_limits_len` are set.
    pub resource_limits: [ResourceLimit; RESOURCE_LIMITS_MAX],
    /// How many.
    pub resource_limits_len: usize,
    /// User and group of the program; neither is 0.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// A Landlock ruleset.
    pub landlock: i32,
    /// The system call filter.
    pub filter: *const Instruction,
    /// Its length.
    pub filter_len: usize,
    /// Where a failure goes.
    pub failure: *const Failure,
}
