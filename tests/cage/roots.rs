//! Roots and workspaces that are somebody's directories.

use std::fs;
use std::path::Path;
use std::process::Command;

use rollcage_sandbox::{Host, HostConfig, HostError, RootTree};
use rollcage_types::{Collect, ExecRequest, IsolationLevel};

use crate::harness::{configuration, exited, host, python, run, text, with};

fn host_with(change: impl FnOnce(&mut HostConfig)) -> Option<Result<Host, HostError>> {
    host()?;
    let mut config = configuration(2);
    change(&mut config);
    Some(Host::start(&config))
}

#[test]
fn a_directory_can_be_the_root() {
    let root = tempfile::tempdir().expect("a temporary directory");
    for directory in ["bin", "etc", "dev", "tmp"] {
        fs::create_dir(root.path().join(directory)).expect("it is empty");
    }
    fs::write(root.path().join("etc/only-here"), "of the root\n").expect("it is ours");
    fs::write(root.path().join("tmp/theirs"), "").expect("it is ours");
    fs::write(root.path().join("show.c"), SHOW).expect("it is ours");
    let compiled =
        Command::new("gcc").args(["-static", "-o", "bin/show", "show.c"]).current_dir(root.path()).status();
    if !compiled.is_ok_and(|status| status.success()) {
        eprintln!("skipped: a directory as the root: gcc makes no static program");
        return;
    }
    let tree = RootTree::Directory(root.path().to_owned());
    let Some(started) = host_with(|config| config.tree = tree) else { return };
    let host = started.expect("the host starts");
    let outcome = run(&host, &ExecRequest::new(["show"]));
    assert_eq!(outcome.termination, exited(0));
    assert_eq!(text(&outcome.stdout.head), "of the root\nno /usr\nno theirs\nread-only\n");
}

const SHOW: &str = r#"
#include <stdio.h>
#include <unistd.h>
#include <fcntl.h>
int main(void) {
    char line[64] = "";
    FILE *file = fopen("/etc/only-here", "r");
    if (file) fgets(line, sizeof line, file);
    printf("%s%s\n%s\n", line, access("/usr", F_OK) ? "no /usr" : "/usr", access("/tmp/theirs", F_OK) ? "no theirs" : "theirs");
    printf("%s\n", open("/etc/new", O_CREAT | O_WRONLY, 0600) < 0 ? "read-only" : "written");
    return 0;
}
"#;

/// Reads, changes, removes and renames what was there, and adds to it.
const CHANGE: &str = "import os\n\
    print(sorted(os.listdir('.')), open('sub/deep').read())\n\
    open('file', 'a').write('changed')\n\
    os.remove('sub/deep')\n\
    os.rename('file', 'renamed')\n\
    print(open('renamed').read(), os.listdir('sub'))";

fn base() -> tempfile::TempDir {
    let base = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(base.path().join("sub")).expect("it is empty");
    fs::write(base.path().join("file"), "original ").expect("it is ours");
    fs::write(base.path().join("sub/deep"), "deep").expect("it is ours");
    base
}

fn check_workspace_of(level: IsolationLevel) {
    let base = base();
    let path = base.path().to_owned();
    let Some(started) = host_with(|config| {
        *config = HostConfig { launcher: config.launcher.clone(), slots: 2, ..HostConfig::at(level) };
        config.base = Some(path);
    }) else {
        return;
    };
    let host = started.expect("the host starts");
    // Twice, because the second must not see what the first did.
    for _ in 0..3 {
        let outcome = run(&host, &with(python(CHANGE), |request| request.collect = Collect::Everything));
        assert_eq!(outcome.termination, exited(0), "{level}: {}", text(&outcome.stderr.head));
        assert_eq!(text(&outcome.stdout.head), "['file', 'sub'] deep\noriginal changed []\n", "{level}");
        let renamed = outcome.files.iter().find(|file| file.path.as_str() == "renamed");
        assert_eq!(renamed.map(|file| text(&file.content)), Some("original changed".to_owned()), "{level}");
    }
    let left = |name: &str| fs::read_to_string(Path::new(base.path()).join(name)).expect("it is still there");
    assert_eq!((left("file"), left("sub/deep")), ("original ".to_owned(), "deep".to_owned()), "{level}");
}

#[test]
fn a_workspace_can_start_as_a_view_of_a_directory() {
    check_workspace_of(IsolationLevel::Full);
}

#[test]
fn without_mounts_it_starts_as_a_copy() {
    check_workspace_of(IsolationLevel::Process);
}

#[test]
fn a_base_that_is_no_directory_is_named() {
    let Some(started) = host_with(|config| config.base = Some("/etc/passwd".into())) else { return };
    assert!(matches!(started, Err(HostError::Path { path, .. }) if path.ends_with("passwd")));
}
