//! Finds the controllers this host offers, and clears what a dead host of ours left in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// The groups below which ours may be made: as far down towards the one this process was started in as possible.
#[derive(Clone, Debug)]
pub(crate) enum Hierarchy {
    /// Version 1, perhaps beside a version 2 tree that has other controllers.
    V1(V1Roots),
    /// A group of the unified hierarchy that can pass memory, pids and cpu on.
    V2(PathBuf),
}

#[derive(Clone, Debug)]
pub(crate) struct V1Roots {
    pub(crate) memory: PathBuf,
    pub(crate) pids: PathBuf,
    pub(crate) cpuacct: PathBuf,
}

impl Hierarchy {
    /// Reads this process's mounts and groups. `Err` says what is missing.
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
            Some((inside(&mount, group), mount.0))
        });
        let lacking = |offered: &str| missing(offered).join(", ");
        let Some((own, top)) = unified else { return Err(format!("no controllers for {}", lacking(""))) };
        // Most often not the group this process is in, because a group that has processes passes nothing on.
        let mut above = own.ancestors().take_while(|group| group.starts_with(&top));
        match above.find(|group| passes_on(group, read)) {
            Some(group) => Ok(Self::V2(group.to_owned())),
            None => match lacking(&read(&top.join("cgroup.controllers"))) {
                none if none.is_empty() => {
                    let top = top.display();
                    Err(format!(
                        "every group from `{top}` down to ours has processes, and can pass no controllers on"
                    ))
                }
                some => Err(format!("no controllers for {some}")),
            },
        }
    }

    /// One for each hierarchy in use.
    pub(crate) fn roots(&self) -> Vec<&Path> {
        match self {
            Self::V1(roots) => vec![&roots.memory, &roots.pids, &roots.cpuacct],
            Self::V2(root) => vec![root],
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

/// Those of the version 2 controllers we need that are not among `offered`.
fn missing(offered: &str) -> Vec<&'static str> {
    ["memory", "pids", "cpu"]
        .into_iter()
        .filter(|name| !offered.split_whitespace().any(|c| c == *name))
        .collect()
}

/// Whether groups made below this version 2 group can have the controllers we need: it has them, and passes them on
/// already or may begin to. Only the root of all groups may do so while it has processes of its own.
fn passes_on(group: &Path, read: &dyn Fn(&Path) -> String) -> bool {
    let file = |name: &str| read(&group.join(name));
    let is_root = || file("cgroup.type").is_empty();
    missing(&file("cgroup.controllers")).is_empty()
        && (missing(&file("cgroup.subtree_control")).is_empty()
            || file("cgroup.procs").is_empty()
            || is_root())
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
pub(super) fn remove_emptied(directory: &Path) -> io::Result<()> {
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

    #[test]
    fn a_hybrid_host_is_version_1_below_its_own_groups() {
        let groups = "8:pids:/\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/";
        let Ok(Hierarchy::V1(roots)) = Hierarchy::from_text(V1_MOUNTS, groups, &|_| "hugetlb".to_owned())
        else {
            panic!("not version 1")
        };
        assert_eq!(roots.memory, Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(roots.cpuacct, Path::new("/sys/fs/cgroup/cpuacct"));
    }

    /// A version 2 tree: for each group its controllers, those it passes on, whether it has processes, and its type.
    fn detect_v2(mounts: &str, own: &str, tree: &[(&str, [&str; 4])]) -> Result<PathBuf, String> {
        let read = |path: &Path| {
            let names = ["cgroup.controllers", "cgroup.subtree_control", "cgroup.procs", "cgroup.type"];
            let found = tree.iter().find(|(group, _)| path.parent() == Some(Path::new(group)));
            let at = names.iter().position(|name| path.ends_with(name)).expect("no other file is read");
            found.map_or_else(String::new, |(_, texts)| texts[at].to_owned())
        };
        match Hierarchy::from_text(mounts, &format!("0::{own}"), &read)? {
            Hierarchy::V2(group) => Ok(group),
            Hierarchy::V1(_) => panic!("not version 2"),
        }
    }

    const ALL: &str = "cpuset cpu io memory pids";

    #[test]
    fn a_group_with_processes_leaves_it_to_one_above() {
        let mounts = "30 20 0:26 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate";
        let root = ("/sys/fs/cgroup", [ALL, "memory pids", "1", ""]);
        let scope = ("/sys/fs/cgroup/user/scope", ["memory pids", "", "77", "domain"]);
        let user = |passed| ("/sys/fs/cgroup/user", ["cpu memory pids", passed, "", "domain"]);
        let found = |tree: &[(&str, [&str; 4])]| detect_v2(mounts, "/user/scope", tree).unwrap();
        assert_eq!(found(&[root, user("memory pids"), scope]), Path::new("/sys/fs/cgroup/user"));
        let without_cpu = ("/sys/fs/cgroup/user", ["memory pids", "", "", "domain"]);
        assert_eq!(found(&[root, without_cpu, scope]), Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn a_container_sees_its_own_part_of_version_2() {
        let found = |processes, passed| {
            let top = ("/sys/fs/cgroup", [ALL, passed, processes, "domain"]);
            let inner = ("/sys/fs/cgroup/inner", [ALL, "", "8", "domain"]);
            detect_v2(V2_MOUNTS, "/docker/abc/inner", &[top, inner])
        };
        assert_eq!(found("", "").unwrap(), Path::new("/sys/fs/cgroup"));
        assert_eq!(found("", ALL).unwrap(), Path::new("/sys/fs/cgroup"));
        let busy =
            "every group from `/sys/fs/cgroup` down to ours has processes, and can pass no controllers on";
        assert_eq!(found("1", "").unwrap_err(), busy);
    }

    #[test]
    fn missing_controllers_are_named() {
        let top = ("/sys/fs/cgroup", ["cpu io", "", "", "domain"]);
        let found = detect_v2(V2_MOUNTS, "/docker/abc", &[top]);
        assert_eq!(found.unwrap_err(), "no controllers for memory, pids");
        assert_eq!(detect_v2("", "/", &[]).unwrap_err(), "no controllers for memory, pids, cpu");
    }
}
