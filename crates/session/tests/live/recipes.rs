//! Sessions in languages whose files bring an agent of their own.

use std::sync::Arc;
use std::time::Duration;

use rollcage_session::live::{CellLimits, ForkWay, LiveCell, LiveOutcome, LiveSession, LiveSpec, LiveState};
use rollcage_types::{LimitKind, Limits, Termination};

use crate::{Ground, check, open, run, text};

/// A language, its program, and what a session in it is put through.
struct Recipe {
    language: &'static str,
    program: &'static str,
    /// Cells and what they write.
    cells: &'static [(&'static str, &'static str)],
    /// A cell that fails, and a part of what is said of it.
    failure: (&'static str, &'static str),
    endless: &'static str,
    /// Whether the session goes on when that was interrupted.
    survives: bool,
    /// Whether forks are copies.
    copies: bool,
    /// Shows all of standard input, and what that is of `one`, a line feed and `two`; and what is shown of nothing.
    reading: (&'static str, &'static str, &'static str),
    /// Has a child do the same.
    child: &'static str,
}

const RECIPES: &[Recipe] = &[
    Recipe {
        language: "ruby",
        program: "ruby",
        cells: &[
            ("x = 41", "=> 41\n"),
            ("def f(n) = n + 1\nputs f(x)", "42\n"),
            ("Dir.mkdir('d'); Dir.chdir('d'); File.write('a', 'b'); Dir.pwd", "=> \"/ws/work/d\"\n"),
            ("File.read('a')", "=> \"b\"\n"),
            ("nil", ""),
        ],
        failure: ("raise 'no'", "no (RuntimeError)"),
        endless: "loop {}",
        survives: true,
        copies: true,
        reading: ("puts STDIN.read.inspect", "\"one\\ntwo\"\n", "\"\"\n"),
        child: "print `cat`",
    },
    Recipe {
        language: "lua",
        program: "lua5.4",
        cells: &[
            ("x = 41", ""),
            ("x + 1", "42\n"),
            ("function f(n) return n, x end", ""),
            ("f(1)", "1\t41\n"),
            ("print('a')", "a\n"),
        ],
        failure: ("error('no')", "no"),
        endless: "while true do end",
        survives: true,
        copies: false,
        reading: ("print(#io.read('a'), io.read('l'))", "7\tnil\n", "0\tnil\n"),
        child: "io.write(io.popen('cat'):read('a'))",
    },
    Recipe {
        language: "r",
        program: "Rscript",
        cells: &[
            ("x <- 41", ""),
            ("x + 1", "[1] 42\n"),
            ("f <- function(n) n * 2; cat(f(x), '\\n')", "82 \n"),
            ("invisible(3)", ""),
            ("mean(c(1, 2, 6))", "[1] 3\n"),
        ],
        failure: ("stop('no')", "no"),
        endless: "repeat {}",
        survives: true,
        copies: false,
        reading: ("cat(length(readLines(file('stdin'), warn = FALSE)))", "2", "0"),
        child: "cat(system('cat', intern = TRUE), sep = '\\n')",
    },
    Recipe {
        language: "ocaml-toplevel",
        program: "ocaml",
        cells: &[
            ("let x = 41", "val x : int = 41\n"),
            ("x + 1", "- : int = 42\n"),
            (
                "let f n = n * 2;; Printf.printf \"%d\\n\" (f x)",
                "val f : int -> int = <fun>\n82\n- : unit = ()\n",
            ),
        ],
        failure: ("failwith \"no\"", "no"),
        endless: "while true do () done",
        survives: true,
        copies: false,
        reading: (
            "let rec f n = match read_line () with _ -> f (n + 1) | exception End_of_file -> n;; print_int (f 0)",
            "val f : int -> int = <fun>\n2- : unit = ()\n",
            "val f : int -> int = <fun>\n0- : unit = ()\n",
        ),
        child: "ignore (Sys.command \"cat\")",
    },
    Recipe {
        language: "javascript",
        program: "node",
        cells: &[
            ("let x = 41", ""),
            ("x + 1", "42\n"),
            ("function f(n) { return n * 2 }\nconsole.log(f(x))", "82\n"),
            ("Promise.resolve('later')", "'later'\n"),
        ],
        failure: ("throw new TypeError('no')", "TypeError: no"),
        endless: "for (;;) {}",
        survives: true,
        copies: false,
        reading: ("require('fs').readFileSync(0, 'utf8')", "'one\\ntwo'\n", "''\n"),
        child: "process.stdout.write(require('child_process').execSync('cat', {stdio: [0, 'pipe']})); undefined",
    },
];

pub(crate) fn all(ground: &Ground) {
    let farm = ground.roomy();
    for recipe in RECIPES {
        if !crate::is_installed(recipe.program) {
            println!("skipped: sessions in {}, because {} is not installed", recipe.language, recipe.program);
            continue;
        }
        let limits = Limits {
            cpu_time: Duration::from_secs(60),
            wall_time: Duration::from_secs(60),
            processes: 128,
            ..Limits::default()
        };
        let session = open(&farm, recipe.language, LiveSpec { limits, forks: true, ..LiveSpec::default() });
        recipe.check(&session);
    }
}

impl Recipe {
    fn check(&self, session: &LiveSession) {
        let language = self.language;
        for (source, stdout) in self.cells {
            check(session, source, stdout);
        }
        let (source, said) = self.failure;
        let outcome = run(session, source);
        assert_eq!(outcome.termination, Termination::Exited { code: 1 }, "{language}");
        let stderr = text(&outcome.stderr) + &text(&outcome.stdout);
        assert!(stderr.contains(said), "{language}: {stderr}");
        let forked = session.fork(1).unwrap();
        assert_eq!(forked.way == ForkWay::Copied, self.copies, "{language}: {:?}", forked.way);
        let (last, stdout) = self.cells[1];
        check(&forked.sessions[0], last, stdout);
        session.evict().unwrap();
        let outcome = run(session, last);
        assert_eq!(text(&outcome.stdout), stdout, "{language}");
        assert_eq!(outcome.rehydrated.map(|it| it.diverged), Some(vec![]), "{language}");
        let outcome = self.run_endless(session);
        assert_eq!(outcome.termination, Termination::LimitExceeded(LimitKind::CpuTime), "{language}");
        assert_eq!(session.state() == LiveState::Ready, self.survives, "{language}");
        session.restore().unwrap();
        check(session, last, stdout);
        // Last, because a runtime may keep a thread for its children.
        self.check_input(session);
    }

    /// Only its CPU time is short: a busy machine must not have it meet another limit first.
    fn run_endless(&self, session: &LiveSession) -> LiveOutcome {
        let (cpu_time, wall_time) = (Duration::from_millis(800), Duration::from_secs(60));
        let limits = CellLimits { cpu_time, wall_time, ..CellLimits::from(&Limits::default()) };
        let cell = LiveCell { limits: Some(limits), ..LiveCell::new(self.endless) };
        session.execute(&cell, &mut |_| None).unwrap()
    }

    /// A cell has the input that it was given, or none; and never the socket.
    fn check_input(&self, session: &LiveSession) {
        let language = self.language;
        let with = |source: &str, stdin: &[u8]| {
            let cell = LiveCell { stdin: Arc::from(stdin), ..LiveCell::new(source) };
            let outcome = session.execute(&cell, &mut |_| None).unwrap();
            assert_eq!(outcome.termination, Termination::Exited { code: 0 }, "{language}: {outcome:?}");
            text(&outcome.stdout)
        };
        let (source, given, nothing) = self.reading;
        for _ in 0..2 {
            assert_eq!(with(source, b"one\ntwo"), given, "{language}");
            assert_eq!(with(source, b""), nothing, "{language}");
        }
        assert!(with(self.child, b"one\ntwo").starts_with("one\ntwo"), "{language}");
        assert!(!with(self.child, b"").contains("one"), "{language}");
    }
}
