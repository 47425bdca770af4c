//! Messages between supervisor, launcher and stub.
//!
//! One input is read as each kind of message. What is read must be what would be sent: written out again it reads
//! the same, and a request is the same to the byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcage_guest::protocol::{Answer, Command, LISTENERS_MAX, Order, Report, RunHeader, RunMessage, Setup};
use rollcage_sys::child::RESOURCE_LIMITS_MAX;

fuzz_target!(|bytes: &[u8]| {
    if let Some(setup) = Setup::decode(bytes) {
        assert_eq!(Setup::decode(&setup.encode()), Some(setup));
    }
    if let Some(command) = Command::decode(bytes) {
        assert_eq!(Command::decode_whole(&command.encode()), Some(command));
    }
    if let Some((generation, report)) = Report::decode(bytes) {
        assert_eq!(Report::decode(&report.encode(generation)), Some((generation, report)));
    }
    if let Some(order) = Order::decode(bytes) {
        assert_eq!(Order::decode(&order.encode()), Some(order));
    }
    // Sent by a process that an interpreter shares.
    if let Some(answer) = Answer::decode(bytes) {
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
    }
    if let Some(header) = RunHeader::decode(bytes) {
        check_request(&header, bytes);
    }
});

fn check_request(header: &RunHeader, bytes: &[u8]) {
    assert!(header.resource_limits_len <= RESOURCE_LIMITS_MAX);
    assert!(header.listeners_len <= LISTENERS_MAX);
    let listeners: Vec<_> = header.listeners(bytes).collect();
    assert_eq!(listeners.len(), header.listeners_len, "a listener was left out");
    // The stub takes any bytes but NUL; a supervisor sends UTF-8 only.
    let Ok(strings) = str::from_utf8(&bytes[header.strings_at..]) else { return };
    let strings: Vec<&str> = strings.split_terminator('\0').collect();
    let [programs, arguments, variables] = header.counts;
    assert_eq!(strings.len(), programs + arguments + variables);
    let (programs, rest) = strings.split_at(programs);
    let (arguments, variables) = rest.split_at(arguments);
    let variables: Vec<String> = variables.iter().map(|&text| text.to_owned()).collect();
    let message = RunMessage {
        generation: header.generation,
        programs,
        arguments,
        variables: &variables,
        resource_limits: &header.resource_limits[..header.resource_limits_len],
        cgroup_entry: header.cgroup_entry,
        disk_bytes: header.disk_bytes,
        listeners: &listeners,
    };
    assert_eq!(message.encode().as_deref(), Ok(bytes));
}
