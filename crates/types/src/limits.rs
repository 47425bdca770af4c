//! What a run may use, and what it used.

use std::time::Duration;

use crate::units::ByteSize;

/// Bounds on one run. Every field always has a value: a missing limit never means unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Processor time of the whole process tree.
    pub cpu_time: Duration,
    /// Time on the clock, from the program's exec to the end of its tree.
    pub wall_time: Duration,
    /// Time on the clock without a byte of output; `None` leaves only `wall_time`.
    pub idle_time: Option<Duration>,
    /// Memory of the whole tree, as the kernel's memory controller charges it.
    pub memory: ByteSize,
    /// Processes and threads alive at once.
    pub processes: u32,
    /// Bytes written to standard output and standard error together.
    pub output: ByteSize,
    /// Size of any one file.
    pub file_size: ByteSize,
    /// Size of all files in the workspace and `/tmp` together.
    pub disk: ByteSize,
    /// Descriptors one process may hold. The kernel answers EMFILE beyond it.
    pub open_files: u32,
    /// Stack of the main thread.
    pub stack: ByteSize,
}

impl Default for Limits {
    /// Safe for a snippet of untrusted code on a shared machine.
    fn default() -> Self {
        Self {
            cpu_time: Duration::from_secs(10),
            wall_time: Duration::from_secs(20),
            idle_time: None,
            memory: ByteSize::mib(512),
            processes: 64,
            output: ByteSize::mib(16),
            file_size: ByteSize::mib(64),
            disk: ByteSize::mib(128),
            open_files: 256,
            stack: ByteSize::mib(64),
        }
    }
}

/// Limits as a file or a row names them: only what differs from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitOverrides {
    /// See [`Limits::cpu_time`].
    pub cpu_time: Option<Duration>,
    /// See [`Limits::wall_time`].
    pub wall_time: Option<Duration>,
    /// See [`Limits::idle_time`].
    pub idle_time: Option<Duration>,
    /// See [`Limits::memory`].
    pub memory: Option<ByteSize>,
    /// See [`Limits::processes`].
    pub processes: Option<u32>,
    /// See [`Limits::output`].
    pub output: Option<ByteSize>,
    /// See [`Limits::file_size`].
    pub file_size: Option<ByteSize>,
    /// See [`Limits::disk`].
    pub disk: Option<ByteSize>,
    /// See [`Limits::open_files`].
    pub open_files: Option<u32>,
    /// See [`Limits::stack`].
    pub stack: Option<ByteSize>,
}

impl LimitOverrides {
    /// `base` with every limit that is named here replaced.
    ///
    /// A CPU limit named without a wall limit raises the wall limit to twice the CPU limit when it would
    /// otherwise be the tighter of the two.
    pub fn apply(&self, base: &Limits) -> Limits {
        let cpu_time = self.cpu_time.unwrap_or(base.cpu_time);
        let wall_time = match (self.wall_time, self.cpu_time) {
            (Some(wall), _) => wall,
            (None, Some(cpu)) => base.wall_time.max(cpu * 2),
            (None, None) => base.wall_time,
        };
        Limits {
            cpu_time,
            wall_time,
            idle_time: self.idle_time.or(base.idle_time),
            memory: self.memory.unwrap_or(base.memory),
            processes: self.processes.unwrap_or(base.processes),
            output: self.output.unwrap_or(base.output),
            file_size: self.file_size.unwrap_or(base.file_size),
            disk: self.disk.unwrap_or(base.disk),
            open_files: self.open_files.unwrap_or(base.open_files),
            stack: self.stack.unwrap_or(base.stack),
        }
    }

    /// These overrides, with `other`'s winning where both name a limit.
    #[must_use]
    pub fn overridden_by(&self, other: &Self) -> Self {
        Self {
            cpu_time: other.cpu_time.or(self.cpu_time),
            wall_time: other.wall_time.or(self.wall_time),
            idle_time: other.idle_time.or(self.idle_time),
            memory: other.memory.or(self.memory),
            processes: other.processes.or(self.processes),
            output: other.output.or(self.output),
            file_size: other.file_size.or(self.file_size),
            disk: other.disk.or(self.disk),
            open_files: other.open_files.or(self.open_files),
            stack: other.stack.or(self.stack),
        }
    }
}

/// What a finished run used. Fields are named as in [`Limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of the whole tree.
    pub cpu_time: Duration,
    /// Time on the clock from exec to the end of the tree.
    pub wall_time: Duration,
    /// Largest memory charge seen; 0 where the host cannot tell.
    pub memory: ByteSize,
    /// Most processes and threads alive at once; 0 where the host cannot tell.
    pub processes: u32,
    /// Bytes written to both streams, kept or not.
    pub output: ByteSize,
    /// Bytes in the workspace when the run ended.
    pub disk: ByteSize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cpu_limit_carries_the_wall_limit_along() {
        let overrides = LimitOverrides { cpu_time: Some(Duration::from_secs(60)), ..Default::default() };
        assert_eq!(overrides.apply(&Limits::default()).wall_time, Duration::from_secs(120));
        let both = LimitOverrides { wall_time: Some(Duration::from_secs(7)), ..overrides };
        assert_eq!(both.apply(&Limits::default()).wall_time, Duration::from_secs(7));
    }

    #[test]
    fn the_later_override_wins() {
        let first = LimitOverrides { processes: Some(1), open_files: Some(9), ..Default::default() };
        let second = LimitOverrides { processes: Some(2), ..Default::default() };
        let merged = first.overridden_by(&second);
        assert_eq!((merged.processes, merged.open_files), (Some(2), Some(9)));
    }
}
