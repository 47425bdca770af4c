//! Conversations as tables: what is said, and what must come back. Every way of running a session passes them.

use std::sync::Arc;

use rollcage_language::LanguageSet;
use rollcage_session::{Cell, CellEffect, CellOutcome, LostReason, Session, SessionSpec};
use rollcage_types::{FileEntry, RelativePath, Termination};

/// One cell and what must come of it.
pub(crate) struct Turn {
    source: &'static str,
    stdin: &'static str,
    stdout: &'static str,
    stderr: &'static str,
    code: u8,
    effect: CellEffect,
}

/// A cell that prints this and succeeds.
fn says(source: &'static str, stdout: &'static str) -> Turn {
    Turn { source, stdin: "", stdout, stderr: "", code: 0, effect: CellEffect::Kept }
}

impl Turn {
    fn given(self, stdin: &'static str) -> Self {
        Self { stdin, ..self }
    }

    /// Ends with this code, and writes this among other things to standard error.
    fn fails(self, code: u8, stderr: &'static str) -> Self {
        Self { code, stderr, ..self }
    }

    fn lost(self) -> Self {
        Self { effect: CellEffect::Lost(LostReason::InterpreterEnded), ..self }
    }
}

/// Holds one conversation, cell by cell.
pub(crate) fn hold(
    name: &str,
    language: &str,
    turns: Vec<Turn>,
    run: &mut dyn FnMut(&mut Session, Cell) -> CellOutcome,
) {
    let set = LanguageSet::built_in();
    let language = set.find(language).expect("the language is built in");
    let path = RelativePath::new("data/helper.py").expect("a plain path");
    let files = vec![FileEntry::new(path, *b"VALUE = 42\n")];
    let spec = SessionSpec { seed: 7, files, ..SessionSpec::default() };
    let mut session = Session::open(Arc::clone(language), spec).expect("the driver fits the language");
    for (position, turn) in turns.into_iter().enumerate() {
        let at = format!("{name}, turn {}", position + 1);
        let cell = Cell { stdin: Arc::from(turn.stdin.as_bytes()), ..Cell::new(turn.source) };
        let outcome = run(&mut session, cell);
        let stderr = outcome.run.stderr.to_text();
        assert_eq!(outcome.run.stdout.to_text(), turn.stdout, "{at}: stdout; stderr is {stderr}");
        assert_eq!(outcome.run.termination, Termination::Exited { code: turn.code }, "{at}: {stderr}");
        assert_eq!(outcome.effect, turn.effect, "{at}");
        assert!(outcome.run.files.is_empty(), "{at}: the session's own files are not shown");
        match turn.stderr {
            "" => assert_eq!(stderr, "", "{at}"),
            part => assert!(stderr.contains(part), "{at}: {stderr}"),
        }
        assert!(!stderr.contains("driver"), "{at} shows the driver: {stderr}");
    }
}

/// All conversations: name, language, turns.
pub(crate) fn all() -> Vec<(&'static str, &'static str, Vec<Turn>)> {
    let mut all: Vec<_> = python().into_iter().map(|(name, turns)| (name, "python", turns)).collect();
    all.extend(bash().into_iter().map(|(name, turns)| (name, "bash", turns)));
    all.push((
        "each cell alone",
        "lua",
        vec![
            Turn { effect: CellEffect::Stateless, ..says("x = 1; print(x)", "1\n") },
            Turn { effect: CellEffect::Stateless, ..says("print(x)", "nil\n") },
        ],
    ));
    all
}

fn python() -> Vec<(&'static str, Vec<Turn>)> {
    vec![
        (
            "state carries and earlier output is silent",
            vec![
                says(
                    "import os\nx = 20\nprint('one', flush=True)\nos.system('echo child')",
                    "one\nchild\n0\n",
                ),
                says("def f(n): return n + x\nprint('two')", "two\n"),
                says("x += 1\nf(1)", "22\n"),
                says("_, __name__, __import__('__main__').f is f", "(22, '__main__', True)\n"),
            ],
        ),
        (
            "exceptions are met again as they happened",
            vec![
                says("a = 1\nb = 1 / 0\nc = 3", "")
                    .fails(1, "File \"<cell 1>\", line 2, in <module>\n    b = 1 / 0"),
                says("a, 'c' in globals()", "(1, False)\n"),
                says("def broken(:", "").fails(1, "SyntaxError"),
                says("def outer():\n    raise KeyError('k')", ""),
                says("outer()", "").fails(1, "File \"<cell 4>\", line 2, in outer\n    raise KeyError('k')"),
                says("a", "1\n"),
            ],
        ),
        (
            "exits end the cell, not the session",
            vec![
                says("import sys\na = 1\nsys.exit(5)\na = 2", "").fails(5, ""),
                says("a", "1\n"),
                says("sys.exit('message')", "").fails(1, "message\n"),
                says("a = 3\nquit()", ""),
                says("a", "3\n"),
            ],
        ),
        (
            "a cell that ends the interpreter leaves nothing",
            vec![
                says("import os\na = 1", ""),
                says("a = 2\nprint('out', flush=True)\nos._exit(0)", "out\n").lost(),
                says("a = 3\nos.execvp('true', ['true'])", "").lost(),
                says("a", "1\n"),
            ],
        ),
        (
            "each cell has its own input",
            vec![
                says("a = input('? ')", "? ").given("first\nleft over\n"),
                says("a, input()", "('first', 'second')\n").given("second\n"),
                says("import sys\nsys.stdin.read(), a", "('', 'first')\n"),
            ],
        ),
        (
            "chance repeats",
            vec![
                says("import random\nfirst = random.random()\nrandom.seed(1)\nsecond = random.random()", ""),
                says(
                    "first == random.Random(7).random(), second == random.Random(1).random()",
                    "(True, True)\n",
                ),
                says("h = hash('text'); s = list({'a', 'b', 'c', 'd', 'e'})", ""),
                says("h == hash('text') and s == list({'a', 'b', 'c', 'd', 'e'})", "True\n"),
            ],
        ),
        (
            "files and directories are made again",
            vec![
                says("import os\nos.mkdir('d')\nos.chdir('d')\nopen('f', 'w').write('text')", "4\n"),
                says("os.path.basename(os.getcwd()), open('f').read()", "('d', 'text')\n"),
                says("os.chdir('../data')\nimport helper\nhelper.VALUE", "42\n"),
                says("helper.VALUE", "42\n"),
                says("open('re.py', 'w').write('raise Exception')\n1 / 0", "").fails(1, "ZeroDivisionError"),
            ],
        ),
        (
            "a cell may clear the workspace",
            vec![
                says("import os, shutil\n[shutil.rmtree(name) for name in os.listdir('.')]\na = 1", ""),
                says("a, os.listdir('.')", "(1, ['.rollcage'])\n"),
            ],
        ),
        (
            "forked children do not run the rest",
            vec![
                says("import os\nif os.fork() == 0:\n    x = 1\nelse:\n    os.wait()", ""),
                says("'x' in globals()", "False\n"),
            ],
        ),
        (
            "compiler flags and C buffers",
            vec![
                says("from __future__ import annotations\nimport ctypes\nlibc = ctypes.CDLL(None)", ""),
                says("def f(x: Missing): pass\nlibc.puts(b'buffered')", "9\nbuffered\n"),
                says("f.__annotations__", "{'x': 'Missing'}\n"),
            ],
        ),
        (
            "nothing to run",
            vec![says("", ""), says("# comment", ""), says("None", ""), says("'text'", "'text'\n")],
        ),
    ]
}

fn bash() -> Vec<(&'static str, Vec<Turn>)> {
    vec![
        (
            "state carries and earlier output is silent",
            vec![
                says("x=20; declare -A m=([k]=v); declare -r r=1; echo one; ls /nowhere", "one\n").fails(2, "/nowhere"),
                says("f() { local y=$((x + 1)); echo $y; }; export E=e; mkdir d; cd d; echo two", "two\n"),
                says("f; echo ${m[k]} $r $E ${PWD##*/}; (exit 3)", "21\nv 1 e d\n").fails(3, ""),
                says("echo \"$0 ${y-unset}\"; alias hi='echo hi'; shopt -s expand_aliases", "bash unset\n"),
                says("hi; shopt -q expand_aliases", "hi\n"),
            ],
        ),
        (
            "exits end the cell, not the session",
            vec![
                says("a=1; exit 5; a=2", "").fails(5, ""),
                says("set -euo pipefail; f() { local inner=1; false; echo no; }; a=3; f; echo no", "").fails(1, ""),
                says("echo $a $- ${inner-none}; false || true; b=4; echo $nowhere; echo no", "3 ehuB none\n")
                    .fails(1, "nowhere: unbound variable"),
                says("(exit 9) || echo subshell $?; x=$(exit 8) || echo $?; echo $b", "subshell 9\n8\n4\n"),
                says("g() { exit $1; }; declare c=5; g 0", ""),
                says("echo $a $b $c; set +eu; echo ${missing}end", "3 4 5\nend\n"),
            ],
        ),
        (
            "a trap on exit runs when a cell exits",
            vec![
                says("t=tidy; trap 'rc=$?; echo $t $rc; exit 9' EXIT; echo set", "set\n"),
                says("echo still; (trap 'echo inner' EXIT); exit 3", "still\ninner\ntidy 3\n").fails(9, ""),
                says("echo $t $rc; exit 4", "tidy 3\n").fails(4, ""),
                says("trap 'echo never' EXIT; trap - EXIT; trap 'echo usr' USR1; kill -USR1 $BASHPID", "usr\n"),
                says("kill -USR1 $BASHPID; exit 2", "usr\n").fails(2, ""),
            ],
        ),
        (
            "a cell that ends the interpreter leaves nothing",
            vec![
                says("a=1", ""),
                says("a=2; echo out; exec true", "out\n").lost(),
                says("echo $a", "1\n"),
            ],
        ),
        (
            "each cell has its own input and output",
            vec![
                says("read -r a; exec >file; echo hidden", "").given("first\nleft over\n"),
                says("read -r b; echo $a $b $(<file)", "first second hidden\n").given("second\n"),
                says("cat; echo end", "end\n"),
            ],
        ),
        (
            "chance repeats",
            vec![
                says("first=$RANDOM; exit 0", ""),
                says("second=$RANDOM; echo $((RANDOM >= 0))", "1\n"),
                says("RANDOM=7; [[ $first == $RANDOM ]] && echo same", "same\n"),
                says("RANDOM=8; [[ $second == $RANDOM ]] && echo same", "same\n"),
            ],
        ),
        (
            "what does not parse fails alone",
            vec![
                says("a=1\nif then", "").fails(2, "line 2: syntax error"),
                says("echo $a; nosuchcommand", "1\n").fails(127, "nosuchcommand: command not found"),
                says("return 6; echo no", "").fails(6, ""),
                says("set -e; [[ a == b ]] && echo no", "").fails(1, ""),
                says("echo $-", "ehB\n"),
            ],
        ),
        (
            "a cell may clear the workspace and rename our words",
            vec![
                says("shopt -s expand_aliases dotglob; alias source=false builtin=false; rm -r ./*; a=1; exit 3", "")
                    .fails(3, ""),
                says("echo $a; set -f -C; IFS=0123456789", "1\n"),
                says("echo \"$a\"; ls -A", "1\n.rollcage\n"),
            ],
        ),
    ]
}
