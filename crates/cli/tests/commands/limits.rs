//! `rollcage run`: programs that a limit ends.

use crate::harness::{Files, can_run, rollcage};

#[test]
fn each_limit_has_its_code_and_its_remedy() {
    if !can_run(&["python3"]) {
        return;
    }
    for (options, program, code, limit, remedy) in [
        (["--cpu", "300ms"], "while True: pass", 101, "cpu_time", "`--cpu 600ms`"),
        (["--wall", "300ms"], "import time; time.sleep(60)", 102, "wall_time", "`--wall 600ms`"),
        (
            ["--idle", "300ms"],
            "import time; print('x', flush=True); time.sleep(60)",
            103,
            "idle_time",
            "`--idle 600ms`",
        ),
        (["--memory", "64MiB"], "x = bytearray(1 << 28)", 104, "memory", "`--memory 128MiB`"),
        (["--output", "1KiB"], "print('x' * 100000)", 105, "output", "`--output 2KiB`"),
        (
            ["--processes", "4"],
            "import os, time\nfor _ in range(9):\n    if not os.fork(): time.sleep(60)",
            106,
            "processes",
            "`--processes 8`",
        ),
        (
            ["--file-size", "1KiB"],
            "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nopen('f', 'wb').write(b'x' * 4096)",
            107,
            "file_size",
            "`--file-size 2KiB`",
        ),
        (["--disk", "1MiB"], "open('f', 'wb').write(b'x' * (1 << 22))", 108, "disk_space", "`--disk 2MiB`"),
    ] {
        let files = Files::new(&[("a.py", program)]);
        let path = files.at("a.py");
        let finished = rollcage(&["run", &path, options[0], options[1]]);
        assert_eq!(finished.code, Some(code), "{options:?}: {finished:?}");
        let note = finished.stderr.lines().last().unwrap_or_default();
        assert!(note.contains(limit) && note.contains(remedy), "{note}");
        let finished = rollcage(&["run", "--json", &path, options[0], options[1]]);
        assert_eq!(finished.code, Some(code), "{options:?}: {finished:?}");
        let termination = serde_json::json!({"kind": "limit_exceeded", "limit": limit});
        assert_eq!(finished.json()["termination"], termination, "{options:?}");
    }
}

#[test]
fn a_compiler_that_exceeds_a_limit_is_told_from_the_program() {
    if !can_run(&["gcc"]) {
        return;
    }
    let yaml = "prompt: p\nname: c\nfilename: a.c\ncompile: gcc -o program a.c\nexecute: ./program\n\
                compile_limits: {memory: 2MiB}\n";
    let files = Files::new(&[("c.yaml", yaml), ("a.c", "int main(void) { return 0; }\n")]);
    let finished = rollcage(&["run", "--languages", files.path(), &files.at("a.c")]);
    assert_eq!(finished.code, Some(104), "{finished:?}");
    assert!(finished.stderr.contains("the compiler exceeded its memory limit"), "{finished:?}");
    assert!(finished.stderr.contains("compile_limits"), "{finished:?}");
}

#[test]
fn a_program_that_ignores_sigterm_ends_all_the_same() {
    if !can_run(&["python3"]) {
        return;
    }
    let program = "import signal, time\n\
                   for s in range(1, 32):\n    if s not in (9, 19): signal.signal(s, signal.SIG_IGN)\n\
                   print('deaf', flush=True)\nwhile True: time.sleep(60)\n";
    let files = Files::new(&[("a.py", program)]);
    let finished = rollcage(&["run", &files.at("a.py"), "--wall", "5s"]);
    assert_eq!((finished.code, finished.text()), (Some(102), "deaf\n"), "{finished:?}");
}
