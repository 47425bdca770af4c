//! What the driver in a cage claims of its cells: only what a line says, and no more of it than the bound.
#![no_main]

#[path = "../../crates/session/src/report.rs"]
mod report;

use libfuzzer_sys::fuzz_target;
use report::{Ending, Report};

fuzz_target!(|bytes: &[u8]| {
    let report = Report::parse(bytes);
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    for number in 0..8 {
        // A number is read as Rust reads one: with zeros or a plus sign before it.
        let claims = |what: &str| {
            lines.iter().filter_map(|line| line.split_once(' ')).any(|(head, rest)| {
                head.parse() == Ok(number) && (rest == what || rest.starts_with(&format!("{what} ")))
            })
        };
        assert!(!report.has_started(number) || claims("start"));
        if let Some(ending) = report.ending(number) {
            assert!(claims("end"));
            let shown = ending.to_string();
            assert!(shown.chars().all(|c| !c.is_control()), "{shown:?}");
            match ending {
                Ending::Returned => assert_eq!(ending.exit_code(), 0),
                Ending::Raised(_) => assert_eq!(ending.exit_code(), 1),
                Ending::Exited(code) | Ending::Status(code) => assert_eq!(ending.exit_code(), *code),
            }
        }
    }
});
