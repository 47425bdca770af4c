//! The processes below one, from /proc; see proc_pid_stat(5).

use std::fs;
use std::io;

use rollcage_types::ByteSize;

/// Processes looked at. A tree that has more is over any limit.
const PROCESSES_MAX: usize = 8192;
const PAGE: u64 = 4096;

/// One process as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// When it started, in ticks: numbers are used again, but not in the same tick.
    pub(super) started: u64,
    pub(super) threads: u32,
    /// Ticks of processor time of its own.
    pub(super) cpu_ticks: u64,
    /// Ticks of the descendants it has waited for.
    pub(super) waited_ticks: u64,
    /// Pages resident, shared ones too, and the tables that say where they are.
    pub(super) resident_bytes: u64,
}

/// All processes below `root`, which is not among them.
pub(super) fn below(root: u32) -> Vec<Process> {
    let mut found = Vec::new();
    let mut pending = children(root);
    while let Some(pid) = pending.pop() {
        // One that has ended since is no process.
        let Some(process) = read(pid) else { continue };
        found.push(process);
        if found.len() >= PROCESSES_MAX {
            break;
        }
        pending.extend(children(pid));
    }
    found
}

/// Processes and threads of a user, on the whole machine.
pub(super) fn tasks_of(uid: u32) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        (entry.metadata().ok()?.uid() == uid).then_some(pid)
    });
    pids.filter_map(read).map(|process| process.threads).sum()
}

/// What a process has for itself: pages that others map too are divided among them. Costs a walk of its page tables,
/// which count as well.
pub(super) fn proportional_memory(pid: u32) -> Option<ByteSize> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let own = ByteSize::kib(field("Pss:")? + field("SwapPss:").unwrap_or(0));
    Some(ByteSize::bytes(own.as_u64() + page_tables(pid)))
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("children")));
    let text: String = lists.flatten().collect::<Vec<_>>().join(" ");
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn read(pid: u32) -> Option<Process> {
    let process = parse(pid, &read_text(pid, "stat").ok()?)?;
    Some(Process { resident_bytes: process.resident_bytes + page_tables(pid), ..process })
}

/// A file of a process that has its name in it. A process may name itself with any bytes, and one whose name is no UTF-8
/// must not be missed for it.
fn read_text(pid: u32, file: &str) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}"))?).into_owned())
}

/// A program can have more of these than pages.
fn page_tables(pid: u32) -> u64 {
    let status = read_text(pid, "status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPTE:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn parse(pid: u32, stat: &str) -> Option<Process> {
    // The name is in parentheses and may hold any character, these too.
    let (_name, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The first field after the name is the third of the manual page.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Process {
        pid,
        started: field(22)?,
        threads: u32::try_from(field(20)?).ok()?,
        cpu_ticks: field(14)? + field(15)?,
        waited_ticks: field(16)? + field(17)?,
        resident_bytes: field(24)? * PAGE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_shifts_no_field() {
        let stat =
            "7 (a) R 1 2) S 1 7 7 0 -1 4194560 1 0 0 0 11 22 33 44 20 0 5 0 99 8192 3 18446744073709551615";
        let expected = Process {
            pid: 7,
            started: 99,
            threads: 5,
            cpu_ticks: 33,
            waited_ticks: 77,
            resident_bytes: 3 * PAGE,
        };
        assert_eq!(parse(7, stat), Some(expected));
        assert_eq!(parse(7, "7 (cut"), None);
    }

    #[test]
    fn a_name_of_any_bytes_hides_nobody() {
        use std::io::{BufRead as _, BufReader, Write as _};
        use std::process::{Command, Stdio};

        let own = std::process::id();
        // A shell names itself, says so, and lives until its standard input ends.
        let script = r"printf '\377)' > /proc/$$/comm; echo named; read -r _";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "named\n");
        let found = below(own).into_iter().find(|process| process.pid == child.id());
        let tables = page_tables(child.id());
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        child.wait().unwrap();
        assert!(found.is_some() && tables > 0, "{found:?}, {tables}");
    }

    #[test]
    fn a_child_is_below_its_parent() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = below(std::process::id());
        let own = found.iter().find(|process| process.pid == child.id()).copied();
        let memory = proportional_memory(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(own.map(|process| process.threads), Some(1));
        assert!(memory.is_some_and(|size| size.as_u64() > 0));
    }
}
