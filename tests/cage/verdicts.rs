//! Signals mean in the cage what they mean outside: PID 1 is not the program.
use crate::harness::{check, check_prints, exited, python, sh, signaled};

#[test]
fn the_program_is_not_pid_1() {
    check_prints(&python("import os; print(os.getpid() != 1, os.getppid())"), "True 1\n");
}

#[test]
fn default_actions_of_signals_work() {
    let kill = |signal: i32| python(&format!("import os, signal; os.kill(os.getpid(), {signal})"));
    // HUP, QUIT, KILL, USR1, SEGV, USR2, PIPE at Python's own leave, ALRM, TERM, a real-time one; and XCPU, which a
    // program that sends it to itself has not used up its time for.
    for signal in [1, 3, 9, 10, 11, 12, 14, 15, 24, 40] {
        check(&kill(signal), signaled(signal));
    }
}

#[test]
fn the_usual_ends_are_told_apart() {
    check(&python("import os; os.abort()"), signaled(6));
    check(&python("import ctypes; ctypes.string_at(0)"), signaled(11));
    check(
        &python("import signal; signal.setitimer(signal.ITIMER_REAL, 0.001); signal.pause()"),
        signaled(14),
    );
    let closed_pipe = "import os, signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL); \
                       r, w = os.pipe(); os.close(r); os.write(w, b'x')";
    check(&python(closed_pipe), signaled(13));
    check(&sh("exit 200"), exited(200));
    check(&python("import sys; sys.exit(-1)"), exited(255));
}

#[test]
fn a_signal_of_a_child_is_the_childs() {
    check(&sh("sh -c 'kill -SEGV $$'; exit 3"), exited(3));
}

#[test]
fn signals_are_neither_blocked_nor_ignored_at_the_start() {
    check_prints(
        &sh("grep -E 'Sig(Blk|Ign|Pnd)|ShdPnd' /proc/self/status | cut -f2 | sort -u"),
        "0000000000000000\n",
    );
}
