//! Finds the groups below which ours may be made: which hierarchy, and how far up from the one this process is in.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

/// The groups below which ours may be made: as far down towards the one this process was started in as possible.
#[derive(Clone, Debug)]
pub(crate) enum Hierarchy {
    /// Version 1, perhaps beside a version 2 tree that has other controllers.
    V1(V1Roots),
    /// A group of the unified hierarchy that can pass memory, pids and cpu on.
    V2(V2Root),
}

#[derive(Clone, Debug)]
pub(crate) struct V1Roots {
    pub(crate) memory: PathBuf,
    pub(crate) pids: PathBuf,
    pub(crate) cpuacct: PathBuf,
    kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) struct V2Root {
    pub(crate) group: PathBuf,
    kind: Kind,
}

/// What kind of control groups a hierarchy is made of, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    V1,
    /// Version 1, of which only a part belongs to this user.
    V1Delegated,
    /// Version 1 has the controllers; there is a version 2 tree too.
    Hybrid,
    V2,
    /// Version 2, of which only a part belongs to this user.
    V2Delegated,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "cgroup v1",
            Self::V1Delegated => "cgroup v1 (a delegated part)",
            Self::Hybrid => "cgroup v1 (hybrid)",
            Self::V2 => "cgroup v2",
            Self::V2Delegated => "cgroup v2 (a delegated part)",
        }
    }
}

/// How detection looks at the machine.
struct Sight<'a> {
    /// The text of a file; empty if there is none.
    read: &'a dyn Fn(&Path) -> String,
    /// Whether this process may write to a file, or make and remove entries of a directory.
    writable: &'a dyn Fn(&Path) -> bool,
}

impl Hierarchy {
    /// Reads this process's mounts and groups. `Err` says what is missing.
    pub(crate) fn detect() -> Result<Self, String> {
        let read =
            |path| fs::read_to_string(path).map_err(|error| format!("`{path}` cannot be read: {error}"));
        let (mounts, groups) = (read("/proc/self/mountinfo")?, read("/proc/self/cgroup")?);
        let sight = Sight {
            read: &|path| fs::read_to_string(path).unwrap_or_default(),
            writable: &|path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok(),
        };
        Self::from_text(&mounts, &groups, &sight)
    }

    fn from_text(mounts: &str, groups: &str, sight: &Sight<'_>) -> Result<Self, String> {
        let unified = Place::unified(mounts, groups);
        let controllers =
            ["memory", "pids", "cpuacct"].map(|name| Place::of_controller(mounts, groups, name));
        let [Some(memory), Some(pids), Some(cpuacct)] = &controllers else {
            return unified.ok_or_else(|| lacking("")).and_then(|place| detect_v2(&place, sight));
        };
        detect_v1([memory, pids, cpuacct], unified.is_some(), sight).or_else(|reason| {
            // A version 2 tree beside it may be ours where this one is not.
            unified.and_then(|place| detect_v2(&place, sight).ok()).ok_or(reason)
        })
    }

    /// One for each hierarchy in use.
    pub(crate) fn roots(&self) -> Vec<&Path> {
        match self {
            Self::V1(roots) => vec![&roots.memory, &roots.pids, &roots.cpuacct],
            Self::V2(root) => vec![&root.group],
        }
    }

    /// What kind of control groups these are.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::V1(roots) => roots.kind,
            Self::V2(root) => root.kind,
        }
    }

    /// A name for reports.
    pub(crate) const fn as_str(&self) -> &'static str {
        self.kind().as_str()
    }
}

/// A new group belongs to its maker with all files in it, so that the directory above is all that must be writable.
fn detect_v1(places: [&Place; 3], beside_v2: bool, sight: &Sight<'_>) -> Result<Hierarchy, String> {
    let [Some(memory), Some(pids), Some(cpuacct)] =
        places.map(|place| place.upward().find(|group| (sight.writable)(group)).map(Path::to_owned))
    else {
        return Err("this user may make no groups below its own in version 1 hierarchies".to_owned());
    };
    let all = places.iter().all(|place| (sight.writable)(&place.top));
    let kind = match (all, beside_v2) {
        (false, _) => Kind::V1Delegated,
        (true, true) => Kind::Hybrid,
        (true, false) => Kind::V1,
    };
    Ok(Hierarchy::V1(V1Roots { memory, pids, cpuacct, kind }))
}

/// Most often not the group this process is in, because a group that has processes passes nothing on.
fn detect_v2(place: &Place, sight: &Sight<'_>) -> Result<Hierarchy, String> {
    let usable = |group: &&Path| may_manage(group, sight) && passes_on(group, sight);
    if let Some(group) = place.upward().find(usable) {
        let kind = if may_manage(&place.top, sight) { Kind::V2 } else { Kind::V2Delegated };
        return Ok(Hierarchy::V2(V2Root { group: group.to_owned(), kind }));
    }
    let offered = (sight.read)(&place.top.join("cgroup.controllers"));
    if !missing(&offered).is_empty() {
        return Err(lacking(&offered));
    }
    let top = place.top.display();
    Err(if place.upward().any(|group| may_manage(group, sight)) {
        format!(
            "every group from `{top}` down to ours that we may write to has processes, and can pass no controllers on"
        )
    } else {
        format!("this user may write to no group from `{top}` down to its own")
    })
}

/// Whether this process may make groups below this version 2 group and move itself into them. The kernel asks for the
/// right to write to `cgroup.procs` of the group above both where a process comes from and where it goes.
fn may_manage(group: &Path, sight: &Sight<'_>) -> bool {
    (sight.writable)(group)
        && ["cgroup.procs", "cgroup.subtree_control"].iter().all(|file| (sight.writable)(&group.join(file)))
}

/// Those of the version 2 controllers we need that are not among `offered`.
fn missing(offered: &str) -> Vec<&'static str> {
    ["memory", "pids", "cpu"]
        .into_iter()
        .filter(|name| !offered.split_whitespace().any(|c| c == *name))
        .collect()
}

fn lacking(offered: &str) -> String {
    format!("no controllers for {}", missing(offered).join(", "))
}

/// Whether groups made below this version 2 group can have the controllers we need: it has them, and passes them on
/// already or may begin to. Only the root of all groups may do so while it has processes of its own.
fn passes_on(group: &Path, sight: &Sight<'_>) -> bool {
    let file = |name: &str| (sight.read)(&group.join(name));
    let is_root = || file("cgroup.type").is_empty();
    missing(&file("cgroup.controllers")).is_empty()
        && (missing(&file("cgroup.subtree_control")).is_empty()
            || file("cgroup.procs").is_empty()
            || is_root())
}

/// Where in a hierarchy this process is.
struct Place {
    /// The highest group that can be seen.
    top: PathBuf,
    own: PathBuf,
}

impl Place {
    fn of_controller(mounts: &str, groups: &str, controller: &str) -> Option<Self> {
        let mount = mounts.lines().find_map(|line| mount_of(line, "cgroup", Some(controller)))?;
        let group = groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            controllers.split(',').any(|name| name == controller).then_some(path)
        })?;
        Some(Self::inside(mount, group))
    }

    fn unified(mounts: &str, groups: &str) -> Option<Self> {
        let mount = mounts.lines().find_map(|line| mount_of(line, "cgroup2", None))?;
        let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
        Some(Self::inside(mount, group))
    }

    /// Where `group` lies below a mount that shows the tree from `root` on.
    fn inside((top, root): (PathBuf, String), group: &str) -> Self {
        let relative = group.strip_prefix(root.as_str()).unwrap_or("");
        Self { own: top.join(relative.trim_start_matches('/')), top }
    }

    /// From this process's own group to the highest.
    fn upward(&self) -> impl Iterator<Item = &Path> {
        self.own.ancestors().take_while(|group| group.starts_with(&self.top))
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
        let found = detect_v1(groups, |_path| true).unwrap();
        assert_eq!(
            found.roots(),
            ["memory/a/b", "pids", "cpuacct"].map(|path| Path::new("/sys/fs/cgroup").join(path))
        );
        assert_eq!(found.kind(), Kind::Hybrid);
    }

    fn detect_v1(groups: &str, writable: fn(&Path) -> bool) -> Result<Hierarchy, String> {
        let sight = Sight { read: &|_path| "hugetlb".to_owned(), writable: &writable };
        Hierarchy::from_text(V1_MOUNTS, groups, &sight)
    }

    #[test]
    fn a_user_has_its_part_of_every_version_1_hierarchy_or_none() {
        let groups = "8:pids:/mine/run\n4:memory:/mine\n2:cpu,cpuacct:/mine\n0::/";
        let found = detect_v1(groups, |path| path.ends_with("mine")).unwrap();
        assert_eq!(
            found.roots(),
            ["memory/mine", "pids/mine", "cpuacct/mine"].map(|path| Path::new("/sys/fs/cgroup").join(path))
        );
        assert_eq!(found.kind(), Kind::V1Delegated);
        let refused = detect_v1(groups, |path| path.starts_with("/sys/fs/cgroup/memory"));
        assert_eq!(
            refused.unwrap_err(),
            "this user may make no groups below its own in version 1 hierarchies"
        );
    }

    /// A version 2 tree: for each group its controllers, those it passes on, whether it has processes, and its type.
    fn detect_v2(mounts: &str, own: &str, tree: &[(&str, [&str; 4])]) -> Result<PathBuf, String> {
        detect_v2_as(mounts, own, tree, &|_path| true).map(|(group, _kind)| group)
    }

    /// The same for somebody who may not write everywhere.
    fn detect_v2_as(
        mounts: &str,
        own: &str,
        tree: &[(&str, [&str; 4])],
        writable: &dyn Fn(&Path) -> bool,
    ) -> Result<(PathBuf, Kind), String> {
        let read = |path: &Path| {
            let names = ["cgroup.controllers", "cgroup.subtree_control", "cgroup.procs", "cgroup.type"];
            let found = tree.iter().find(|(group, _)| path.parent() == Some(Path::new(group)));
            let at = names.iter().position(|name| path.ends_with(name)).expect("no other file is read");
            found.map_or_else(String::new, |(_, texts)| texts[at].to_owned())
        };
        match Hierarchy::from_text(mounts, &format!("0::{own}"), &Sight { read: &read, writable })? {
            Hierarchy::V2(root) => Ok((root.group, root.kind)),
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
        let busy = "every group from `/sys/fs/cgroup` down to ours that we may write to has processes, and can pass no controllers on";
        assert_eq!(found("1", "").unwrap_err(), busy);
    }

    #[test]
    fn a_user_has_what_was_delegated_to_it() {
        let mounts = "30 20 0:26 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate";
        let root = ("/sys/fs/cgroup", [ALL, ALL, "1", ""]);
        let user = |passed| ("/sys/fs/cgroup/user", [ALL, passed, "", "domain"]);
        let app = |has| ("/sys/fs/cgroup/user/app", [has, "", "", "domain"]);
        let scope = ("/sys/fs/cgroup/user/app/scope", ["memory pids", "", "77", "domain"]);
        let found = |tree: &[(&str, [&str; 4])], writable: &dyn Fn(&Path) -> bool| {
            detect_v2_as(mounts, "/user/app/scope", tree, writable)
        };
        let below_user = |path: &Path| path.starts_with("/sys/fs/cgroup/user");
        let (delegated, tree) = (Kind::V2Delegated, [root, user(ALL), app(ALL), scope]);
        assert_eq!(found(&tree, &below_user), Ok(("/sys/fs/cgroup/user/app".into(), delegated)));
        // A group that was not given the processor is passed over for one above it that was.
        let without_cpu = [root, user(""), app("memory pids"), scope];
        assert_eq!(found(&without_cpu, &below_user), Ok(("/sys/fs/cgroup/user".into(), delegated)));
        // Each of these is the kernel's condition for something we do.
        for kept in ["app", "app/cgroup.procs", "app/cgroup.subtree_control"] {
            let kept = Path::new("/sys/fs/cgroup/user").join(kept);
            let but_one = |path: &Path| path.starts_with("/sys/fs/cgroup/user/app") && path != kept;
            assert!(found(&tree, &but_one).is_err(), "{}", kept.display());
        }
        assert_eq!(
            found(&tree, &|_path| false).unwrap_err(),
            "this user may write to no group from `/sys/fs/cgroup` down to its own"
        );
    }

    #[test]
    fn a_version_2_tree_serves_a_user_to_whom_version_1_is_closed() {
        let groups = "8:pids:/\n4:memory:/\n2:cpu,cpuacct:/\n0::/";
        let sight = Sight {
            read: &|path| if path.ends_with("cgroup.controllers") { ALL.to_owned() } else { String::new() },
            writable: &|path| path.starts_with("/sys/fs/cgroup/unified"),
        };
        let found = Hierarchy::from_text(V1_MOUNTS, groups, &sight).unwrap();
        assert_eq!((found.roots(), found.kind()), (vec![Path::new("/sys/fs/cgroup/unified")], Kind::V2));
    }

    #[test]
    fn missing_controllers_are_named() {
        let top = ("/sys/fs/cgroup", ["cpu io", "", "", "domain"]);
        let found = detect_v2(V2_MOUNTS, "/docker/abc", &[top]);
        assert_eq!(found.unwrap_err(), "no controllers for memory, pids");
        assert_eq!(detect_v2("", "/", &[]).unwrap_err(), "no controllers for memory, pids, cpu");
    }
}
