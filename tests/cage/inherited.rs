//! What a supervisor has from whoever started it does not reach programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rollcage_sandbox::{Host, LauncherProgram};

use crate::harness::{configuration, exited, own_host, python, run, text};

/// Becomes the launcher after putting itself in a state that a shell or a service manager might leave it in.
const STARTER: &str = "#!/bin/sh
umask 077
ulimit -S -v 16000000
ulimit -S -u 50
trap '' TERM PIPE INT USR1
echo -500 2>/dev/null > /proc/self/oom_score_adj
exec LAUNCHER \"$@\"
";

const LOOK: &str = "import os, resource, signal
mask = os.umask(0)
soft = [resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC)]
ignored = [s for s in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1) if signal.getsignal(s) == signal.SIG_IGN]
score = int(open('/proc/self/oom_score_adj').read())
print(oct(mask), [limit[0] == limit[1] for limit in soft], ignored, score >= 0)";

#[test]
fn a_program_starts_the_same_whatever_its_supervisor_came_from() {
    // For the message where there can be none.
    if own_host(1).is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let starter = directory.path().join("starter");
    fs::write(&starter, STARTER.replace("LAUNCHER", env!("CARGO_BIN_EXE_rollcage"))).expect("it is ours");
    fs::set_permissions(&starter, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let launcher = LauncherProgram::Path(starter);
    let host =
        Host::start(&rollcage_sandbox::HostConfig { launcher, ..configuration(1) }).expect("the host starts");
    let outcome = run(&host, &python(LOOK));
    assert_eq!(outcome.termination, exited(0), "{}", text(&outcome.stderr.head));
    assert_eq!(text(&outcome.stdout.head), "0o22 [True, True] [] True\n");
}
