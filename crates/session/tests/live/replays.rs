//! States that are brought about again, and those that are not gone on with.

use std::time::Duration;

use rollcage_sandbox::Cancel;
use rollcage_session::live::{
    CellLimits, Farm, FarmError, LiveCell, LiveError, LiveSession, LiveSpec, LiveState,
};
use rollcage_types::{ByteSize, FileEntry, Limits, RelativePath};

use crate::{Ground, check, open, run, text};

/// Longer than any cell here takes on a busy machine.
const ROOMY: Duration = Duration::from_secs(60);

pub(crate) fn all(ground: &Ground) {
    what_fails_to_come_back_is_not_lost(ground);
    who_is_gone_is_not_worked_for(ground);
    a_history_that_was_taken_back_is_another(ground);
    a_replay_ends_as_the_first_run_or_not_at_all(ground);
    a_replay_has_the_limits_of_its_cells(ground);
    nothing_is_written_under_an_open_database(ground);
    divergence_is_told(ground);
}

fn small() -> LiveSpec {
    let limits = Limits { memory: ByteSize::mib(64), disk: ByteSize::mib(8), ..Limits::default() };
    LiveSpec { limits, ..LiveSpec::default() }
}

/// One that cannot be put aside.
fn blocker(farm: &Farm) -> LiveSession {
    let blocker = open(farm, "python", small());
    run(
        &blocker,
        "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    );
    blocker
}

fn what_fails_to_come_back_is_not_lost(ground: &Ground) {
    let farm = ground.farm(ByteSize::gib(8), Some(2));
    let session = open(&farm, "python", LiveSpec { forks: true, ..small() });
    run(&session, "x = 1");
    let (snapshot, plain) = (session.snapshot_live().unwrap(), session.snapshot().unwrap());
    run(&session, "x = 2");
    session.evict().unwrap();
    let is_refused = |snapshot| {
        let failed = session.restore_to(snapshot).unwrap_err();
        assert!(matches!(&failed, LiveError::Farm(FarmError::Full { .. })), "{failed}");
        assert_eq!(session.state(), LiveState::Evicted);
    };
    // Beside one there is room for the copy, which must be live to be copied; beside two there is none.
    let first = blocker(&farm);
    is_refused(&snapshot);
    let second = blocker(&farm);
    is_refused(&plain);
    drop((first, second));
    check(&session, "x", "2\n");
    session.restore_to(&snapshot).unwrap();
    check(&session, "x", "1\n");
}

fn who_is_gone_is_not_worked_for(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    run(&session, "x = 1");
    session.evict().unwrap();
    let cancel = Cancel::new();
    cancel.cancel();
    for state in [LiveState::Evicted, LiveState::Ready] {
        let failed = session.execute_until(&cancel, &LiveCell::new("x = 2"), &mut |_| None).unwrap_err();
        assert!(matches!(failed, LiveError::Interrupted), "{failed}");
        assert_eq!(session.state(), state);
        check(&session, "x", "1\n");
    }
}

fn a_history_that_was_taken_back_is_another(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    let put = |content: &[u8]| {
        session.put_file(FileEntry::new(RelativePath::new("a").unwrap(), content.to_vec())).unwrap();
    };
    let first = session.snapshot().unwrap();
    put(b"one");
    let second = session.snapshot().unwrap();
    session.restore_to(&first).unwrap();
    put(b"two");
    assert!(matches!(session.restore_to(&second), Err(LiveError::ForeignSnapshot)));
    let third = session.snapshot().unwrap();
    session.evict().unwrap();
    check(&session, "open('a').read()", "'two'\n");
    session.restore_to(&third).unwrap();
    check(&session, "open('a').read()", "'two'\n");
}

fn a_replay_ends_as_the_first_run_or_not_at_all(ground: &Ground) {
    // Of the processor, which a cell that ends at once takes next to nothing of, however busy the machine is.
    let cpu_time = Duration::from_millis(500);
    let short = CellLimits { cpu_time, wall_time: ROOMY, ..CellLimits::from(&Limits::default()) };
    // Another session is another user.
    for (elsewhere, again) in [
        ("try:\n        while True: pass\n    except KeyboardInterrupt: pass", "exceeded the"),
        ("os._exit(3)", "its interpreter exited with code 3"),
        ("1 / 0", "it raised ZeroDivisionError"),
    ] {
        let session = open(&ground.roomy(), "python", LiveSpec::default());
        run(&session, "import os; user = open('/proc/self/status').read().split('Uid:')[1].split()[0]");
        let user = text(&run(&session, "print(user)").stdout);
        let source = format!("if os.getuid() != {}:\n    {elsewhere}", user.trim());
        let cell = LiveCell { limits: Some(short.clone()), ..LiveCell::new(source) };
        session.execute(&cell, &mut |_| None).unwrap();
        session.evict().unwrap();
        let failed = session.rehydrate().unwrap_err();
        assert!(matches!(&failed, LiveError::Diverged { cell: 2 | 3, .. }), "{failed}");
        assert!(failed.to_string().contains(again), "{elsewhere}: {failed}");
        assert_eq!(session.state(), LiveState::Evicted);
    }
    // Nobody knows what would be the same.
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    let vague = "import os, sys
frame = sys._getframe()
while type(frame.f_locals.get('self')).__name__ != 'Agent': frame = frame.f_back
said = b'%d zz' % frame.f_locals['cell'][0]
os.write(frame.f_locals['self'].channel.descriptor, b'done %d\\n%s' % (len(said), said))";
    assert_eq!(run(&session, vague).ending, None);
    assert!(matches!(session.evict(), Err(LiveError::NotReplayable { .. })));
}

fn a_replay_has_the_limits_of_its_cells(ground: &Ground) {
    let limits = Limits { wall_time: Duration::from_millis(100), ..Limits::default() };
    let session = open(&ground.roomy(), "python", LiveSpec { limits, ..LiveSpec::default() });
    let roomy = CellLimits { wall_time: ROOMY, ..CellLimits::from(&Limits::default()) };
    let run = |source: &str| {
        let cell = LiveCell { limits: Some(roomy.clone()), ..LiveCell::new(source) };
        text(&session.execute(&cell, &mut |_| None).unwrap().stdout)
    };
    // More than four times what the session gives, and within what the cell is given.
    run("import time; time.sleep(.6); x = 1");
    session.evict().unwrap();
    assert_eq!(run("x"), "1\n");
}

fn nothing_is_written_under_an_open_database(ground: &Ground) {
    let with_database = || {
        let session = open(&ground.roomy(), "python", LiveSpec::default());
        run(&session, "import os, sqlite3; c = sqlite3.connect('x.db'); c.execute('create table t (a)')");
        run(&session, "c.execute('insert into t values (?)', [os.urandom(8)]); c.commit()");
        session
    };
    let session = with_database();
    session.evict().unwrap();
    let failed = session.rehydrate().unwrap_err();
    assert!(matches!(&failed, LiveError::DatabaseDiverged { path } if path.as_str() == "x.db"), "{failed}");
    // One that nobody has open is simply there.
    let session = with_database();
    run(&session, "c.close()");
    let held = text(&run(&session, "print(open('x.db', 'rb').read()[-8:])").stdout);
    session.evict().unwrap();
    check(&session, "print(open('x.db', 'rb').read()[-8:])", &held);
}

fn divergence_is_told(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    run(&session, "import time; print(time.time_ns())");
    run(&session, "print(object())");
    session.evict().unwrap();
    let rehydrated = session.rehydrate().unwrap();
    assert_eq!((rehydrated.cells, rehydrated.diverged), (2, vec![1]), "an address is no divergence");
    // A cell that ends otherwise leads to a state that nobody saw.
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    session.put_file(FileEntry::new(RelativePath::new("once").unwrap(), b"".to_vec())).unwrap();
    let cell = "import os, time\nif time.time_ns() // 10**9 % 2 ** 20 != 0 and os.urandom(8) < b'\\x80': raise ValueError\n";
    let mut diverged = false;
    for _ in 0..20 {
        run(&session, cell);
    }
    session.evict().unwrap();
    if let Err(error) = session.rehydrate() {
        assert!(matches!(error, LiveError::Diverged { .. }), "{error}");
        diverged = true;
    }
    assert!(diverged, "twenty coins fell the same way twice");
    assert_eq!(session.state(), LiveState::Evicted, "nothing is lost by trying");
}
