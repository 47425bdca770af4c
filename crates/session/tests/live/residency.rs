//! Sessions that are put aside and come back.

use std::sync::Arc;

use rollcage_language::LanguageSet;
use rollcage_session::live::{
    Farm, FarmBudget, FarmConfig, FarmError, ForkWay, LiveCell, LiveError, LiveSpec, LiveState,
};
use rollcage_types::{ByteSize, FileEntry, Limits, RelativePath};

use crate::{Ground, check, open, run, text};

pub(crate) fn all(ground: &Ground) {
    what_was_put_aside_comes_back(ground);
    what_cannot_be_replayed_stays(ground);
    room_is_made_by_putting_aside_who_was_not_used_for_longest(ground);
    without_room_an_opening_is_refused(ground);
    farms_may_share_what_they_have(ground);
    who_needs_room_waits_for_cells_to_end(ground);
    history_can_be_taken_back(ground);
    live_snapshots_are_come_back_to_without_a_replay(ground);
    who_is_idle_is_put_aside(ground);
    branches_go_their_own_ways(ground);
    copies_are_put_aside_too(ground);
    who_came_back_can_be_put_aside_again(ground);
    files_that_were_written_from_outside_count(ground);
}

fn what_was_put_aside_comes_back(ground: &Ground) {
    let farm = ground.roomy();
    let session = open(&farm, "python", LiveSpec { seed: 3, asks: true, ..LiveSpec::default() });
    session.put_file(FileEntry::new(RelativePath::new("in.txt").unwrap(), b"one\n".to_vec())).unwrap();
    run(&session, "import random; x = random.random(); print('said once')");
    run(&session, "open('in.txt', 'a').write('two\\n')");
    let cell = LiveCell { stdin: Arc::from(*b"line\n"), ..LiveCell::new("y = input()") };
    session.execute(&cell, &mut |_| None).unwrap();
    session.execute(&LiveCell::new("z = input('? ')"), &mut |_| Some(b"answer".to_vec())).unwrap();
    run(&session, "1/0");
    let before = text(&run(&session, "x, y, z, random.random()").stdout);
    assert!(before.contains("'line', 'answer'"), "{before}");
    let drawn = before.split(',').next().unwrap().trim_start_matches('(').to_owned();
    let draw = "random.random()";
    session.evict().unwrap();
    assert_eq!((session.state(), farm.counts().live, farm.counts().evicted), (LiveState::Evicted, 0, 1));
    let outcome = run(&session, draw);
    let rehydrated = outcome.rehydrated.expect("it was put aside");
    assert_eq!((rehydrated.cells, rehydrated.diverged), (6, vec![]));
    assert_eq!(text(&outcome.stderr), "", "a replay is silent");
    check(&session, "x", &format!("{drawn}\n"));
    check(&session, "open('in.txt').read()", "'one\\ntwo\\n'\n");
    check(&session, "(y, z)", "('line', 'answer')\n");
    assert_eq!((farm.counts().live, farm.counts().evicted), (1, 0));
}

fn what_cannot_be_replayed_stays(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    run(
        &session,
        "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    );
    let refused = session.evict().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the session cannot be put aside: a cell left threads or processes running; it stays live"
    );
    assert_eq!(session.state(), LiveState::Ready);
    // A runtime with threads of its own has left nothing running, unless there is a process.
    let session = open(&ground.roomy(), "javascript", LiveSpec::default());
    run(&session, "let x = 1");
    session.evict().unwrap();
    run(&session, "const child = require('child_process').spawn('sleep', ['60']); x + 1");
    assert!(matches!(session.evict(), Err(LiveError::NotReplayable { .. })));
}

fn small() -> LiveSpec {
    let limits = Limits { memory: ByteSize::mib(64), disk: ByteSize::mib(8), ..Limits::default() };
    LiveSpec { limits, ..LiveSpec::default() }
}

fn room_is_made_by_putting_aside_who_was_not_used_for_longest(ground: &Ground) {
    let farm = ground.farm(ByteSize::gib(8), Some(3));
    let sessions: Vec<_> = (0..5).map(|_| open(&farm, "python", small())).collect();
    let states = || sessions.iter().map(|session| session.state() == LiveState::Ready).collect::<Vec<_>>();
    assert_eq!(states(), [false, false, true, true, true]);
    for (index, session) in sessions.iter().enumerate() {
        run(session, &format!("n = {index}"));
    }
    for (index, session) in sessions.iter().enumerate().rev() {
        check(session, "n", &format!("{index}\n"));
    }
    assert_eq!((farm.counts().live, farm.counts().evicted), (3, 2));
    drop(sessions);
    assert_eq!((farm.counts().live, farm.counts().evicted), (0, 0));
    let left = std::fs::read_dir(ground.directory.path().join("aside")).unwrap().count();
    assert_eq!(left, 0, "nothing is left on disk");
}

fn without_room_an_opening_is_refused(ground: &Ground) {
    let farm = ground.farm(ByteSize::gib(8), Some(2));
    let pinned: Vec<_> = (0..2).map(|_| open(&farm, "python", small())).collect();
    for session in &pinned {
        run(
            session,
            "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        );
    }
    let set = LanguageSet::built_in();
    let refused = farm.open(set.find("python").unwrap(), small()).unwrap_err();
    assert!(matches!(refused, FarmError::Full { open: 2 }), "{refused}");
    assert!(refused.is_retryable());
    pinned[0].close().unwrap();
    open(&farm, "python", small());
    let refused =
        ground.farm(ByteSize::mib(32), None).open(set.find("python").unwrap(), small()).unwrap_err();
    assert!(matches!(refused, FarmError::TooLarge { .. }), "{refused}");
}

fn farms_may_share_what_they_have(ground: &Ground) {
    let budget = FarmBudget::new(Some(ByteSize::gib(8)), Some(2), &ground.host);
    let farm = |name: &str| {
        let directory = ground.directory.path().join(name);
        Farm::within(budget.clone(), Arc::clone(&ground.host), directory, None).unwrap()
    };
    let (first, second) = (farm("first"), farm("second"));
    let sessions: Vec<_> = (0..2).map(|_| open(&first, "python", small())).collect();
    run(&sessions[0], "x = 1");
    // Room for one is made by another of either.
    let third = open(&second, "python", small());
    let live = |farm: &Farm| (farm.counts().live, farm.counts().evicted);
    assert_eq!((live(&first), live(&second)), ((1, 1), (1, 0)));
    assert_eq!(sessions[1].state(), LiveState::Evicted, "it was not used for longest");
    run(&sessions[1], "y = 2");
    assert_eq!((live(&first), live(&second)), ((1, 1), (1, 0)));
    check(&sessions[0], "x", "1\n");
    drop(sessions);
    check(&third, "1", "1\n");
}

fn live_snapshots_are_come_back_to_without_a_replay(ground: &Ground) {
    let farm = ground.roomy();
    let session = open(&farm, "python", LiveSpec { forks: true, ..LiveSpec::default() });
    // What a replay would not bring back.
    run(&session, "import time; x = [time.time_ns()]; open('f', 'w').write('early')");
    let x = text(&run(&session, "x").stdout);
    let early = session.snapshot_live().unwrap();
    assert_eq!(farm.counts().live, 2, "it is counted");
    run(&session, "x.append(1); open('f', 'w').write('late')");
    let late = session.snapshot_live().unwrap();
    let back = session.restore_to(&early).unwrap();
    assert_eq!((back.cells, back.diverged), (0, vec![]));
    check(&session, "x", &x);
    check(&session, "open('f').read()", "'early'\n");
    // What was undone is still kept.
    session.restore_to(&late).unwrap();
    check(&session, "len(x), open('f').read()", "(2, 'late')\n");
    // After a cell that ended the interpreter, from where a snapshot was just taken.
    let kept = session.snapshot_live().unwrap();
    run(&session, "import os; os._exit(3)");
    assert!(matches!(session.state(), LiveState::Poisoned(_)));
    assert_eq!(session.restore().unwrap().cells, 0);
    check(&session, "len(x), open('f').read()", "(2, 'late')\n");
    drop((early, late, kept));
    assert_eq!(farm.counts().live, 1, "they are gone");
    let plain = open(&farm, "python", LiveSpec::default());
    assert!(
        matches!(plain.snapshot_live(), Err(LiveError::NotCopied { .. })),
        "it was opened as one that is not forked"
    );
}

fn who_is_idle_is_put_aside(ground: &Ground) {
    let directory = ground.directory.path().join("idle");
    let idle = Some(std::time::Duration::from_millis(200));
    let config = FarmConfig { memory: None, live_max: None, directory, idle };
    let farm = Farm::new(Arc::clone(&ground.host), config).unwrap();
    let session = open(&farm, "python", LiveSpec::default());
    run(&session, "x = 1");
    let kept = open(&farm, "python", LiveSpec::default());
    let once = LiveCell { once: true, ..LiveCell::new("import os; y = 2") };
    kept.execute(&once, &mut |_| None).unwrap();
    let began = std::time::Instant::now();
    while session.state() != LiveState::Evicted {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "nobody put it aside");
        std::thread::yield_now();
    }
    check(&session, "x", "1\n");
    assert!(
        matches!(kept.evict(), Err(LiveError::NotReplayable { .. })),
        "it has done what is not done twice"
    );
    check(&kept, "y", "2\n");
}

fn who_needs_room_waits_for_cells_to_end(ground: &Ground) {
    let farm = ground.farm(ByteSize::gib(8), Some(2));
    // No session is over before all are open.
    let all_open = std::sync::Barrier::new(6);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (farm, all_open) = (&farm, &all_open);
            scope.spawn(move || {
                let session = open(farm, "python", LiveSpec::default());
                run(&session, &format!("x = [{number}]"));
                all_open.wait();
                for turn in 1..5 {
                    assert!(farm.counts().live <= 2);
                    check(
                        &session,
                        "x.append(x[-1] + 10); len(x), x[-1]",
                        &told(turn + 1, number + 10 * turn),
                    );
                }
            });
        }
    });
    let told_of = farm.counts();
    assert!(told_of.evictions >= 4 && told_of.rehydrations > 0, "{told_of:?}");
}

fn told(length: usize, last: usize) -> String {
    format!("({length}, {last})\n")
}

fn history_can_be_taken_back(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    run(&session, "x = [1]");
    let early = session.snapshot().unwrap();
    run(&session, "x.append(2); open('f', 'w').write('late')");
    let late = session.snapshot().unwrap();
    let undone = session.restore_to(&early).unwrap();
    assert_eq!(undone.cells, 1);
    check(&session, "import os; x, os.listdir('.')", "([1], [])\n");
    assert!(matches!(session.restore_to(&late), Err(LiveError::ForeignSnapshot)), "its cells are undone");
    let other = open(&ground.roomy(), "python", LiveSpec::default());
    assert!(matches!(other.restore_to(&early), Err(LiveError::ForeignSnapshot)));
}

fn branches_go_their_own_ways(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    run(&session, "x = [1]; open('f', 'w').write('trunk')");
    let forked = session.fork(2).unwrap();
    assert!(matches!(forked.way, ForkWay::Replayed { .. }), "it was not opened to be copied");
    let branches = forked.sessions;
    check(
        &branches[0],
        "x.append(2); open('f', 'a').write(' one'); x, open('f').read()",
        "([1, 2], 'trunk one')\n",
    );
    check(&branches[1], "x.append(3); x, open('f').read()", "([1, 3], 'trunk')\n");
    check(&session, "x, open('f').read()", "([1], 'trunk')\n");
}

fn copies_are_put_aside_too(ground: &Ground) {
    let farm = ground.roomy();
    for (language, cells, shown, value) in [
        ("python", ["x = 1", "y = 2"], "x + y", "3\n"),
        // An exit leaves a shell waiting, which a copy does not have.
        ("bash", ["x=1; exit 3", "y=2"], "echo $((x + y))", "3\n"),
    ] {
        let session = open(&farm, language, LiveSpec { forks: true, ..LiveSpec::default() });
        for cell in cells {
            run(&session, cell);
        }
        let forked = session.fork(2).unwrap();
        assert_eq!(forked.way, ForkWay::Copied, "{language}");
        for branch in &forked.sessions {
            branch.evict().unwrap();
            check(branch, shown, value);
        }
        // One that has branches of its own leaves nothing of itself behind that would count.
        let deep = forked.sessions[0].fork(1).unwrap();
        deep.sessions[0].evict().unwrap();
        check(&deep.sessions[0], shown, value);
        check(&session, shown, value);
    }
    let session = open(&farm, "python", LiveSpec { forks: true, ..LiveSpec::default() });
    let branch = session.fork(1).unwrap().sessions.remove(0);
    run(&branch, "import os; os.system('sleep 60 &')");
    assert!(matches!(branch.evict(), Err(LiveError::NotReplayable { .. })));
}

fn who_came_back_can_be_put_aside_again(ground: &Ground) {
    let farm = ground.farm(ByteSize::gib(8), Some(2));
    let sessions: Vec<_> = (0..4).map(|_| open(&farm, "python", small())).collect();
    // By other ways than a cell.
    sessions[0].list_files().unwrap();
    sessions[1].snapshot().unwrap();
    let more: Vec<_> = (0..2).map(|_| open(&farm, "python", small())).collect();
    sessions.iter().chain(&more).for_each(|session| check(session, "1", "1\n"));
}

fn files_that_were_written_from_outside_count(ground: &Ground) {
    const FILE: u64 = 20 << 20;
    let farm = ground.roomy();
    let limits = Limits { disk: ByteSize::mib(64), ..Limits::default() };
    let session = open(&farm, "python", LiveSpec { limits, forks: true, ..LiveSpec::default() });
    let before = farm.counts().memory.as_u64();
    let content = vec![b'x'; usize::try_from(FILE).unwrap()];
    session.put_file(FileEntry::new(RelativePath::new("a").unwrap(), content)).unwrap();
    let forked = session.fork(2).unwrap();
    assert_eq!(forked.way, ForkWay::Copied);
    let held = farm.counts().memory.as_u64() - before;
    assert!((3 * FILE..4 * FILE).contains(&held), "{held}");
    drop((forked, session));
    let held = farm.counts().memory.as_u64().saturating_sub(before);
    assert!(held < FILE, "{held}");
}
