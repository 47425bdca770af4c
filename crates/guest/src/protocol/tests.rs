use std::net::Ipv4Addr;

use proptest::prelude::*;
use rollcage_sys::Errno;
use rollcage_sys::child::{ResourceLimit, Stage};

use super::request::RUN_HEADER_WORDS;
use super::words::WORD;
use super::*;

fn limit(soft: u64) -> ResourceLimit {
    ResourceLimit { resource: 7, soft, hard: soft + 1, ..ResourceLimit::default() }
}

#[test]
fn a_request_reads_back() {
    let message = RunMessage {
        generation: 9,
        programs: &["/bin/true", "/usr/bin/true"],
        arguments: &["true", ""],
        variables: &["A=1".to_owned()],
        resource_limits: &[limit(5), limit(6)],
        cgroup_entry: CgroupEntry::CloneInto,
        disk_bytes: 1 << 20,
        listeners: &[],
        branches: false,
    };
    let bytes = message.encode().unwrap();
    let header = RunHeader::decode(&bytes).unwrap();
    assert_eq!((header.generation, header.counts, header.resource_limits_len), (9, [2, 2, 1], 2));
    assert_eq!((header.resource_limits[1].soft, header.resource_limits[1].hard), (6, 7));
    assert_eq!(&bytes[header.strings_at..], b"/bin/true\0/usr/bin/true\0true\0\0A=1\0");
}

#[test]
fn oversized_requests_are_refused_by_name() {
    let encode = |arguments: &[&str]| {
        RunMessage {
            generation: 1,
            programs: &["/x"],
            arguments,
            variables: &[],
            resource_limits: &[],
            cgroup_entry: CgroupEntry::Tasks,
            disk_bytes: 1 << 20,
            listeners: &[],
            branches: false,
        }
        .encode()
    };
    assert_eq!(encode(&["a"; REQUEST_STRINGS_MAX]), Err(RequestTooLarge::Strings));
    assert_eq!(encode(&[&"a".repeat(REQUEST_BYTES_MAX)]), Err(RequestTooLarge::Bytes));
    assert_eq!(encode(&["a\0b"]), Err(RequestTooLarge::Nul));
}

#[test]
fn reports_commands_and_setups_read_back() {
    let ended = Ended {
        status: 0x0b,
        alone: true,
        started_ns: 4,
        at_ns: 5,
        cpu_us: 6,
        max_rss_kib: 7,
        disk_used: 8,
        disk_full: true,
    };
    let reports = [
        Report::Ended(ended),
        Report::Failed { stage: Stage::Exec, errno: Errno::NOENT },
        Report::Reaped { next_ready: true },
        Report::Waiting,
        Report::Listening,
    ];
    for report in reports {
        assert_eq!(Report::decode(&report.encode(3)), Some((3, report)));
    }
    for command in
        [Command::Start { slot: 4, wiring: Wiring::Wired }, Command::Kill { slot: 5, generation: 6 }]
    {
        assert_eq!(Command::decode(&command.encode()), Some(command));
    }
    let setup = Setup { slot: 1, uid: 2 };
    assert_eq!(Setup::decode(&setup.encode()), Some(setup));
}

#[test]
fn numbers_that_are_no_error_of_the_kernel_are_refused() {
    let failed = Report::Failed { stage: Stage::Exec, errno: Errno::NOENT };
    for number in [0_u64, 4096, 0xffff_ffff] {
        let mut bytes = failed.encode(1);
        bytes[3 * WORD..4 * WORD].copy_from_slice(&number.to_ne_bytes());
        assert_eq!(Report::decode(&bytes), None, "{number}");
    }
}

#[test]
fn a_word_that_is_no_listener_is_refused() {
    let message = RunMessage {
        generation: 1,
        programs: &["/bin/true"],
        arguments: &["true"],
        variables: &[],
        resource_limits: &[],
        cgroup_entry: CgroupEntry::Tasks,
        disk_bytes: 1 << 20,
        listeners: &[Listener { address: Ipv4Addr::LOCALHOST, port: 80, needs_address: false }],
        branches: false,
    };
    let mut bytes = message.encode().unwrap();
    assert_eq!(RunHeader::decode(&bytes).unwrap().listeners(&bytes).count(), 1);
    // A port of more than sixteen bits.
    bytes[RUN_HEADER_WORDS * WORD..][..WORD].copy_from_slice(&(0x2_0000_u64 << 1).to_ne_bytes());
    assert!(RunHeader::decode(&bytes).is_none());
}

#[test]
fn orders_and_answers_read_back() {
    let server = ForkServerOrder {
        programs: vec!["/usr/bin/python3".to_owned()],
        arguments: vec!["python3".to_owned(), String::new()],
        variables: vec!["A=1".to_owned()],
        files: vec!["snippet.py".to_owned()],
        uids: Some(ServerUids { own: 1, root: 2, first: 3, count: 4 }),
        stack_bytes: 5,
        branches: true,
    };
    let plain = Order { slots: 3, announced: true, directory: "/run".into(), ..Order::default() };
    let full = Order {
        charged: true,
        tree: Some("/tree".into()),
        base: Some("/base".into()),
        prepared: Some("/prepared".into()),
        spares: true,
        fork_server: Some(server),
        ..plain.clone()
    };
    for order in [plain, full] {
        let bytes = order.encode();
        assert_eq!(Order::decode(&bytes), Some(order));
        assert_eq!(Order::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Order::decode(&[bytes, vec![0]].concat()), None);
    }
    for answer in [
        Answer::Ready { landlock_abi: 7 },
        Answer::Refused { reason: Refusal::Threads, detail: -2 },
        Answer::Failed("why".to_owned()),
        Answer::Asks,
    ] {
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
    }
    assert!(Refusal::ALL.iter().all(|reason| Refusal::from_number(*reason as u64) == Some(*reason)));
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _report = Report::decode(&bytes);
        let _command = Command::decode(&bytes);
        let _setup = Setup::decode(&bytes);
        let _order = Order::decode(&bytes);
        let _answer = Answer::decode(&bytes);
        if let Some(header) = RunHeader::decode(&bytes) {
            prop_assert!(header.strings_at <= bytes.len());
        }
    }

    #[test]
    fn a_corrupted_request_is_refused_or_still_consistent(at in 0_usize..80, value in any::<u8>()) {
        let message = RunMessage {
            generation: 1,
            programs: &["/bin/true"],
            arguments: &["true"],
            variables: &["PATH=/bin".to_owned()],
            resource_limits: &[limit(1)],
            cgroup_entry: CgroupEntry::Tasks,
            disk_bytes: 1 << 20,
        listeners: &[],
            branches: false,
        };
        let mut bytes = message.encode().unwrap();
        let at = at % bytes.len();
        bytes[at] = value;
        if let Some(header) = RunHeader::decode(&bytes) {
            let strings = &bytes[header.strings_at..];
            prop_assert_eq!(strings.iter().filter(|b| **b == 0).count(), header.counts.iter().sum::<usize>());
        }
    }
}
