//! Every limit ends a run under its own name, and coping with one is no fault.

use std::time::Duration;

use rollcage_types::{ByteSize, CapturePlan, ExecRequest, LimitKind, Limits, MechanismState};

use crate::harness::{check, check_prints, exceeded, exited, host, python, sh, with};

const FOREVER: &str = "while True: pass";

fn limited(request: ExecRequest, limit: impl FnOnce(&mut Limits)) -> ExecRequest {
    with(request, |request| limit(&mut request.limits))
}

#[test]
fn each_limit_has_a_name() {
    let short = Duration::from_millis(200);
    let cases = [
        (limited(python(FOREVER), |l| l.cpu_time = short), LimitKind::CpuTime),
        (limited(sh("sleep 60"), |l| l.wall_time = short), LimitKind::WallTime),
        (limited(sh("echo busy; sleep 60"), |l| l.idle_time = Some(short)), LimitKind::IdleTime),
        (limited(python("x = b'x' * (80 << 20)"), |l| l.memory = ByteSize::mib(32)), LimitKind::Memory),
        (limited(python("import os\nwhile True: os.fork()"), |l| l.processes = 16), LimitKind::Processes),
        (limited(ExecRequest::new(["yes"]), |l| l.output = ByteSize::kib(64)), LimitKind::Output),
        (
            limited(ExecRequest::new(["dd", "if=/dev/zero", "of=f", "bs=1M"]), |l| {
                l.file_size = ByteSize::mib(2);
            }),
            LimitKind::FileSize,
        ),
        (
            limited(ExecRequest::new(["dd", "if=/dev/zero", "of=f", "bs=1M"]), |l| l.disk = ByteSize::mib(2)),
            LimitKind::DiskSpace,
        ),
    ];
    assert_eq!(cases.len(), LimitKind::ALL.len());
    for (request, limit) in cases {
        check(&request, exceeded(limit));
    }
}

#[test]
fn a_program_that_copes_with_a_refusal_has_not_exceeded_anything() {
    let disk = "import errno\ntry:\n open('f', 'wb').write(b'x' * (4 << 20))\nexcept OSError as e:\n print(e.errno == errno.ENOSPC)";
    check_prints(&limited(python(disk), |l| l.disk = ByteSize::mib(2)), "True\n");
    let fork = "import errno, os\ntry:\n while os.fork(): pass\n import time; time.sleep(60)\nexcept OSError as e:\n print(e.errno == errno.EAGAIN, flush=True); os._exit(0)";
    check_prints(&limited(python(fork), |l| l.processes = 8), "True\n");
}

#[test]
fn open_files_end_with_emfile() {
    let program = "import errno, os\nn = 0\ntry:\n while True: os.dup(0); n += 1\nexcept OSError as e:\n print(n, e.errno == errno.EMFILE)";
    check_prints(&limited(python(program), |l| l.open_files = 40), "37 True\n");
}

#[test]
fn the_stack_has_its_limit() {
    check_prints(&limited(sh("ulimit -s"), |l| l.stack = ByteSize::mib(4)), "4096\n");
}

#[test]
fn a_crash_starts_no_program_of_the_hosts() {
    // A limit of 0 does not keep a host whose core pattern is a program from running it as root; 1 does.
    check_prints(&python("import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"), "(1, 1)\n");
}

#[test]
fn output_is_counted_exactly_and_kept_at_both_ends() {
    let program = "import sys; sys.stdout.write('h' * 10 + 'm' * 985 + 't' * 5); sys.stderr.write('e' * 7)";
    let request = with(python(program), |request| {
        request.capture = CapturePlan { head: ByteSize::bytes(10), tail: ByteSize::bytes(5) };
    });
    let Some(outcome) = check(&request, exited(0)) else { return };
    assert_eq!(
        (outcome.stdout.head.as_slice(), outcome.stdout.tail.as_slice()),
        (&b"hhhhhhhhhh"[..], &b"ttttt"[..])
    );
    assert_eq!(outcome.stdout.bytes_total, 1000);
    assert_eq!(outcome.stdout.bytes_omitted(), 985);
    assert_eq!(outcome.stderr.complete().as_deref(), Some(&b"eeeeeee"[..]));
    assert_eq!(outcome.usage.output, ByteSize::bytes(1007));
}

#[test]
fn output_up_to_the_limit_is_whole() {
    let program = "import sys; sys.stdout.write('x' * 65536); sys.stderr.write('y' * 34464)";
    let at = |bytes| limited(python(program), |l| l.output = ByteSize::bytes(bytes));
    let Some(outcome) = check(&at(100_000), exited(0)) else { return };
    assert_eq!(outcome.stdout.complete().map(|bytes| bytes.len()), Some(65_536));
    check(&at(99_999), exceeded(LimitKind::Output));
}

#[test]
fn everything_is_enforced_that_this_kernel_can() {
    let Some(host) = host() else { return };
    // Gaps that a newer kernel closes say so; there are no others.
    let of_the_kernel = |state: &MechanismState| match state {
        MechanismState::Partial(why) => why.contains("needs Linux") || why.contains("before ABI"),
        MechanismState::Full | MechanismState::Absent(_) => false,
    };
    let gaps: Vec<_> = host.enforcement().gaps().filter(|(_, state)| !of_the_kernel(state)).collect();
    assert_eq!(gaps, []);
    let Some(outcome) = check(&sh("true"), exited(0)) else { return };
    assert_eq!(outcome.enforcement, *host.enforcement());
}
