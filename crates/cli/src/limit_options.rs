//! The options that bound a program.

use std::fmt::Display;
use std::time::Duration;

use rollcage_types::{ByteSize, LimitKind, LimitOverrides, Limits, format_duration, parse_duration};

/// Output is kept in memory until the program has ended.
const OUTPUT_MAX: ByteSize = ByteSize::gib(1);
/// The kernel charges a cage about this much before the program's first instruction.
const MEMORY_MIN: ByteSize = ByteSize::mib(1);
/// Longer runs are mistakes: ten years.
const TIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Bounds on one program. What is not given follows the language's file, then the defaults.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Limits (each with the default where the language does not set its own)")]
pub(crate) struct LimitOptions {
    #[arg(long, value_name = "TIME", value_parser = time)]
    #[arg(help = or_default("Processor time of all its processes together", format_duration(Limits::default().cpu_time)))]
    cpu: Option<Duration>,
    #[arg(long, value_name = "TIME", value_parser = time)]
    #[arg(help = or_default("Time on the clock", format_duration(Limits::default().wall_time)))]
    wall: Option<Duration>,
    /// Time on the clock without a byte of output [default: none but --wall]
    #[arg(long, value_name = "TIME", value_parser = time)]
    idle: Option<Duration>,
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    #[arg(help = or_default("Memory of all its processes together", Limits::default().memory))]
    memory: Option<ByteSize>,
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(help = or_default("Processes and threads alive at once", Limits::default().processes))]
    processes: Option<u32>,
    #[arg(long, value_name = "SIZE", value_parser = output)]
    #[arg(help = or_default("Bytes written to standard output and standard error", Limits::default().output))]
    output: Option<ByteSize>,
    #[arg(long, value_name = "SIZE", value_parser = size)]
    #[arg(help = or_default("Size of any one file", Limits::default().file_size))]
    file_size: Option<ByteSize>,
    #[arg(long, value_name = "SIZE", value_parser = size)]
    #[arg(help = or_default("Size of all files in its directory and /tmp", Limits::default().disk))]
    disk: Option<ByteSize>,
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..))]
    #[arg(help = or_default("Files one process may hold open", Limits::default().open_files))]
    open_files: Option<u32>,
    #[arg(long, value_name = "SIZE", value_parser = size)]
    #[arg(help = or_default("Stack of the main thread", Limits::default().stack))]
    stack: Option<ByteSize>,
}

impl LimitOptions {
    /// The limits that were given.
    pub(crate) fn overrides(&self) -> LimitOverrides {
        LimitOverrides {
            cpu_time: self.cpu,
            wall_time: self.wall,
            idle_time: self.idle,
            memory: self.memory,
            processes: self.processes,
            output: self.output,
            file_size: self.file_size,
            disk: self.disk,
            open_files: self.open_files,
            stack: self.stack,
        }
    }
}

/// The value of a limit, and the option with twice that value.
pub(crate) fn value_and_remedy(kind: LimitKind, limits: &Limits) -> (String, String) {
    let time = |option: &str, value: Duration| {
        (format_duration(value), format!("{option} {}", format_duration(value.saturating_mul(2))))
    };
    let size = |option: &str, value: ByteSize| {
        let twice = ByteSize::bytes(value.as_u64().saturating_mul(2));
        (value.to_string(), format!("{option} {twice}"))
    };
    match kind {
        LimitKind::CpuTime => time("--cpu", limits.cpu_time),
        LimitKind::WallTime => time("--wall", limits.wall_time),
        LimitKind::IdleTime => time("--idle", limits.idle_time.unwrap_or(limits.wall_time)),
        LimitKind::Memory => size("--memory", limits.memory),
        LimitKind::Output => size("--output", limits.output),
        LimitKind::Processes => {
            let twice = limits.processes.saturating_mul(2);
            (limits.processes.to_string(), format!("--processes {twice}"))
        }
        LimitKind::FileSize => size("--file-size", limits.file_size),
        LimitKind::DiskSpace => size("--disk", limits.disk),
    }
}

fn or_default(what: &str, default: impl Display) -> String {
    format!("{what} [default: {default}]")
}

fn time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() {
        return Err("a limit of nothing lets nothing run; write a time such as `500ms` or `5s`".to_owned());
    }
    if time > TIME_MAX {
        return Err("it is longer than ten years".to_owned());
    }
    Ok(time)
}

fn size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|error: rollcage_types::UnitError| error.to_string())?;
    if size == ByteSize::default() {
        return Err(
            "a limit of nothing lets nothing run; write a size such as `64KiB` or `256MiB`".to_owned()
        );
    }
    Ok(size)
}

fn memory(text: &str) -> Result<ByteSize, String> {
    let memory = size(text)?;
    if memory < MEMORY_MIN {
        return Err(format!("no program starts in less than {MEMORY_MIN}; write a size such as `256MiB`"));
    }
    Ok(memory)
}

fn output(text: &str) -> Result<ByteSize, String> {
    let output = size(text)?;
    if output > OUTPUT_MAX {
        return Err(format!("output is kept in memory, and at most {OUTPUT_MAX} of it"));
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_name_the_option_and_twice_the_value() {
        let limits = Limits::default();
        for (kind, value, remedy) in [
            (LimitKind::CpuTime, "10s", "--cpu 20s"),
            (LimitKind::WallTime, "20s", "--wall 40s"),
            (LimitKind::Memory, "512MiB", "--memory 1GiB"),
            (LimitKind::Processes, "64", "--processes 128"),
            (LimitKind::DiskSpace, "128MiB", "--disk 256MiB"),
        ] {
            assert_eq!(value_and_remedy(kind, &limits), (value.to_owned(), remedy.to_owned()), "{kind:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_limit_is_refused() {
        for (text, expected) in [("9999h", None), ("0s", Some("nothing")), ("99999h", Some("ten years"))] {
            check(time(text).err(), expected, text);
        }
        for (text, expected) in [("1", None), ("0", Some("nothing")), ("1 acre", Some("acre"))] {
            check(size(text).err(), expected, text);
        }
        for (text, expected) in [("1MiB", None), ("256", Some("256MiB"))] {
            check(memory(text).err(), expected, text);
        }
        for (text, expected) in [("1GiB", None), ("2GiB", Some("1GiB"))] {
            check(output(text).err(), expected, text);
        }
    }

    fn check(refusal: Option<String>, expected: Option<&str>, text: &str) {
        assert_eq!(refusal.is_some(), expected.is_some(), "{text}");
        assert!(refusal.unwrap_or_default().contains(expected.unwrap_or_default()), "{text}");
    }
}
