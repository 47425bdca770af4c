//! Trunks that lie while a branch of theirs is made.

use std::time::Duration;

use rollcage_session::Ending;
use rollcage_session::live::{ForkWay, LiveError, LiveSession, LiveSpec, LiveState};
use rollcage_types::{ByteSize, Limits};

use crate::{Ground, check, open, run};

pub(crate) fn all(ground: &Ground) {
    nobody_holds_up_others_for_long(ground);
    who_does_not_read_is_not_waited_for(ground);
    nobody_keeps_a_process_that_was_not_asked_for(ground);
    nobody_speaks_for_the_init(ground);
}

/// Finds the agent, and has it do `attack` when it is told to branch: with `channel` the number of its socket, `arrivals()` the
/// descriptors that it is sent for a branch, and `clone()` the one clone that is let go on.
fn lying(attack: &str) -> String {
    let attack = attack.replace('\n', "\n    ");
    format!(
        "import ctypes, os, socket, sys
frame = sys._getframe()
while type(frame.f_locals.get('self')).__name__ != 'Agent':
    frame = frame.f_back
agent = frame.f_locals['self']
channel = agent.channel.descriptor
libc = ctypes.CDLL(None, use_errno=True)
def arrivals():
    os.write(channel, b'branching 0\\n')
    return socket.recv_fds(socket.socket(fileno=os.dup(channel)), 1, 4)[1]
def clone():
    return libc.syscall(56, ctypes.c_ulong(0x10000000 | 0x20000 | 0x20000000 | 0x100 | 0x4000 | 0x8000 | 17), 0, 0, 0, 0)
def lie():
    {attack}
agent.branch = lie"
    )
}

fn spec() -> LiveSpec {
    let limits =
        Limits { memory: ByteSize::mib(256), wall_time: Duration::from_secs(5), ..Limits::default() };
    LiveSpec { limits, forks: true, ..LiveSpec::default() }
}

/// Fills its socket with answers that it does not read, and says beforehand what it would be asked.
const DEAF: &str = "import array, fcntl, os, sys, termios, time
frame = sys._getframe()
while type(frame.f_locals.get('self')).__name__ != 'Agent':
    frame = frame.f_back
channel, number = frame.f_locals['self'].channel.descriptor, frame.f_locals['cell'][0]
def unread():
    count = array.array('i', [0])
    fcntl.ioctl(channel, termios.FIONREAD, count)
    return count[0]
while True:
    before, asked = unread(), time.monotonic()
    os.write(channel, b'input 0\\n')
    while unread() == before and time.monotonic() < asked + 1: pass
    if unread() == before: break
said = b'%d returned' % number
os.write(channel, b'done %d\\n%sbranching 0\\n' % (len(said), said))
time.sleep(3600)";

/// What a fork of a session fails with that lies; its neighbours are as they were.
fn fork_of_liar(ground: &Ground, attack: &str) -> LiveError {
    let farm = ground.roomy();
    let neighbour: LiveSession = open(&farm, "python", spec());
    run(&neighbour, "x = 1");
    let liar = open(&farm, "python", spec());
    check(&liar, &format!("{}\nprint('ready')", lying(attack)), "ready\n");
    let failed = liar.fork(1).unwrap_err();
    assert!(matches!(liar.state(), LiveState::Poisoned(_)), "{:?}", liar.state());
    let forked = neighbour.fork(1).unwrap();
    assert_eq!(forked.way, ForkWay::Copied);
    check(&forked.sessions[0], "x", "1\n");
    drop((liar, neighbour, forked));
    assert_eq!(farm.counts().live, 0);
    failed
}

fn told(error: &LiveError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn nobody_holds_up_others_for_long(ground: &Ground) {
    let flood = "while True: os.write(channel, b'branched 0\\n' * 1000)";
    let silence = "import time; arrivals(); time.sleep(3600)";
    for attack in [flood, silence] {
        let failed = fork_of_liar(ground, attack);
        assert!(told(&failed).contains("within 5 s"), "{attack}: {}", told(&failed));
    }
}

fn who_does_not_read_is_not_waited_for(ground: &Ground) {
    let limits = Limits { memory: ByteSize::mib(256), ..Limits::default() };
    let session = open(&ground.roomy(), "python", LiveSpec { limits, forks: true, ..LiveSpec::default() });
    assert_eq!(run(&session, DEAF).ending, Some(Ending::Returned));
    let failed = session.fork(1).unwrap_err();
    assert!(told(&failed).contains("within 5 s"), "{}", told(&failed));
    assert!(matches!(session.state(), LiveState::Poisoned(_)), "{:?}", session.state());
}

fn nobody_keeps_a_process_that_was_not_asked_for(ground: &Ground) {
    let attack = "for arrived in arrivals(): os.close(arrived)\nclone()\nos.write(channel, b'refused 0\\n')\n\
                  import time; time.sleep(3600)";
    let failed = fork_of_liar(ground, attack);
    assert!(told(&failed).contains("it made more than a branch"), "{}", told(&failed));
}

fn nobody_speaks_for_the_init(ground: &Ground) {
    let attack =
        "import time\nto = arrivals()[0]\nclone()\nif os.fork() == 0: os.write(to, b'i')\ntime.sleep(3600)";
    let failed = fork_of_liar(ground, attack);
    assert!(told(&failed).contains("another spoke for the init of a branch"), "{}", told(&failed));
}
