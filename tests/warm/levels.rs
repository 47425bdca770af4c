//! Each level and each way of counting, with the same outcomes.

use std::time::Duration;

use rollcage_sandbox::{Accounting, Cancel, ForkServer, ForkServerError, HostConfig};
use rollcage_types::{IsolationLevel, LimitKind, Limits, NetworkAccess, Termination};

use crate::harness::{Server, host_of, python, request};

fn check(config: &HostConfig) {
    let Some(host) = host_of(config) else { return };
    let Some(server) = Server::start_on(host, &python()) else { return };
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    // Only the limit that a program is meant to meet is short: on a busy machine it may meet another first.
    let cases = [
        ("print(open('snippet.py').read()[:5])", (minute, minute), Termination::Exited { code: 0 }),
        ("raise SystemExit(7)", (minute, minute), Termination::Exited { code: 7 }),
        ("import os; os.abort()", (minute, minute), Termination::Signaled { signal: 6 }),
        ("while True: pass", (second, minute), Termination::LimitExceeded(LimitKind::CpuTime)),
        ("import time; time.sleep(60)", (minute, second), Termination::LimitExceeded(LimitKind::WallTime)),
        ("while True: print('x' * 4096)", (minute, minute), Termination::LimitExceeded(LimitKind::Output)),
    ];
    for (program, (cpu_time, wall_time), expected) in cases {
        let mut request = request(&python(), program, "");
        request.limits = Limits { cpu_time, wall_time, ..Limits::default() };
        let outcome = server.warm_request(&request);
        assert_eq!(outcome.termination, expected, "{program}: {}", outcome.stderr.to_text());
        assert_eq!(outcome.enforcement, *server.host.enforcement());
    }
    let mut request = request(&python(), "kept = []\nwhile True: kept.append(b'x' * (1 << 22))", "");
    request.limits.memory = rollcage_types::ByteSize::mib(64);
    let ended = server.warm_request(&request).termination;
    let is_by_group = config.accounting != Accounting::Sampled;
    assert!(ended == Termination::LimitExceeded(LimitKind::Memory) || !is_by_group, "{ended:?}");
}

#[test]
fn full() {
    check(&HostConfig::default());
}

#[test]
fn full_without_groups() {
    check(&HostConfig { accounting: Accounting::Sampled, ..HostConfig::default() });
}

#[test]
fn rootless() {
    check(&HostConfig::at(IsolationLevel::Rootless));
}

#[test]
fn rootless_without_groups() {
    check(&HostConfig { accounting: Accounting::Sampled, ..HostConfig::at(IsolationLevel::Rootless) });
}

#[test]
fn process_has_none() {
    let Some(host) = host_of(&HostConfig::at(IsolationLevel::Process)) else { return };
    let refused = ForkServer::start(&host, python(), &Cancel::new()).err();
    assert!(matches!(refused, Some(ForkServerError::NoMounts)), "{refused:?}");
}

#[test]
fn a_network_of_its_own() {
    let Some(host) = host_of(&HostConfig::default()) else { return };
    let Some(server) = Server::start_on(host, &python()) else { return };
    let program = "import socket\ns = socket.create_server(('127.0.0.1', 0))\n\
                   c = socket.create_connection(s.getsockname())\nprint('connected')";
    let mut request = request(&python(), program, "");
    request.network = NetworkAccess::Loopback;
    for _ in 0..2 {
        assert_eq!(server.warm_request(&request).stdout.to_text(), "connected\n");
        assert_ne!(server.warm(program, "").stdout, "connected\n");
    }
}
