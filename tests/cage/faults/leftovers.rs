//! What is in a host's way when it starts, runs or ends: groups that cannot be removed or made, and what is left of a
//! host that died.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rollcage_sandbox::{Cancel, Host, HostConfig, SandboxError};
use rollcage_types::ExecRequest;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::harness::{configuration, exited, host, own_host, run, sh};
use crate::traces::{Block, wait_until};

/// The last block there is, which no other host of these tests comes to.
const LAST: &str = "63";
const LOCKS: &str = "/run/rollcage";
/// Where what cages without mounts write lies.
const SLOTS: &str = "/var/lib/rollcage";
const PIDS: &str = "/sys/fs/cgroup/pids";

/// A process of nobody's, in this group.
fn stranger_in(group: &Path) -> Child {
    let stranger = Command::new("sleep").arg("600").spawn().expect("sleep starts");
    fs::write(group.join("cgroup.procs"), stranger.id().to_string()).expect("root may move its processes");
    stranger
}

fn has_version_1(what: &str) -> bool {
    let has = Path::new(PIDS).join("cgroup.procs").exists();
    if !has {
        eprintln!("skipped: {what}: no version 1 controller for processes");
    }
    has
}

#[test]
fn a_group_that_cannot_be_removed_is_named_and_costs_runs_only_while_it_cannot() {
    let Some(host) = own_host(1) else { return };
    if !has_version_1("a group with a stranger in it") {
        return;
    }
    let block = Block::of(&host);
    let group = block.groups().into_iter().map(|(path, _)| path).find(|path| path.starts_with(PIDS));
    let group = group.expect("the host has groups").join("0");
    // After more than one task the slot makes its group anew.
    run(&host, &sh("true; true | true"));
    let mut stranger = stranger_in(&group);
    let error =
        host.run(&ExecRequest::new(["true"]), &Cancel::new()).expect_err("the group is not the cage's alone");
    assert!(matches!(error, SandboxError::System { .. }) && error.is_retryable(), "{error}");
    let mut said = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    assert!(said.contains(&format!("cannot remove `{}`", group.display())), "{said}");
    assert!(said.contains("Device or resource busy"), "{said}");
    stranger.kill().expect("it is ours");
    stranger.wait().expect("it is ours");
    for _ in 0..2 {
        assert_eq!(run(&host, &sh("true; true | true")).termination, exited(0));
    }
}

#[test]
fn whoever_is_in_a_group_when_its_host_ends_does_not_keep_it() {
    let Some(host) = own_host(1) else { return };
    let block = Block::of(&host);
    let groups = block.groups();
    let (group, _) = groups.first().expect("the host has groups");
    let mut stranger = stranger_in(&group.join("0"));
    drop(host);
    assert!(block.groups().intersection(&groups).next().is_none(), "groups are left: {:?}", block.groups());
    assert_eq!(stranger.wait().expect("it is ours").signal(), Some(9));
}

#[test]
fn groups_that_cannot_be_made_are_why_there_is_no_host() {
    if host().is_none() {
        return;
    }
    let test = std::env::current_exe().expect("a test has a path");
    let close = "awk '$5 ~ \"^/sys/fs/cgroup\" { print $5 }' /proc/self/mountinfo | \
                 while read -r at; do mount -o remount,bind,ro \"$at\" || exit 9; done; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", close, "sh"])
        .arg(test)
        .args(["--exact", "faults::start::a_host_starts", "--ignored", "--nocapture"])
        .output()
        .expect("unshare starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("said: this host has no cgroups to run programs in: "), "{printed}");
}

#[test]
fn what_a_dead_host_left_is_cleaned_up_and_nothing_else() {
    if host().is_none() || !has_version_1("a dead host's leavings") {
        return;
    }
    let place = |directory: &str, name: &str| Path::new(directory).join(format!("block-{LAST}.{name}"));
    let (lock, slots) = (place(LOCKS, "lock"), place(SLOTS, "slots"));
    let group = Path::new(PIDS).join("rollcage").join(LAST);
    let others = PathBuf::from(format!("{PIDS}/rollcage-of-others-{}", std::process::id()));
    for directory in [&group.join("0"), &group.join("1/deep"), &others] {
        fs::create_dir_all(directory).expect("root may make groups");
    }
    let mut left = [stranger_in(&group.join("0")), stranger_in(&group.join("1/deep"))];
    let mut kept = stranger_in(&others);
    // Closed to everybody, and deeper than is comfortable.
    let closed = slots.join("0/work/closed");
    fs::create_dir_all(closed.join("deep/".repeat(200))).expect("it is ours");
    fs::write(closed.join("file"), "x").expect("it is ours");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("it is ours");
    // A lock is as its owner left it in the middle of writing, or as somebody else spoilt it.
    let named = [Path::new("\u{fffd}garbage"), Path::new(PIDS), &others, Path::new("/"), &group];
    let text: String = named.iter().map(|path| format!("{}\n", path.display())).collect();
    fs::write(&lock, text).expect("it is ours");

    let host = Host::start(&configuration(1)).expect("a host starts whatever was left");
    assert_eq!(run(&host, &sh("true")).termination, exited(0));
    // A host of another test may be the one that found it.
    wait_until("what was left is gone", || {
        !group.exists() && !slots.exists() && fs::metadata(&lock).is_ok_and(|lock| lock.len() == 0)
    });
    for process in &mut left {
        assert_eq!(process.wait().expect("it is ours").signal(), Some(9));
    }
    assert!(kept.try_wait().expect("it is ours").is_none(), "somebody else's process was killed");
    kept.kill().expect("it is ours");
    kept.wait().expect("it is ours");
    wait_until("the other group is empty", || fs::remove_dir(&others).is_ok());
}

#[test]
fn a_template_still_mounted_is_not_in_the_way() {
    if host().is_none() {
        return;
    }
    let state = tempfile::tempdir().expect("a temporary directory");
    let root = state.path().join("root");
    fs::create_dir_all(&root).expect("it is ours");
    mount("tmpfs", &root, "tmpfs", MountFlags::NOSUID, None).expect("root may mount");
    fs::write(root.join("usr"), "in the way").expect("it is ours");
    let config = HostConfig { state_dir: Some(state.path().to_owned()), ..configuration(1) };
    let outcome = Host::start(&config).map(|host| host.run(&sh("true"), &Cancel::new()));
    unmount(&root, UnmountFlags::DETACH).expect("it was mounted");
    let outcome = outcome.expect("a host starts").expect("the cage works");
    assert_eq!(outcome.termination, exited(0));
}
