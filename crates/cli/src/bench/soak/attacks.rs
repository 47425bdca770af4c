//! The hostile programs themselves. Each goes on until something stops it, or has refused it for a while.

use std::time::Duration;

use rollcage_types::{ByteSize, LimitKind};

use crate::bench::soak::hostile::Program::{Python, Shell};
use crate::bench::soak::hostile::{Attack, limit};
use crate::bench::soak::work::End;

const CPU: End = limit(LimitKind::CpuTime);
const WALL: End = limit(LimitKind::WallTime);
const MEMORY: End = limit(LimitKind::Memory);
const PROCESSES: End = limit(LimitKind::Processes);
const DISK: End = limit(LimitKind::DiskSpace);

/// What ends programs that nothing else does.
const SHORT: Duration = Duration::from_millis(400);

/// What ends programs that must have met another limit by then, on a slow machine with ten programs for each processor. None
/// waits for it: a second after the other limit they give up.
const LATE: Duration = Duration::from_secs(20);

/// What ends a program that says no more, on a machine on which its first word takes a while.
const MUTE: Duration = Duration::from_secs(5);

pub(super) const FORK_BOMB: Attack = Attack {
    limits: |limits| limits.wall_time = LATE,
    // Growing in less than the time between two looks, it may meet any of them first.
    sampled: &[MEMORY, CPU],
    ..Attack::new(
        Python(
            "import os, time
refused = 0
while refused < 100:
    try:
        os.fork()
    except OSError:
        refused += 1
        time.sleep(0.01)
os._exit(1)",
        ),
        &[PROCESSES],
    )
};

pub(super) const THREAD_BOMB: Attack = Attack {
    limits: |limits| limits.wall_time = LATE,
    // They may be seen too late, or not at all.
    sampled: &[MEMORY, End::Exited(1)],
    ..Attack::new(
        Python(
            "import os, threading, time
threading.stack_size(1 << 16)
refused = 0
while refused < 100:
    try:
        threading.Thread(target=time.sleep, args=(60,)).start()
    except RuntimeError:
        refused += 1
        time.sleep(0.01)
os._exit(1)",
        ),
        &[PROCESSES],
    )
};

pub(super) const MEMORY_HOG: Attack = Attack {
    // The language's own error, where each process has its bound too.
    sampled: &[End::Exited(1)],
    ..Attack::new(
        Python(
            "held = []
while True:
    held.append(b'x' * (1 << 20))",
        ),
        &[MEMORY],
    )
};

pub(super) const MEMORY_HOGS: Attack = Attack {
    sampled: &[End::Exited(1)],
    ..Attack::new(
        Python(
            "import os, time
for _ in range(6):
    if os.fork() == 0:
        held = [b'x' * (1 << 20) for _ in range(40)]
        time.sleep(60)
os.wait()
os._exit(1)",
        ),
        &[MEMORY],
    )
};

pub(super) const SHARED_MEMORY: Attack = Attack {
    sampled: &[End::Exited(1)],
    ..Attack::new(
        Python(
            "import mmap, time
held = mmap.mmap(-1, 256 << 20)
for at in range(0, len(held), 4096):
    held[at] = 1
time.sleep(60)",
        ),
        &[MEMORY],
    )
};

pub(super) const DISK_FILL: Attack = Attack::new(
    Python(
        "import sys
try:
    for number in range(64):
        with open(f'fill-{number}', 'wb') as file:
            for _ in range(4):
                file.write(b'x' * (1 << 20))
except OSError:
    pass
sys.exit(1)",
    ),
    &[DISK],
);

pub(super) const INODE_FILL: Attack = Attack::new(
    Python(
        "import os, sys
try:
    for number in range(60000):
        os.close(os.open(f'file-{number}', os.O_CREAT | os.O_WRONLY))
except OSError:
    pass
sys.exit(1)",
    ),
    &[DISK],
);

pub(super) const LARGE_FILE: Attack = Attack {
    limits: |limits| limits.file_size = ByteSize::mib(1),
    ..Attack::new(Shell("exec head -c 4M /dev/zero > large"), &[limit(LimitKind::FileSize)])
};

pub(super) const OUTPUT_FLOOD: Attack = Attack::new(Shell("exec yes"), &[limit(LimitKind::Output)]);

pub(super) const SPIN: Attack = Attack {
    limits: |limits| limits.cpu_time = Duration::from_millis(200),
    ..Attack::new(Shell("while :; do :; done"), &[CPU])
};

/// Each process lives shorter than a look at it takes.
pub(super) const RELAY: Attack = Attack {
    limits: |limits| {
        limits.cpu_time = Duration::from_millis(100);
        limits.wall_time = Duration::from_secs(5);
    },
    sampled: &[WALL],
    ..Attack::new(
        Python(
            "import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0:
    while True:
        until = time.process_time() + 0.003
        while time.process_time() < until:
            pass
        if os.fork():
            os._exit(0)
time.sleep(60)",
        ),
        &[CPU],
    )
};

pub(super) const EXEC_LOOP: Attack = Attack {
    limits: |limits| limits.cpu_time = Duration::from_millis(200),
    ..Attack::new(Shell(r#"export AGAIN='exec sh -c "$AGAIN"'; exec sh -c "$AGAIN""#), &[CPU])
};

pub(super) const SLEEPER: Attack =
    Attack { limits: |limits| limits.wall_time = SHORT, ..Attack::new(Shell("exec sleep 600"), &[WALL]) };

pub(super) const SILENT: Attack = Attack {
    limits: |limits| limits.idle_time = Some(MUTE),
    stdout: Some("said\n"),
    ..Attack::new(Shell("echo said; exec sleep 600"), &[limit(LimitKind::IdleTime)])
};

pub(super) const STOPPED: Attack = Attack {
    limits: |limits| limits.wall_time = SHORT,
    ..Attack::new(Shell("(kill -STOP $$) ; kill -STOP $$; exec sleep 600"), &[WALL])
};

pub(super) const ZOMBIES: Attack = Attack {
    limits: |limits| limits.wall_time = LATE,
    // What has ended may not be seen.
    sampled: &[End::Exited(1)],
    ..Attack::new(
        Python(
            "import os, time
while True:
    try:
        if os.fork() == 0:
            os._exit(0)
    except OSError:
        time.sleep(1)
        os._exit(1)",
        ),
        &[PROCESSES],
    )
};

pub(super) const DAEMONS: Attack = Attack {
    stdout: Some("left\n"),
    ..Attack::new(
        Shell("for i in 1 2 3 4 5 6 7; do (setsid sh -c 'trap \"\" TERM HUP; sleep 600' &); done; echo left"),
        &[End::Exited(0)],
    )
};

pub(super) const SOCKET_BUFFERS: Attack = Attack {
    limits: |limits| {
        limits.memory = ByteSize::mib(16);
        limits.open_files = 1024;
    },
    // Memory of the kernel's that belongs to no process.
    sampled: &[End::Exited(7)],
    ..Attack::new(
        Python(
            "import os, socket
ends = []
try:
    while True:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        ours.setblocking(False)
        ends.append((ours, theirs))
        try:
            while True:
                ours.send(b'x' * 32768)
        except BlockingIOError:
            pass
except OSError:
    os._exit(7)",
        ),
        &[MEMORY],
    )
};

pub(super) const PIPE_BUFFERS: Attack = Attack {
    limits: |limits| {
        limits.memory = ByteSize::mib(16);
        limits.open_files = 1024;
    },
    sampled: &[End::Exited(7)],
    ..Attack::new(
        Python(
            "import os
try:
    while True:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b'x' * 65536)
        except BlockingIOError:
            pass
except OSError:
    os._exit(7)",
        ),
        &[MEMORY],
    )
};

pub(super) const SIGNALS_TO_EVERYBODY: Attack = Attack {
    stdout: Some("sent\n"),
    ..Attack::new(
        Python(
            "import os, signal
targets = [-1, 1, os.getppid(), -os.getppid()] + list(range(2, 400))
for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
    for target in targets:
        if target != os.getpid() and target not in (0, -os.getpid()):
            try:
                os.kill(target, number)
            except OSError:
                pass
print('sent')",
        ),
        &[End::Exited(0)],
    )
};

pub(super) const CLOSED_DESCRIPTORS: Attack = Attack {
    limits: |limits| limits.wall_time = SHORT,
    stdout: Some(""),
    ..Attack::new(
        Python(
            "import os, time
os.closerange(0, 4096)
time.sleep(60)",
        ),
        &[WALL],
    )
};

pub(super) const ARTEFACTS: Attack = Attack {
    limits: |limits| limits.file_size = ByteSize::gib(2048),
    collected: Some(&[("honest", "collect me")]),
    ..Attack::new(
        Python(
            "import os
home = os.getcwd()
with open('honest', 'w') as file:
    file.write('collect me')
for name, target in (('shadow', '/etc/shadow'), ('root', '/'), ('loop', 'loop'), ('up', '../..')):
    os.symlink(target, name)
for number in range(3):
    os.mkfifo(f'pipe-{number}')
with open('holes', 'wb') as file:
    os.ftruncate(file.fileno(), 1 << 40)
for depth in range(200):
    os.mkdir('pit')
    os.chdir('pit')
open('treasure', 'w').close()
os.chdir(home)
for depth in range(40):
    os.mkdir('n' * 255)
    os.chdir('n' * 255)
open('treasure', 'w').close()",
        ),
        &[End::Exited(0)],
    )
};

pub(super) const ARTEFACT_CROWD: Attack = Attack {
    // None of them is a plain file.
    collected: Some(&[]),
    ..Attack::new(
        Python(
            "import os
for number in range(1500):
    os.mkdir(f'd{number}', 0)
    os.symlink('/', f'l{number}')",
        ),
        &[End::Exited(0)],
    )
};
