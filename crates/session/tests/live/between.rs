//! What sessions take between their cells, and what of that is whose.

use std::time::{Duration, Instant};

use rollcage_session::CellEffect;
use rollcage_session::live::{Farm, FarmError, LiveCell, LiveError, LiveSession, LiveSpec, LiveState};
use rollcage_types::{ByteSize, FileEntry, LimitKind, Limits, RelativePath, Termination};

use crate::{Ground, check, open, run, text};

/// What does not come about by then does not.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn all(ground: &Ground) {
    room_is_kept_for_what_a_cell_left_running(ground);
    who_grows_between_its_cells_is_ended(ground);
    who_works_between_its_cells_has_that_time_less(ground);
    what_an_earlier_cell_was_refused_is_not_this_ones(ground);
}

fn with_memory(memory: ByteSize) -> LiveSpec {
    let limits = Limits { memory, disk: ByteSize::mib(8), ..Limits::default() };
    LiveSpec { limits, ..LiveSpec::default() }
}

fn put(session: &LiveSession, name: &str) {
    session.put_file(FileEntry::new(RelativePath::new(name).unwrap(), b"".to_vec())).unwrap();
}

/// Until one of them is lost, and why it is.
fn await_loss(sessions: &[&LiveSession]) -> String {
    let began = Instant::now();
    loop {
        for session in sessions {
            if let LiveState::Poisoned(reason) = session.state() {
                return reason;
            }
        }
        assert!(began.elapsed() < PATIENCE, "none was ended");
        std::thread::yield_now();
    }
}

fn room_is_kept_for_what_a_cell_left_running(ground: &Ground) {
    let farm = ground.farm(ByteSize::mib(400), None);
    let (first, second) = (open(&farm, "python", with_memory(ByteSize::mib(256))), small_beside(&farm));
    run(
        &first,
        "import os, threading, time\n\
         def wait():\n    while not os.path.exists('stop'): time.sleep(.01)\n\
         thread = threading.Thread(target=wait)\nthread.start()",
    );
    let refused = second.execute(&LiveCell::new("1"), &mut |_| None).unwrap_err();
    assert!(matches!(&refused, LiveError::Farm(FarmError::Full { .. })), "{refused}");
    assert!(refused.is_retryable());
    put(&first, "stop");
    run(&first, "thread.join()");
    check(&second, "1", "1\n");
}

/// One whose limit does not fit beside that of another.
fn small_beside(farm: &Farm) -> LiveSession {
    open(farm, "python", with_memory(ByteSize::mib(256)))
}

/// Says that it is done and is not, then takes more and more once it finds a file.
const GROWING: &str = "import os, sys, time
kept = [b'x' * (100 << 20)]
frame = sys._getframe()
while type(frame.f_locals.get('self')).__name__ != 'Agent': frame = frame.f_back
said = b'%d returned' % frame.f_locals['cell'][0]
os.write(frame.f_locals['self'].channel.descriptor, b'done %d\\n%s' % (len(said), said))
while not os.path.exists('go'): time.sleep(.01)
while True:
    kept.append(b'x' * 2**20)
    time.sleep(.1)";

fn who_grows_between_its_cells_is_ended(ground: &Ground) {
    // Slowly, and from near enough to the end that a busy machine finds it out before that.
    let budget = ByteSize::mib(400);
    let farm = ground.farm(budget, None);
    let spec = || with_memory(ByteSize::mib(200));
    let neighbour = open(&farm, "python", spec());
    run(&neighbour, "x = 1");
    let liars = [open(&farm, "python", spec()), open(&farm, "python", spec())];
    for liar in &liars {
        let outcome = run(liar, GROWING);
        assert_eq!((outcome.effect, text(&outcome.stderr)), (CellEffect::Kept, String::new()));
    }
    for liar in &liars {
        put(liar, "go");
    }
    let reason = await_loss(&[&liars[0], &liars[1]]);
    assert_eq!(reason, "it took memory while none of its cells ran");
    assert!(farm.counts().memory <= budget, "{:?}", farm.counts());
    drop(liars);
    check(&neighbour, "x", "1\n");
}

fn who_works_between_its_cells_has_that_time_less(ground: &Ground) {
    let spec = LiveSpec { total_time: Duration::from_secs(1), ..with_memory(ByteSize::mib(256)) };
    let session = open(&ground.roomy(), "python", spec);
    // Each has that time of its own.
    let outcome = run(
        &session,
        "import subprocess, sys\nfor _ in range(3): subprocess.Popen([sys.executable, '-c', 'while True: pass'])",
    );
    assert_eq!(outcome.effect, CellEffect::Kept);
    assert_eq!(await_loss(&[&session]), "what its cells left running used up its 1s of time");
}

fn what_an_earlier_cell_was_refused_is_not_this_ones(ground: &Ground) {
    let mut spec = with_memory(ByteSize::mib(128));
    spec.limits.processes = 16;
    for refused in [
        "kept = []
try:
    while True:
        child = os.fork()
        if child == 0: signal.pause()
        kept.append(child)
except OSError: pass
for child in kept: os.kill(child, 9); os.waitpid(child, 0)",
        "child = os.fork()
if child == 0: kept = b'x' * 2**30; os._exit(0)
os.waitpid(child, 0)",
    ] {
        let session = open(&ground.roomy(), "python", spec.clone());
        run(&session, "import os, signal");
        let outcome = run(&session, refused);
        if outcome.effect == CellEffect::Lost(rollcage_session::LostReason::Limit(LimitKind::Memory)) {
            // Where one that takes too much takes all others with it.
            continue;
        }
        assert_eq!(outcome.effect, CellEffect::Kept, "{refused}: {}", text(&outcome.stderr));
        assert_eq!(run(&session, "os._exit(3)").termination, Termination::Exited { code: 3 }, "{refused}");
    }
}

/// A session that ends by itself, later than any comes up. Takes as long as that.
pub(crate) fn an_end_long_after_the_opening_is_told_as_it_was(ground: &Ground) {
    let limits = Limits { wall_time: PATIENCE, ..Limits::default() };
    let session = open(&ground.roomy(), "python", LiveSpec { limits, ..LiveSpec::default() });
    let outcome = run(&session, "import os, time; time.sleep(21); os._exit(3)");
    assert_eq!(outcome.termination, Termination::Exited { code: 3 });
}
