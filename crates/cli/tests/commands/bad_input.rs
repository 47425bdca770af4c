//! Mistakes: each is named, with what would mend it, and has its documented code.

use std::os::unix::process::CommandExt as _;

use crate::harness::{Files, can_run, command, finish, rollcage};

/// Runs `arguments` and looks for each of `facts` in what standard error says.
fn check(arguments: &[&str], code: i32, facts: &[&str]) {
    let finished = rollcage(arguments);
    assert_eq!(finished.code, Some(code), "{arguments:?}: {finished:?}");
    assert_eq!(finished.text(), "", "{arguments:?}");
    for fact in facts {
        assert!(finished.stderr.contains(fact), "{arguments:?} does not say {fact:?}: {}", finished.stderr);
    }
}

#[test]
fn wrong_programs_are_named() {
    let files = Files::new(&[("a.py", "print(1)"), ("a.cobol", ""), ("noname", "print(1)")]);
    let program = files.at("a.py");
    check(
        &["run", "-l", "pyton", &program],
        2,
        &["no language is called `pyton`", "hint: did you mean `python`?"],
    );
    check(&["run", "-l", "klingon", &program], 2, &["`klingon`", "hint: known languages are bash, c, cpp"]);
    check(
        &["run", &files.at("nosuch.py")],
        111,
        &["error: cannot read the program `", "nosuch.py`: No such file"],
    );
    check(&["run", files.path(), "-l", "python"], 111, &["cannot read the program", "s a directory"]);
    check(&["run", &files.at("a.cobol")], 2, &["end in `.cobol`", "hint: name it with -l"]);
    check(&["run", &files.at("noname")], 2, &["nothing says which language", "hint: name it with -l"]);
    check(&["run", "-l", "python", "-", "--stdin", "-"], 2, &["cannot be both"]);
    check(
        &["run", &program, "--stdin", "/nosuch"],
        111,
        &["cannot read the program's input `/nosuch`: No such file"],
    );
}

#[test]
fn wrong_limits_are_named() {
    let files = Files::new(&[("a.py", "print(1)")]);
    for (option, value, fact) in [
        ("--cpu", "5 parsecs", "`parsecs` is not a unit of time"),
        ("--cpu", "0s", "a limit of nothing"),
        ("--wall", "fast", "does not start with a number"),
        ("--memory", "256", "256MiB"),
        ("--memory", "1 acre", "`acre` is not a unit of size"),
        ("--memory", "99999999999GiB", "too large"),
        ("--output", "2GiB", "at most 1GiB"),
        ("--processes", "0", "0 is not in 1.."),
        ("--processes", "-1", "unexpected argument"),
    ] {
        check(&["run", &files.at("a.py"), option, value], 2, &[fact]);
    }
    check(&["run", &files.at("a.py"), "--memroy", "1GiB"], 2, &["--memroy", "'--memory'"]);
    check(&["runn"], 2, &["unrecognized subcommand 'runn'", "'run'"]);
}

#[test]
fn wrong_language_files_are_named_by_line_and_column() {
    let minimum = "prompt: p\nfilename: a.x\nexecute: cat a.x\n";
    for (text, facts) in [
        (
            format!("{minimum}compil: x\n"),
            ["a.yaml:4:1: unknown key `compil`", "hint: did you mean `compile`?"],
        ),
        (
            format!("{minimum}limits: {{memory: lots}}\n"),
            ["a.yaml:4:18:", "`lots` does not start with a number"],
        ),
        ("prompt: p\nexecute: x\n".to_owned(), ["a.yaml", "missing key `filename`"]),
        ("prompt: [1\nfilename: x\n".to_owned(), ["a.yaml:", "error: "]),
    ] {
        let files = Files::new(&[("a.yaml", &text), ("a.py", &String::new())]);
        check(&["run", &files.at("a.py"), "--languages", files.path()], 111, &facts);
        check(&["languages", "list", "--languages", files.path()], 111, &facts);
    }
    let named = format!("name: same\n{minimum}");
    let files = Files::new(&[("a.yaml", &named), ("b.yaml", &named)]);
    check(
        &["languages", "list", "--languages", files.path()],
        111,
        &["a.yaml` and `", "both define", "hint: give one"],
    );
    check(
        &["languages", "list", "--languages", "/nosuch"],
        111,
        &["cannot list the directory of languages `/nosuch`"],
    );
    let files = Files::new(&[("a.yaml", b"prompt: \xff\n")]);
    check(&["languages", "list", "--languages", files.path()], 111, &["a.yaml", "UTF-8"]);
}

#[test]
fn a_missing_toolchain_says_how_to_get_it() {
    let minimum = "prompt: p\nfilename: a.x\nexecute: no-such-compiler a.x\n";
    let with_install = format!("{minimum}install: apt-get install -y it\n");
    let shell_line = "prompt: p\nfilename: a.x\nexecute: cat a.x | wc\ntoolchain: []\n";
    let files = Files::new(&[
        ("bare.yaml", minimum),
        ("known.yaml", &with_install),
        ("line.yaml", shell_line),
        ("p", "x"),
    ]);
    let run = |language| ["run", "--languages", files.path(), "-l", language];
    let program = files.at("p");
    let facts = ["bare needs `no-such-compiler`, which this host does not have", "hint: install"];
    check(&[run("bare").as_slice(), &[&program]].concat(), 112, &facts);
    check(&[run("known").as_slice(), &[&program]].concat(), 112, &["`apt-get install -y it`"]);
    let facts = ["line programs take no arguments here", "hint: its `execute` is a line for a shell"];
    check(&[run("line").as_slice(), &[&program, "--", "x"]].concat(), 2, &facts);
}

#[test]
fn without_root_the_reason_is_said() {
    if !can_run(&[]) {
        return;
    }
    const NOBODY: u32 = 65534;
    let files = Files::new(&[("a.py", "print(1)")]);
    let as_nobody = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.uid(NOBODY).current_dir("/");
        command
    };
    if as_nobody(&["--version"]).output().is_err() {
        eprintln!("skipped: needs a binary that others may execute");
        return;
    }
    let program = std::fs::File::open(files.at("a.py")).unwrap();
    let finished = finish(as_nobody(&["run", "-l", "python", "-"]).stdin(program));
    assert_eq!(finished.code, Some(113), "{finished:?}");
    assert!(finished.stderr.contains("error: isolation level `full` needs root"), "{finished:?}");
    assert!(finished.stderr.contains("\n\nhint: run it as root"), "{finished:?}");
    let finished = finish(&mut as_nobody(&["doctor", "--json"]));
    assert_eq!(finished.code, Some(113), "{finished:?}");
    assert_eq!(finished.json()["works"], false);
}
