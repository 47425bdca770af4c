//! What a Python session does for a well-meaning cell.

use std::sync::Arc;

use rollcage_session::Ending;
use rollcage_session::live::{DisplayKind, LiveCell, LiveError, LiveSpec, LiveState};
use rollcage_types::{FileEntry, RelativePath, Termination};

use crate::{Ground, check, open, run, text};

pub(crate) fn all(ground: &Ground) {
    what_one_cell_defines_the_next_finds(ground);
    a_last_expression_is_shown_in_every_form(ground);
    failures_are_told_and_change_nothing_else(ground);
    input_is_given_answered_or_refused(ground);
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
