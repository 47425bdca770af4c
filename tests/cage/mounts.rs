//! What a cage sees mounted.

use std::collections::BTreeSet;

use crate::harness::{check, check_prints, exited, sh, text};

/// Where anything may be mounted; the host's toolchains, and what the cage has of its own.
const PLACES: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
const OWN_PLACES: [&str; 5] = ["/", "/dev", "/proc", "/ws/work", "/ws/tmp"];

/// Mount point and options of each line of mountinfo.
fn mounts() -> Option<Vec<(String, Vec<String>)>> {
    let outcome = check(&sh("cat /proc/self/mountinfo"), exited(0))?;
    let printed = text(&outcome.stdout.head);
    let parse = |line: &str| {
        let mut fields = line.split(' ').skip(4);
        let point = fields.next().expect("mountinfo has ten fields").to_owned();
        (point, fields.next().expect("mountinfo has ten fields").split(',').map(str::to_owned).collect())
    };
    Some(printed.lines().map(parse).collect())
}

#[test]
fn every_mount_is_read_only_or_powerless() {
    let Some(mounts) = mounts() else { return };
    for (point, options) in &mounts {
        let has = |option: &str| options.iter().any(|o| o == option);
        assert!(has("ro") || (has("nosuid") && has("nodev")), "{point} {options:?}");
        assert!(has("nosuid"), "{point} {options:?}");
        // The cage's own device nodes lie in a tree it cannot add to.
        assert!(
            has("nodev") || (has("ro") && ["/", "/dev"].contains(&point.as_str())),
            "{point} {options:?}"
        );
    }
    let writable = mounts.iter().filter(|(_, options)| options.iter().any(|option| option == "rw"));
    let writable: BTreeSet<_> = writable.map(|(point, _)| point.as_str()).collect();
    assert_eq!(writable, BTreeSet::from(["/proc", "/ws/work", "/ws/tmp"]));
}

#[test]
fn every_mount_is_ours_or_a_toolchain() {
    let Some(mounts) = mounts() else { return };
    for (point, _) in &mounts {
        let toolchain = PLACES.iter().any(|place| {
            point.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        assert!(toolchain || OWN_PLACES.contains(&point.as_str()), "{point} is mounted in the cage");
    }
}

#[test]
fn the_root_holds_nothing_of_the_host() {
    let Some(outcome) = check(&sh("ls /; echo; ls /run /var /etc"), exited(0)) else { return };
    let printed = text(&outcome.stdout.head);
    for name in ["root", "home", "boot", "sys", "mnt", "shadow", "hostname.host", "ssh", "machine-id"] {
        assert!(!printed.lines().any(|line| line == name), "{name} is in the cage:\n{printed}");
    }
}

#[test]
fn the_places_a_program_expects_are_there() {
    check_prints(
        &sh("pwd; cd /tmp; pwd -P; echo x > /dev/shm/x; cat /ws/tmp/x; hostname; id -un"),
        "/ws/work\n/ws/tmp\nx\ncage\nsandbox\n",
    );
    check_prints(
        &sh("ls /dev | sort | tr '\\n' ' '"),
        "fd full null random shm stderr stdin stdout urandom zero ",
    );
}
