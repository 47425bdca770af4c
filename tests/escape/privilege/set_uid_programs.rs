//! The host's set-uid programs: does running one make it root?

use crate::harness::{Control, Probe, Risk, User};

pub(crate) const PROBE: Probe = Probe {
    user: User::Nobody,
    control: Control::NeedsKernel("no set-uid program on this host"),
    ..Probe::new("set_uid_programs", Risk::Privilege, ATTACK)
};

const ATTACK: &str = r#"
import signal
import stat

me = os.geteuid()
looked_at = 0
for directory in ("/usr/bin", "/usr/sbin", "/usr/lib/openssh", "/usr/libexec"):
    for entry in os.listdir(directory) if os.path.isdir(directory) else []:
        path = f"{directory}/{entry}"
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & stat.S_ISUID or status.st_uid == me:
            continue
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.execv(path, [path])
            finally:
                os._exit(126)
        os.close(writer)
        # End of file: the program has been executed. Stopped, it can be looked at.
        os.read(reader, 1)
        os.kill(child, signal.SIGSTOP)
        # Not reaped: one that has ended already still shows who it was.
        os.waitid(os.P_PID, child, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        try:
            with open(f"/proc/{child}/status") as file:
                uids = next(line for line in file if line.startswith("Uid:")).split()[1:]
        except OSError:
            # Whose it is, is seen from outside as well.
            uids = [str(os.stat(f"/proc/{child}").st_uid)] if os.path.exists(f"/proc/{child}") else ["hidden"]
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if any(uid != str(me) for uid in uids):
            breached(f"{path} runs with uids {uids}")
        looked_at += 1
held(f"{looked_at} set-uid programs ran as uid {me}")
"#;
