//! `rollcage run`: output and exit codes of programs that end by themselves.

use crate::harness::{Files, can_run, command, finish, rollcage, rollcage_reading};

#[test]
fn every_language_runs_and_its_exit_code_passes_through() {
    for (file, program, needs) in [
        ("a.py", "import sys\nprint(int(input()) * 2)\nsys.exit(7)\n", "python3"),
        ("a.sh", "read n; echo $((n * 2)); exit 7\n", "bash"),
        ("a.lua", "print(math.tointeger(io.read('n')) * 2)\nos.exit(7)\n", "lua5.4"),
        ("a.js", "console.log(parseInt(require('fs').readFileSync(0)) * 2); process.exit(7)\n", "node"),
        (
            "a.c",
            "#include <stdio.h>\nint main(void) { int n; scanf(\"%d\", &n); printf(\"%d\\n\", n * 2); return 7; }\n",
            "gcc",
        ),
        (
            "a.cpp",
            "#include <iostream>\nint main() { int n; std::cin >> n; std::cout << n * 2 << '\\n'; return 7; }\n",
            "g++",
        ),
    ] {
        if !can_run(&[needs]) {
            continue;
        }
        let files = Files::new(&[(file, program)]);
        let finished = rollcage_reading(&["run", &files.at(file)], b"21\n");
        assert_eq!((finished.code, finished.text()), (Some(7), "42\n"), "{file}: {finished:?}");
        assert_eq!(finished.stderr, "", "{file}");
    }
}

#[test]
fn the_language_comes_from_the_option_the_ending_or_the_first_line() {
    if !can_run(&["python3", "bash"]) {
        return;
    }
    let files = Files::new(&[
        ("a.txt", "print(1)\n"),
        ("script", "#!/usr/bin/env -S python3 -u\nprint(1)\n"),
        ("b.sh", "echo 1\n"),
    ]);
    for arguments in
        [["-l", "py", &files.at("a.txt")].as_slice(), &[&files.at("script")], &[&files.at("b.sh")]]
    {
        let finished = rollcage(&[["run"].as_slice(), arguments].concat());
        assert_eq!((finished.code, finished.text()), (Some(0), "1\n"), "{arguments:?}: {finished:?}");
    }
}

#[test]
fn input_comes_from_a_file_or_from_ours() {
    if !can_run(&["python3"]) {
        return;
    }
    let echo = "import sys; print(sys.stdin.read())";
    let files = Files::new(&[("a.py", echo), ("in.txt", "from the file")]);
    let (program, input) = (files.at("a.py"), files.at("in.txt"));
    for (arguments, stdin, expected) in [
        (["run", &program].as_slice(), "from us", "from us\n"),
        (&["run", &program, "--stdin", &input], "from us", "from the file\n"),
        (&["run", &program, "--stdin", "-"], "from us", "from us\n"),
        // Then standard input holds the program.
        (&["run", "-l", "python", "-"], echo, "\n"),
        (&["run", "-l", "python", "-", "--stdin", &input], echo, "from the file\n"),
    ] {
        let finished = rollcage_reading(arguments, stdin.as_bytes());
        assert_eq!((finished.code, finished.text()), (Some(0), expected), "{arguments:?}: {finished:?}");
    }
}

#[test]
fn arguments_after_the_dashes_are_the_programs() {
    if !can_run(&["python3", "gcc"]) {
        return;
    }
    let files = Files::new(&[
        ("a.py", "import sys; print(sys.argv[1:])"),
        (
            "a.c",
            "#include <stdio.h>\nint main(int n, char **v) { printf(\"%d %s\\n\", n, v[2]); return 0; }\n",
        ),
    ]);
    let finished = rollcage(&["run", &files.at("a.py"), "--", "--json", "a b", ""]);
    assert_eq!(finished.text(), "['--json', 'a b', '']\n");
    let finished = rollcage(&["run", &files.at("a.c"), "--", "-x", "-y"]);
    assert_eq!(finished.text(), "3 -y\n");
}

#[test]
fn a_program_that_does_not_compile_is_told_from_one_that_fails() {
    if !can_run(&["gcc"]) {
        return;
    }
    let files = Files::new(&[
        ("a.c", "int main(void) { return undeclared; }\n"),
        ("b.c", "int main(void) { return 1; }\n"),
    ]);
    let finished = rollcage(&["run", &files.at("a.c")]);
    assert_eq!((finished.code, finished.text()), (Some(111), ""));
    assert!(
        finished.stderr.contains("undeclared") && finished.stderr.contains("does not compile"),
        "{finished:?}"
    );
    assert_eq!(rollcage(&["run", &files.at("b.c")]).code, Some(1));
}

#[test]
fn a_signal_is_named() {
    if !can_run(&["python3"]) {
        return;
    }
    let files = Files::new(&[("a.py", "import os; os.kill(os.getpid(), 11)")]);
    let finished = rollcage(&["run", &files.at("a.py")]);
    assert_eq!(finished.code, Some(109));
    assert!(finished.stderr.contains("signal 11 (SIGSEGV)"), "{finished:?}");
}

#[test]
fn languages_of_the_user_run_like_ours() {
    if !can_run(&["sed"]) {
        return;
    }
    let yaml = "prompt: Write sed.\nfilename: snippet.sed\nexecute: sed -f snippet.sed\n";
    let files = Files::new(&[("stream-editor.yaml", yaml), ("a.sed", "s/a/b/\n")]);
    let finished = rollcage_reading(&["run", "--languages", files.path(), &files.at("a.sed")], b"cat\n");
    assert_eq!((finished.code, finished.text()), (Some(0), "cbt\n"), "{finished:?}");
    let finished = finish(command(&["run", &files.at("a.sed")]).env("ROLLCAGE_LANGUAGES", files.path()));
    assert_eq!((finished.code, finished.text()), (Some(0), ""), "{finished:?}");
}
