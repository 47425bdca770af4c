//! What a run used is its own, whole, and never another's.

use std::time::Duration;

use rollcage_types::{ByteSize, LimitKind};

use crate::harness::{check, exceeded, exited, own_host, python, run, sh, with};

#[test]
fn reading_and_writing_files_near_the_limit_is_not_out_of_memory() {
    // Page cache is reclaimed, so programs may read far more than their memory limit.
    let read = with(sh("cat /usr/lib/x86_64-linux-gnu/*.so* > /dev/null"), |request| {
        request.limits.memory = ByteSize::mib(32);
    });
    check(&read, exited(0));
    let write = with(sh("dd if=/dev/zero of=f bs=1M count=40 && cat f f f > /dev/null"), |request| {
        request.limits.memory = ByteSize::mib(64);
    });
    check(&write, exited(0));
}

#[test]
fn a_full_disk_is_not_out_of_memory() {
    for memory in [ByteSize::mib(64), ByteSize::mib(128), ByteSize::mib(512)] {
        let fill = with(sh("dd if=/dev/zero of=f bs=64k; exit 1"), |request| {
            request.limits.memory = memory;
            request.limits.disk = ByteSize::gib(4);
            request.limits.file_size = ByteSize::gib(4);
        });
        check(&fill, exceeded(LimitKind::DiskSpace));
    }
}

#[test]
fn a_high_peak_without_a_kill_is_a_figure_and_not_a_verdict() {
    let request = with(python("x = b'x' * (40 << 20); print(len(x))"), |request| {
        request.limits.memory = ByteSize::mib(64);
    });
    let Some(outcome) = check(&request, exited(0)) else { return };
    assert!(
        (ByteSize::mib(40)..=ByteSize::mib(64)).contains(&outcome.usage.memory),
        "{}",
        outcome.usage.memory
    );
}

#[test]
fn figures_do_not_carry_over_to_the_next_run_of_the_slot() {
    let Some(host) = own_host(1) else { return };
    let large = "import os\nfor _ in range(20):\n  os.fork() or os._exit(0)\n\
                 open('f', 'wb').write(b'x' * (60 << 20)); x = b'x' * (150 << 20)\n\
                 open('/usr/bin/python3', 'rb').read()";
    let large = run(&host, &python(large));
    assert_eq!(large.termination, exited(0));
    assert!(large.usage.memory > ByteSize::mib(200), "{}", large.usage.memory);
    let small = run(&host, &sh("true"));
    assert!(small.usage.memory < ByteSize::mib(16), "{}", small.usage.memory);
    assert!(small.usage.cpu_time < Duration::from_millis(500), "{:?}", small.usage.cpu_time);
    assert!(small.usage.processes <= 2, "{}", small.usage.processes);
    assert_eq!(small.usage.disk, ByteSize::bytes(0));
}

#[test]
fn an_out_of_memory_kill_is_not_the_next_runs() {
    let Some(host) = own_host(1) else { return };
    let hog = with(python("x = b'x' * (200 << 20)"), |request| request.limits.memory = ByteSize::mib(64));
    for _ in 0..3 {
        assert_eq!(run(&host, &hog).termination, exceeded(LimitKind::Memory));
        assert_eq!(run(&host, &sh("true")).termination, exited(0));
    }
}

#[test]
fn a_relay_of_forks_nobody_waits_for_does_not_escape_the_cpu_limit() {
    // Each runner burns less than any per-process limit sees, and its usage is lost to rusage when it ends.
    let relay = "import os, signal, time\n\
                 signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
                 while True:\n\
                 \x20 stop = time.process_time() + 0.05\n\
                 \x20 while time.process_time() < stop: pass\n\
                 \x20 if os.fork():\n\
                 \x20   if os.getpid() != 2: os._exit(0)\n\
                 \x20   signal.pause()\n";
    let request = with(python(relay), |request| request.limits.cpu_time = Duration::from_secs(1));
    let Some(outcome) = check(&request, exceeded(LimitKind::CpuTime)) else { return };
    let used = outcome.usage.cpu_time;
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&used), "{used:?}");
}

#[test]
fn processor_time_of_the_whole_tree_is_counted() {
    let burn = "import os, time\n\
                for _ in range(4):\n\
                \x20 if os.fork() == 0:\n\
                \x20   while time.process_time() < 0.1: pass\n\
                \x20   os._exit(0)\n\
                for _ in range(4): os.wait()\n";
    let Some(outcome) = check(&python(burn), exited(0)) else { return };
    let used = outcome.usage.cpu_time;
    assert!((Duration::from_millis(400)..Duration::from_secs(2)).contains(&used), "{used:?}");
}
