//! Finds the controllers this host offers, and clears what a dead host of ours left in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// Our groups lie in this directory below the group we were started in.
pub(super) const OWN: &str = "rollcage";

/// Where the controllers we need are mounted, down to the group this process was started in.
#[derive(Clone, Debug)]
pub(crate) enum Hierarchy {
    /// Version 1, perhaps beside a version 2 tree that has other controllers.
    V1(V1Roots),
    /// The unified hierarchy with memory, pids and cpu enabled.
    V2(PathBuf),
}

#[derive(Clone, Debug)]
pub(crate) struct V1Roots {
    pub(crate) memory: PathBuf,
    pub(crate) pids: PathBuf,
    pub(crate) cpuacct: PathBuf,
}

impl Hierarchy {
    /// Reads this process's mounts and groups. `Err` names the controllers that are missing.
    pub(crate) fn detect() -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::from_text(&mounts, &groups, &|path| fs::read_to_string(path).unwrap_or_default())
    }

    fn from_text(mounts: &str, groups: &str, read: &dyn Fn(&Path) -> String) -> Result<Self, String> {
        let v1 = |controller: &str| {
            let mount = mounts.lines().find_map(|line| mount_of(line, "cgroup", Some(controller)))?;
            let group = groups.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':');
                let (_id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
                controllers.split(',').any(|name| name == controller).then_some(path)
            })?;
            Some(inside(&mount, group))
        };
        if let (Some(memory), Some(pids), Some(cpuacct)) = (v1("memory"), v1("pids"), v1("cpuacct")) {
            return Ok(Self::V1(V1Roots { memory, pids, cpuacct }));
        }
        let unified = mounts.lines().find_map(|line| mount_of(line, "cgroup2", None)).and_then(|mount| {
            let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
            Some(inside(&mount, group))
        });
        let offered = unified.as_ref().map(|root| read(&root.join("cgroup.controllers"))).unwrap_or_default();
        let missing: Vec<_> = ["memory", "pids", "cpu"]
            .into_iter()
            .filter(|name| !offered.split_whitespace().any(|c| c == *name))
            .collect();
        match unified {
            Some(root) if missing.is_empty() => Ok(Self::V2(root)),
            _ => Err(missing.join(", ")),
        }
    }

    /// The directories that hold our blocks, one in each hierarchy in use.
    pub(crate) fn own_directories(&self) -> Vec<PathBuf> {
        match self {
            Self::V1(roots) => {
                [&roots.memory, &roots.pids, &roots.cpuacct].map(|root| root.join(OWN)).to_vec()
            }
            Self::V2(root) => vec![root.join(OWN)],
        }
    }

    /// A name for reports.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::V1(_) => "cgroup v1",
            Self::V2(_) => "cgroup v2",
        }
    }
}

/// The mount point and the group it shows, of a mountinfo line of the type asked for; see proc_pid_mountinfo(5).
fn mount_of(line: &str, kind: &str, option: Option<&str>) -> Option<(PathBuf, String)> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, point) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    if after.next()? != kind {
        return None;
    }
    let options = after.nth(1)?;
    option
        .is_none_or(|wanted| options.split(',').any(|o| o == wanted))
        .then(|| (point.into(), root.to_owned()))
}

/// Where `group` lies below a mount that shows the tree from `root` on.
fn inside((point, root): &(PathBuf, String), group: &str) -> PathBuf {
    let relative = group.strip_prefix(root.as_str()).unwrap_or("");
    point.join(relative.trim_start_matches('/'))
}

/// Removes the group `directory` and all below it, killing what is left inside. Missing is fine.
pub(crate) fn remove_tree(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    let procs = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in procs.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        // Only processes of a dead host of ours can be here; they may already be ending.
        let _sent = kill_process(pid, Signal::KILL);
    }
    remove_emptied(directory)
}

/// A group is busy until the last of its killed processes is gone, which takes a moment.
fn remove_emptied(directory: &Path) -> io::Result<()> {
    /// Two seconds in all: the kernel ends killed processes far sooner unless they hang in it.
    const ATTEMPTS: u32 = 200;
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);
    for _ in 0..ATTEMPTS {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(PAUSE),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
    fs::remove_dir(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_MOUNTS: &str = "\
31 20 0:26 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 20 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 20 0:28 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
34 20 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
    const V2_MOUNTS: &str = "30 20 0:26 /docker/abc /sys/fs/cgroup rw,relatime - cgroup2 cgroup rw";

    fn detect(mounts: &str, groups: &str, controllers: &str) -> Result<Hierarchy, String> {
        Hierarchy::from_text(mounts, groups, &|_| controllers.to_owned())
    }

    #[test]
    fn a_hybrid_host_is_version_1_below_its_own_groups() {
        let groups = "8:pids:/\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/";
        let Ok(Hierarchy::V1(roots)) = detect(V1_MOUNTS, groups, "hugetlb") else { panic!("not version 1") };
        assert_eq!(roots.memory, Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(roots.cpuacct, Path::new("/sys/fs/cgroup/cpuacct"));
    }

    #[test]
    fn a_container_sees_its_own_part_of_version_2() {
        let found = detect(V2_MOUNTS, "0::/docker/abc/inner", "cpu memory pids");
        assert!(matches!(found, Ok(Hierarchy::V2(root)) if root == Path::new("/sys/fs/cgroup/inner")));
    }

    #[test]
    fn missing_controllers_are_named() {
        assert_eq!(detect(V2_MOUNTS, "0::/docker/abc", "cpu io").unwrap_err(), "memory, pids");
        assert_eq!(detect("", "", "").unwrap_err(), "memory, pids, cpu");
    }
}
