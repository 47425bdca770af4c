//! System calls of the command, listed and made to fail, by `strace`.
//!
//! Only the supervisor's own threads are followed: what it executes, the launcher with its cages, is let go at its
//! `execve`. A call is named by the thread's role, the call, the file and its number among these; `strace` counts for
//! each thread, so a number is reached by the first thread that makes so many calls. [`WritePoint::is_shadowed`] tells
//! which calls can therefore not be picked out of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{BINARY, Finished, Place, finish};

/// Calls that change a file, its name or its size. SQLite makes some of them and `std` the others.
const WRITING: [&str; 16] = [
    "openat",
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
    "fchown",
    "fchmod",
    "mkdir",
];

/// The files of a store, by what is added to its name; `None` is the directory they lie in.
const FILES: [Option<&str>; 6] =
    [Some(""), Some("-journal"), Some("-wal"), Some("-shm"), Some(".lock"), None];

/// Who makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// A thread that opens the store, to write or to read.
    Opener,
    /// The thread that writes.
    Writer,
}

/// A call of the command on a file of its store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WritePoint {
    pub(crate) role: Role,
    pub(crate) call: String,
    /// One of [`FILES`].
    pub(crate) file: Option<&'static str>,
    /// From 1, among the same calls of one thread on the same file.
    pub(crate) number: usize,
    /// Whether another thread makes as many such calls earlier, so that a fault at this number strikes there.
    pub(crate) is_shadowed: bool,
}

/// What is done at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The process is killed as it makes the call, which does not happen.
    Kill,
    /// The call fails so.
    Error(&'static str),
    /// This call and every one like it that follows fails so.
    ErrorFromThen(&'static str),
}

impl WritePoint {
    /// What the point is, wherever in a run it lies.
    pub(crate) fn key(&self) -> (Role, &str, Option<&'static str>, usize) {
        (self.role, &self.call, self.file, self.number)
    }
}

impl fmt::Display for WritePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Opener => "opener",
            Role::Writer => "writer",
        };
        let file = self.file.map_or("directory".to_owned(), |ending| format!("runs.db{ending}"));
        write!(f, "{role:<6} {:<9} {file:<15} {:>3}", self.call, self.number)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("SIGKILL"),
            Self::Error(error) => f.write_str(error),
            Self::ErrorFromThen(error) => write!(f, "{error} on"),
        }
    }
}

/// Whether calls can be traced here; says what is missing if not.
pub(crate) fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output();
    let is_working = traced.is_ok_and(|output| output.status.success());
    if !is_working {
        eprintln!("skipped: needs strace, and leave to trace");
    }
    is_working
}

/// Makes the run and lists its write points in the order in which they came.
pub(crate) fn list(place: &Place, resume: Option<&str>) -> (Finished, Vec<WritePoint>) {
    let mut command = strace(place, &FILES, &WRITING.join(","));
    let finished = finish(command.arg(BINARY).args(place.arguments(resume)));
    let log = fs::read_to_string(log(place)).unwrap();
    let points = parse(&log, &place.store());
    (finished, points)
}

/// Makes the run with a fault at a point. The second value tells where it struck, if it did.
pub(crate) fn strike(
    place: &Place,
    resume: Option<&str>,
    point: &WritePoint,
    fault: Fault,
) -> (Finished, Option<Role>) {
    let number = point.number;
    let what = match fault {
        Fault::Kill => format!("signal=SIGKILL:when={number}"),
        Fault::Error(error) => format!("error={error}:when={number}"),
        Fault::ErrorFromThen(error) => format!("error={error}:when={number}+"),
    };
    inject(place, &[point.file], &point.call, &what, resume)
}

/// Makes the run with `what` injected into a call, on these files only, or on any where there are none.
pub(crate) fn inject(
    place: &Place,
    files: &[Option<&'static str>],
    call: &str,
    what: &str,
    resume: Option<&str>,
) -> (Finished, Option<Role>) {
    let mut command = strace(place, files, call);
    command.args(["-e", &format!("inject={call}:{what}")]);
    let finished = finish(command.arg(BINARY).args(place.arguments(resume)));
    let log = fs::read_to_string(log(place)).unwrap();
    // A killed process reports no end of its call.
    let mark = if what.starts_with("signal=") { "<unfinished ...>" } else { "(INJECTED)" };
    let struck = log.lines().find(|line| line.trim_end().ends_with(mark) || line.ends_with("= ?"));
    (finished, struck.and_then(|line| Some(Line::parse(line)?.role())))
}

fn strace(place: &Place, files: &[Option<&str>], calls: &str) -> Command {
    let mut command = place.prepare("strace");
    command.args(["-f", "-b", "execve", "-qq", "-y", "-Y", "-o"]).arg(log(place));
    command.args(["-e", &format!("trace={calls}"), "-e", "signal=none"]);
    for file in files {
        command.arg("-P").arg(path(&place.store(), *file));
    }
    command
}

fn log(place: &Place) -> PathBuf {
    place.root().join("calls.log")
}

fn path(store: &Path, file: Option<&str>) -> PathBuf {
    match file {
        Some(ending) => PathBuf::from(format!("{}{ending}", store.display())),
        None => store.parent().unwrap().to_owned(),
    }
}

/// One call in a log, as in `71<rollcage> fsync(5</tmp/runs.db>) = 0`.
struct Line<'a> {
    thread: &'a str,
    name: &'a str,
    call: &'a str,
    arguments: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (thread, rest) = line.split_once('<')?;
        let (name, rest) = rest.split_once('>')?;
        let (call, arguments) = rest.trim_start().split_once('(')?;
        Some(Self { thread, name, call, arguments })
    }

    fn role(&self) -> Role {
        if self.name == "rollcage-store" { Role::Writer } else { Role::Opener }
    }

    /// The file it is about: the argument of calls by name, the descriptor's file of others.
    fn file(&self, store: &Path) -> Option<&'static str> {
        let named = |file: &Option<&str>| {
            let path = path(store, *file).display().to_string();
            self.arguments.contains(&format!("\"{path}\"")) || self.arguments.contains(&format!("<{path}>"))
        };
        FILES.into_iter().filter(named).find_map(|file| file)
    }
}

fn parse(log: &str, store: &Path) -> Vec<WritePoint> {
    type Kind = (String, Option<&'static str>);
    let mut made: BTreeMap<(String, Kind), usize> = BTreeMap::new();
    let mut reached: BTreeSet<(Kind, usize)> = BTreeSet::new();
    let mut points = Vec::new();
    for line in log.lines().filter_map(Line::parse) {
        let kind: Kind = (line.call.to_owned(), line.file(store));
        let number = made.entry((line.thread.to_owned(), kind.clone())).or_default();
        *number += 1;
        let is_shadowed = !reached.insert((kind.clone(), *number));
        // Opening a file only to read it writes nothing, but it is counted with the others.
        if line.call == "openat" && line.arguments.contains("O_RDONLY") && kind.1.is_some() {
            continue;
        }
        let (call, file) = kind;
        points.push(WritePoint { role: line.role(), call, file, number: *number, is_shadowed });
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart_by_thread_call_and_file() {
        let log = "\
1<rollcage> openat(AT_FDCWD</s>, \"/s/runs.db-wal\", O_RDWR|O_CREAT, 0644) = 5</s/runs.db-wal>
1<rollcage> pwrite64(5</s/runs.db-wal>, \"x\", 1, 0) = 1
2<rollcage-store> pwrite64(5</s/runs.db-wal>, \"x\", 1, 1) = 1
2<rollcage-store> pwrite64(5</s/runs.db-wal>, \"x\", 1, 2) = 1
1<rollcage> fsync(6</s>) = 0
1<rollcage> openat(AT_FDCWD</s>, \"/s/runs.db\", O_RDONLY) = 7</s/runs.db>
1<rollcage> +++ exited with 0 +++
";
        let seen: Vec<_> = parse(log, Path::new("/s/runs.db"))
            .into_iter()
            .map(|point| (point.role, point.call, point.file, point.number, point.is_shadowed))
            .collect();
        let wal = Some("-wal");
        assert_eq!(
            seen,
            [
                (Role::Opener, "openat".to_owned(), wal, 1, false),
                (Role::Opener, "pwrite64".to_owned(), wal, 1, false),
                (Role::Writer, "pwrite64".to_owned(), wal, 1, true),
                (Role::Writer, "pwrite64".to_owned(), wal, 2, false),
                (Role::Opener, "fsync".to_owned(), None, 1, false),
            ]
        );
    }
}
