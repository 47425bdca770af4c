//! A server that has served many is as it was.

use std::fs;

use crate::server::{PYTHON, Place, Server};

/// Children until a leak of one page or one descriptor each would show.
const FORKS: usize = 1_000;
/// Growth that is no leak: the allocator's own slack, far below one page for each fork.
const SLACK_KIB: u64 = 1_024;

#[test]
fn a_thousand_forks_leave_nothing() {
    let Some(place) = Place::new(PYTHON) else { return };
    let server = place.serve();
    place.write("print(1)");
    // The first few bring in pages that were not there yet.
    for _ in 0..10 {
        server.run(&place, "");
    }
    let before = State::of(&server);
    for _ in 0..FORKS {
        assert_eq!(server.run(&place, "").text(), "1");
    }
    let after = State::of(&server);
    assert_eq!(after.descriptors, before.descriptors);
    assert_eq!(after.children, "", "zombies, or children nobody asked for");
    assert!(after.anonymous_kib <= before.anonymous_kib + SLACK_KIB, "{before:?} {after:?}");
}

#[derive(Debug)]
struct State {
    descriptors: Vec<String>,
    children: String,
    anonymous_kib: u64,
}

impl State {
    fn of(server: &Server) -> Self {
        let process = format!("/proc/{}", server.pid());
        let listed = fs::read_dir(format!("{process}/fd")).unwrap();
        let mut descriptors: Vec<_> =
            listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        descriptors.sort();
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        Self {
            descriptors,
            children: fs::read_to_string(format!("{process}/task/{}/children", server.pid())).unwrap(),
            anonymous_kib: line.trim().trim_end_matches(" kB").parse().unwrap(),
        }
    }
}
