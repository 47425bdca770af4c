//! Cells that mean harm: what becomes of their session, and that nothing becomes of its neighbours.

use std::time::Duration;

use rollcage_session::live::{CellLimits, Farm, LiveCell, LiveOutcome, LiveSession, LiveSpec, LiveState};
use rollcage_session::{CellEffect, LostReason};
use rollcage_types::{ByteSize, LimitKind, Limits, Termination};

use crate::{Ground, check, open, run, slowly, text};

pub(crate) fn all(ground: &Ground) {
    let farm = ground.roomy();
    let neighbour = open(&farm, "python", spec());
    run(&neighbour, "mine = 'here'");
    for case in CASES {
        case.check(&farm);
        check(&neighbour, "mine", "'here'\n");
    }
    a_cell_cannot_reach_its_neighbours(&farm);
}

/// What becomes of a session.
enum Fate {
    /// It lives on with what it had, and the cell ended so.
    Lives(Termination),
    /// Its interpreter is gone, for this reason, and it can be restored.
    Poisoned(LostReason),
}

struct Case {
    name: &'static str,
    cell: &'static str,
    fate: Fate,
}

const fn exceeded(limit: LimitKind) -> Fate {
    Fate::Lives(Termination::LimitExceeded(limit))
}

const RETURNED: Fate = Fate::Lives(Termination::Exited { code: 0 });
const RAISED: Fate = Fate::Lives(Termination::Exited { code: 1 });
const ENDED: Fate = Fate::Poisoned(LostReason::InterpreterEnded);

const CASES: &[Case] = &[
    Case { name: "never ends", cell: "while True: pass", fate: exceeded(LimitKind::CpuTime) },
    Case {
        name: "asks for input without end and reads no answer",
        cell: "import os, sys\nframe = sys._getframe()\n\
               while type(frame.f_locals.get('self')).__name__ != 'Agent': frame = frame.f_back\n\
               while True: os.write(frame.f_locals['self'].channel.descriptor, b'input 0\\n' * 100)",
        fate: ENDED,
    },
    Case { name: "sleeps", cell: "import time; time.sleep(60)", fate: exceeded(LimitKind::WallTime) },
    Case {
        name: "waits for a child",
        cell: "import subprocess; subprocess.run(['sleep', '60'])",
        fate: exceeded(LimitKind::WallTime),
    },
    Case {
        name: "never ends and ignores SIGINT",
        cell: "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        fate: Fate::Poisoned(LostReason::Limit(LimitKind::CpuTime)),
    },
    Case {
        name: "catches every interrupt",
        cell: "while True:\n    try:\n        for n in range(10**6): n + 1\n    except BaseException: pass",
        fate: Fate::Poisoned(LostReason::Limit(LimitKind::CpuTime)),
    },
    Case {
        name: "prints a gigabyte",
        cell: "for _ in range(2**20): print('x' * 1023)",
        fate: exceeded(LimitKind::Output),
    },
    Case {
        name: "allocates past the limit",
        cell: "kept = []\nwhile True: kept.append(bytearray(2**24))",
        fate: Fate::Poisoned(LostReason::Limit(LimitKind::Memory)),
    },
    Case { name: "leaves by _exit", cell: "import os; os._exit(3)", fate: ENDED },
    Case { name: "leaves by a signal", cell: "import os; os.kill(os.getpid(), 9)", fate: ENDED },
    Case {
        name: "forks, and both go on",
        cell: "import os; child = os.fork(); print('child' if child == 0 else 'parent')",
        fate: RETURNED,
    },
    Case {
        name: "executes another program",
        cell: "import os; os.execv('/bin/sleep', ['sleep', '60'])",
        fate: ENDED,
    },
    Case { name: "closes every descriptor", cell: "import os; os.closerange(0, 256)", fate: ENDED },
    Case {
        name: "closes its streams",
        cell: "import os; os.close(0); os.close(1); os.close(2)",
        fate: RETURNED,
    },
    Case {
        name: "kills its parent and everybody else",
        cell: "import os, signal\nfor pid in (os.getppid(), 1, -1):\n    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass",
        fate: RETURNED,
    },
    Case {
        name: "patches the agent",
        cell: "import sys, gc\nfor it in gc.get_objects():\n    if type(it).__name__ == 'Agent':\n        it.end = it.begin = it.serve = lambda *_: None",
        fate: RETURNED,
    },
    Case {
        name: "overwrites builtins",
        cell: "import builtins, sys\nset = setattr\nfor name in dir(builtins):\n    if not name.startswith('__'): set(builtins, name, None)\nsys.stdout = None",
        fate: RETURNED,
    },
    Case {
        name: "writes nonsense to the agent's socket",
        cell: "import os\nfor fd in range(3, 256):\n    try: os.write(fd, b'nonsense without end ' * 8)\n    except OSError: pass\nimport time; time.sleep(1)",
        fate: ENDED,
    },
    Case {
        name: "says that it is done",
        cell: "import os\nfor fd in range(3, 256):\n    try: os.write(fd, b'done 10\\n2 returned')\n    except OSError: pass",
        fate: RETURNED,
    },
    Case {
        name: "says more of its end than an agent does",
        cell: "import os\nfor fd in range(3, 256):\n    try: os.write(fd, b'done 902\\n2 ' + b'x' * 900)\n    except OSError: pass",
        fate: Fate::Lives(Termination::Exited { code: 255 }),
    },
    Case {
        name: "leaves threads and processes running",
        cell: "import threading, time, subprocess\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nsubprocess.Popen(['sleep', '60'])",
        fate: RETURNED,
    },
    Case { name: "fills the disk", cell: "open('full', 'wb').write(bytes(2**26))", fate: RAISED },
    Case {
        name: "deletes its working directory",
        cell: "import os, shutil; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
        fate: RETURNED,
    },
    Case {
        name: "starts more processes than it may",
        cell: "import subprocess\nkept = []\nwhile True: kept.append(subprocess.Popen(['sleep', '60']))",
        fate: RAISED,
    },
    Case { name: "recurses for ever", cell: "def f(): f()\nf()", fate: RAISED },
    Case {
        name: "lies about what it shows",
        cell: "import os\nfor fd in range(3, 256):\n    try: os.write(fd, b'display 5\\n{\"a\":')\n    except OSError: pass",
        fate: RETURNED,
    },
];

fn spec() -> LiveSpec {
    let limits = Limits {
        cpu_time: slowly(Duration::from_secs(60)),
        wall_time: slowly(Duration::from_secs(60)),
        memory: ByteSize::mib(128),
        disk: ByteSize::mib(16),
        output: ByteSize::mib(1),
        processes: 16,
        ..Limits::default()
    };
    LiveSpec { limits, ..LiveSpec::default() }
}

impl Case {
    fn check(&self, farm: &Farm) {
        let session = open(farm, "python", spec());
        run(&session, "before = 'kept'");
        let cell = LiveCell { limits: Some(self.limits()), ..LiveCell::new(self.cell) };
        let outcome = session.execute(&cell, &mut |_prompt| None).expect("the cell has an outcome");
        let name = self.name;
        match self.fate {
            Fate::Lives(termination) => {
                assert_eq!(outcome.termination, termination, "{name}: {}", text(&outcome.stderr));
                assert_eq!(outcome.effect, CellEffect::Kept, "{name}");
                assert_eq!(session.state(), LiveState::Ready, "{name}");
            }
            Fate::Poisoned(reason) => {
                assert_eq!(outcome.effect, CellEffect::Lost(reason), "{name}: {outcome:?}");
                assert!(matches!(session.state(), LiveState::Poisoned(_)), "{name}: {:?}", session.state());
                let rebuilt = session.restore().unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!((rebuilt.cells, rebuilt.diverged), (1, vec![]), "{name}");
            }
        }
        is_usable(name, &session);
    }

    /// Only the time that the cell is meant to exceed is short: a busy machine must not have it meet another limit first.
    fn limits(&self) -> CellLimits {
        let roomy = CellLimits::from(&spec().limits);
        match self.fate {
            Fate::Lives(Termination::LimitExceeded(LimitKind::CpuTime))
            | Fate::Poisoned(LostReason::Limit(LimitKind::CpuTime)) => {
                CellLimits { cpu_time: slowly(Duration::from_millis(400)), ..roomy }
            }
            Fate::Lives(Termination::LimitExceeded(LimitKind::WallTime)) => {
                CellLimits { wall_time: slowly(Duration::from_millis(1500)), ..roomy }
            }
            Fate::Lives(_) | Fate::Poisoned(_) => roomy,
        }
    }
}

/// With the means that a session has whose builtins are gone.
fn is_usable(name: &str, session: &LiveSession) {
    let outcome: LiveOutcome = run(session, "import os, sys\nos.write(1, before.encode())\nNone");
    // What the cell left running may say something first.
    let (stdout, stderr) = (text(&outcome.stdout), text(&outcome.stderr));
    assert!(stdout.ends_with("kept"), "{name}: {stdout}{stderr}");
}

fn a_cell_cannot_reach_its_neighbours(farm: &Farm) {
    let (one, other) = (open(farm, "python", spec()), open(farm, "python", spec()));
    run(&other, "open('/tmp/secret', 'w').write('x'); open('secret', 'w').write('y')");
    check(&one, "import os; os.path.exists('/tmp/secret'), os.listdir('.')", "(False, [])\n");
    check(
        &one,
        "sorted(name for name in os.listdir('/proc') if name.isdigit()) == [str(os.getpid())]",
        "True\n",
    );
}
