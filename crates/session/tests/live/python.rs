//! What a Python session does for a well-meaning cell.

use std::sync::Arc;
use std::time::Duration;

use rollcage_session::Ending;
use rollcage_session::live::{CellLimits, DisplayKind, LiveCell, LiveError, LiveSpec, LiveState};
use rollcage_types::{FileEntry, LimitKind, Limits, RelativePath, Termination};

use crate::{Ground, check, open, run, slowly, text};

pub(crate) fn all(ground: &Ground) {
    what_one_cell_defines_the_next_finds(ground);
    a_last_expression_is_shown_in_every_form(ground);
    failures_are_told_and_change_nothing_else(ground);
    input_is_given_answered_or_refused(ground);
    an_answer_that_is_late_is_nobody_elses(ground);
    a_question_that_was_interrupted_is_not_asked_again(ground);
    what_is_shown_is_shown_whole(ground);
    what_awaits_when_it_is_interrupted_is_over(ground);
    handlers_that_cells_leave_behind_end_no_session(ground);
    files_are_put_listed_and_read(ground);
    two_sessions_with_one_seed_draw_the_same(ground);
    misuse_is_refused(ground);
}

fn what_one_cell_defines_the_next_finds(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    for (source, stdout) in [
        ("x = 41", ""),
        ("x + 1", "42\n"),
        ("def f(n):\n    return n * x", ""),
        ("f(2)", "82\n"),
        ("import os; os.mkdir('d'); os.chdir('d')", ""),
        ("os.path.basename(os.getcwd())", "'d'\n"),
        ("print('no newline', end='')", "no newline"),
        ("from __future__ import annotations", ""),
        ("def g(a: undefined): pass\ng.__annotations__", "{'a': 'undefined'}\n"),
        ("import asyncio\nawait asyncio.sleep(0)\nawait asyncio.sleep(0, 'done')", "'done'\n"),
        (
            "import subprocess; print(subprocess.run(['echo', 'hi'], capture_output=True, text=True).stdout)",
            "hi\n\n",
        ),
        ("os.system('echo from a child') or None", "from a child\n"),
        ("import __main__; __main__.x", "41\n"),
        ("_ + 1", "42\n"),
        ("", ""),
        ("# a comment", ""),
        ("None", ""),
        ("x; 'two'", "'two'\n"),
    ] {
        check(&session, source, stdout);
    }
}

fn a_last_expression_is_shown_in_every_form(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    let outcome = run(
        &session,
        "class Both:\n    def __repr__(self): return 'text'\n    def _repr_html_(self): return '<b>html</b>'\n    \
         def _repr_png_(self): return b'\\x89PNG'\ndisplay(1)\nBoth()",
    );
    assert_eq!(text(&outcome.stdout), "1\ntext\n");
    let [first, last] = outcome.displays.as_slice() else { panic!("{:?}", outcome.displays) };
    assert_eq!((first.kind, last.kind), (DisplayKind::Display, DisplayKind::Result));
    assert_eq!(first.bundle.value("text/plain"), "1");
    assert_eq!(last.bundle.value("text/plain"), "text");
    assert_eq!(last.bundle.value("text/html"), "<b>html</b>");
    assert_eq!(last.bundle.value("image/png"), "iVBORw==");
    // What is printed is no bundle, whatever it looks like.
    let outcome = run(&session, "print('result 20\\n{\"text/plain\":\"no\"}')");
    assert_eq!(outcome.displays, []);
    // One that cannot be shown costs nothing but itself.
    let outcome = run(
        &session,
        "class Bad:\n    def _repr_html_(self): raise ValueError\n    def __repr__(self): return 'bad'\nBad()",
    );
    assert_eq!((text(&outcome.stdout), outcome.displays.len()), ("bad\n".to_owned(), 1));
}

fn failures_are_told_and_change_nothing_else(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    run(&session, "kept = 1");
    let outcome = run(&session, "early = 2\ndef f():\n    return missing\nf()");
    assert_eq!(outcome.ending, Some(Ending::Raised("NameError".to_owned())));
    assert_eq!(outcome.termination, Termination::Exited { code: 1 });
    let expected = "Traceback (most recent call last):\n  File \"<cell 2>\", line 4, in <module>\n    f()\n  File \
                    \"<cell 2>\", line 3, in f\n    return missing\nNameError: name 'missing' is not defined\n";
    let told = text(&outcome.stderr);
    // Versions differ in what they underline.
    let is_kept = |line: &&str| line.contains(|character| !" ~^\n".contains(character));
    let told: String = told.split_inclusive('\n').filter(is_kept).collect();
    assert_eq!(told, expected, "the traceback begins with the cell");
    check(&session, "kept, early", "(1, 2)\n");
    let outcome = run(&session, "def broken(:");
    assert_eq!(outcome.ending, Some(Ending::Raised("SyntaxError".to_owned())));
    let outcome = run(&session, "import sys; sys.exit(7)");
    assert_eq!(
        (outcome.ending, outcome.termination),
        (Some(Ending::Exited(7)), Termination::Exited { code: 7 })
    );
    let outcome = run(&session, "import warnings; warnings.warn('careful'); 'fine'");
    assert_eq!(outcome.ending, Some(Ending::Returned), "a warning is no failure");
    assert_eq!(text(&outcome.stdout), "'fine'\n");
    assert!(text(&outcome.stderr).contains("careful"));
}

fn input_is_given_answered_or_refused(ground: &Ground) {
    let farm = ground.roomy();
    let session = open(&farm, "python", LiveSpec::default());
    let cell = LiveCell { stdin: Arc::from(*b"a b\nc\n"), ..LiveCell::new("input().split(), input()") };
    let outcome = session.execute(&cell, &mut |_prompt| None).unwrap();
    assert_eq!(text(&outcome.stdout), "(['a', 'b'], 'c')\n");
    assert_eq!(run(&session, "input()").ending, Some(Ending::Raised("EOFError".to_owned())));
    let session = open(&farm, "python", LiveSpec { asks: true, ..LiveSpec::default() });
    let mut prompts = Vec::new();
    let outcome = session
        .execute(&LiveCell::new("input('name? ') + input()"), &mut |prompt| {
            prompts.push(prompt.to_owned());
            (prompts.len() < 3).then(|| b"Ada".to_vec())
        })
        .unwrap();
    assert_eq!(text(&outcome.stdout), "'AdaAda'\n");
    assert_eq!(prompts, ["name? ", ""]);
    assert_eq!(run(&session, "input()").ending, Some(Ending::Raised("EOFError".to_owned())));
}

/// Interrupts while a cell asks, and answers all the same.
fn an_answer_that_is_late_is_nobody_elses(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec { asks: true, ..LiveSpec::default() });
    // The last is longer than what the socket holds: half of it is read when the interrupt comes.
    for late in [None, Some(b"late".to_vec()), Some(vec![b'x'; 4 << 20])] {
        let asks = LiveCell::new("try: input()\nexcept EOFError: pass\nwhile True: pass");
        let outcome = session
            .execute(&asks, &mut |_prompt| {
                session.interrupt();
                late.clone()
            })
            .unwrap();
        assert_eq!(outcome.termination, Termination::Cancelled);
        assert_eq!(outcome.ending, Some(Ending::Raised("KeyboardInterrupt".to_owned())));
        assert_eq!(session.state(), LiveState::Ready);
        check(&session, "6 * 7", "42\n");
        let outcome = session.execute(&LiveCell::new("input()"), &mut |_| Some(b"Ada".to_vec())).unwrap();
        assert_eq!(text(&outcome.stdout), "'Ada'\n");
    }
}

/// Where the interrupt comes before the answer is read, for certain.
fn a_question_that_was_interrupted_is_not_asked_again(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec { asks: true, ..LiveSpec::default() });
    run(
        &session,
        "import signal, sys\nframe = sys._getframe()\n\
         while type(frame.f_locals.get('self')).__name__ != 'Agent': frame = frame.f_back\n\
         channel = frame.f_locals['self'].channel\nmore = channel.more\n\
         def interrupted():\n    channel.more = more\n    signal.raise_signal(signal.SIGINT)\n    return more()\n\
         def ask(prompt):\n    channel.more = interrupted\n    return input(prompt)",
    );
    let echo = |source: &str| {
        let outcome = session.execute(&LiveCell::new(source), &mut |prompt| Some(prompt.into())).unwrap();
        (outcome.ending, text(&outcome.stdout))
    };
    let interrupted = Some(Ending::Raised("KeyboardInterrupt".to_owned()));
    assert_eq!(echo("ask('first')"), (interrupted, String::new()));
    assert_eq!(echo("input('second')"), (Some(Ending::Returned), "'second'\n".to_owned()));
    let again = "try: ask('third')\nexcept KeyboardInterrupt: pass\ninput('fourth')";
    assert_eq!(echo(again), (Some(Ending::Returned), "'fourth'\n".to_owned()));
    check(&session, "6 * 7", "42\n");
}

/// Half a message would be taken for another.
fn what_is_shown_is_shown_whole(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    run(
        &session,
        "class Long:\n    def __init__(self, size): self.size = size\n    def __repr__(self): return 'long'\n    \
         def _repr_html_(self): return 'x' * self.size",
    );
    let wall_time = slowly(Duration::from_secs(1));
    let limits = Some(CellLimits { wall_time, ..CellLimits::from(&Limits::default()) });
    let endless = LiveCell { limits, ..LiveCell::new("while True: display(Long(3 << 20))") };
    let outcome = session.execute(&endless, &mut |_| None).unwrap();
    assert_eq!(outcome.termination, Termination::LimitExceeded(LimitKind::WallTime));
    assert_eq!(outcome.ending, Some(Ending::Raised("KeyboardInterrupt".to_owned())));
    for display in &outcome.displays {
        assert_eq!(display.bundle.value("text/html").as_str().map(str::len), Some(3 << 20));
    }
    check(&session, "6 * 7", "42\n");
    let outcome = run(
        &session,
        "import threading\nthreads = [threading.Thread(target=display, args=(Long(1 << 20),)) for _ in range(8)]\n\
         for thread in threads: thread.start()\nfor thread in threads: thread.join()",
    );
    assert_eq!((outcome.displays.len(), outcome.displays_dropped), (8, 0));
    // By a handler, in the middle of another.
    let outcome = run(
        &session,
        "import signal\nsignal.signal(signal.SIGALRM, lambda *_: display('tick'))\n\
         signal.setitimer(signal.ITIMER_REAL, .0005, .0005)\n\
         for _ in range(2000): display(Long(1000))\n\
         _ = signal.setitimer(signal.ITIMER_REAL, 0)",
    );
    assert_eq!(outcome.ending, Some(Ending::Returned), "{outcome:?}");
    assert!(outcome.displays.len() as u64 + outcome.displays_dropped >= 2000);
    // Longer than a message may be.
    let outcome = run(&session, "Long(17 << 20)");
    assert_eq!(
        (text(&outcome.stdout), outcome.displays.len(), outcome.displays_dropped),
        ("long\n".to_owned(), 0, 1)
    );
    check(&session, "6 * 7", "42\n");
}

fn what_awaits_when_it_is_interrupted_is_over(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    run(&session, "import asyncio");
    let wall_time = slowly(Duration::from_secs(1));
    let limits = Some(CellLimits { wall_time, ..CellLimits::from(&Limits::default()) });
    let cell = "try: await asyncio.sleep(60)\nfinally: print('ended')";
    let outcome = session.execute(&LiveCell { limits, ..LiveCell::new(cell) }, &mut |_| None).unwrap();
    assert_eq!(outcome.termination, Termination::LimitExceeded(LimitKind::WallTime));
    assert_eq!((text(&outcome.stdout), session.state()), ("ended\n".to_owned(), LiveState::Ready));
    check(&session, "n = len(asyncio.all_tasks()); await asyncio.sleep(.01); n", "1\n");
}

fn handlers_that_cells_leave_behind_end_no_session(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    let cell = "import os, signal, subprocess\ndef late(*_): raise TimeoutError('late')\n\
                signal.signal(signal.SIGALRM, late)\n\
                waits = 'while ! [ -e over ]; do sleep .01; done; kill -ALRM $PPID; touch said'\n\
                child = subprocess.Popen(['bash', '-c', waits])";
    run(&session, cell);
    session.put_file(FileEntry::new(RelativePath::new("over").unwrap(), b"".to_vec())).unwrap();
    while session.get_file(&RelativePath::new("said").unwrap()).is_err() {
        std::thread::yield_now();
    }
    let outcome = run(&session, "child.wait()");
    assert_eq!(text(&outcome.stdout), "0\n", "{outcome:?}");
    assert!(text(&outcome.stderr).ends_with("TimeoutError: late\n"), "{outcome:?}");
    assert_eq!(outcome.ending, Some(Ending::Returned));
}

fn files_are_put_listed_and_read(ground: &Ground) {
    let path = |path| RelativePath::new(path).unwrap();
    let files = vec![FileEntry::new(path("given.txt"), b"given".to_vec())];
    let session = open(&ground.roomy(), "python", LiveSpec { files, ..LiveSpec::default() });
    check(&session, "open('given.txt').read()", "'given'\n");
    session.put_file(FileEntry::new(path("a/b.txt"), b"put".to_vec())).unwrap();
    check(&session, "open('a/b.txt').read(), open('a/c.txt', 'w').write('made')", "('put', 4)\n");
    assert_eq!(&*session.get_file(&path("a/c.txt")).unwrap().content, b"made");
    let listed: Vec<_> =
        session.list_files().unwrap().into_iter().map(|file| (file.path, file.size)).collect();
    assert_eq!(listed, [("a/b.txt".into(), 3), ("a/c.txt".into(), 4), ("given.txt".into(), 5)]);
    // Links lead nowhere, in either direction and anywhere on the way.
    run(
        &session,
        "import os; os.symlink('/etc/passwd', 'link'); os.symlink('/tmp', 'way'); os.mkfifo('fifo')",
    );
    for name in ["link", "way/file", "fifo", "a"] {
        assert!(matches!(session.get_file(&path(name)), Err(LiveError::File(_))), "{name} is read");
        let file = FileEntry::new(path(name), b"x".to_vec());
        assert!(matches!(session.put_file(file), Err(LiveError::File(_))), "{name} is written");
    }
    check(&session, "os.path.exists('/tmp/file')", "False\n");
}

fn two_sessions_with_one_seed_draw_the_same(ground: &Ground) {
    let farm = ground.roomy();
    let draws = |seed| {
        let session = open(&farm, "python", LiveSpec { seed, ..LiveSpec::default() });
        text(&run(&session, "import random; random.random(), hash('text')").stdout)
    };
    assert_eq!(draws(1), draws(1));
    assert_ne!(draws(1), draws(2));
}

fn misuse_is_refused(ground: &Ground) {
    let session = open(&ground.roomy(), "python", LiveSpec::default());
    let long = LiveCell::new("x".repeat(2 << 20));
    assert!(matches!(session.execute(&long, &mut |_| None), Err(LiveError::CellTooLong { .. })));
    assert_eq!(session.state(), LiveState::Ready);
    session.close().unwrap();
    assert_eq!(session.state(), LiveState::Closed);
    let refused = session.execute(&LiveCell::new("1"), &mut |_| None);
    assert_eq!(refused.unwrap_err().to_string(), "the session is closed; open another");
}
