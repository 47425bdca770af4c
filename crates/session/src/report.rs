//! The driver's report on how each cell ended.
//!
//! The report is written by a process that the cells can tamper with. It is the program's claim: it decides
//! which cells are replayed, and nothing else. A forged one harms only the session it is part of.

use std::fmt;

/// How a cell ended, in its interpreter's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It came to its end.
    Returned,
    /// It raised an exception of this type.
    Raised(String),
    /// It asked the interpreter to exit.
    Exited(u8),
    /// Its last command had this status.
    Status(u8),
}

impl Ending {
    /// The exit code that the driver turns it into.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Returned => 0,
            Self::Raised(_) => 1,
            Self::Exited(code) | Self::Status(code) => *code,
        }
    }

    /// As it is reported.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Returned => "returned".to_owned(),
            Self::Raised(name) => format!("raised {name}"),
            Self::Exited(code) => format!("exited {code}"),
            Self::Status(code) => format!("status {code}"),
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            None if text == "returned" => Some(Self::Returned),
            Some(("raised", name)) => Some(Self::Raised(name.to_owned())),
            Some(("exited", code)) => code.parse().ok().map(Self::Exited),
            Some(("status", code)) => code.parse().ok().map(Self::Status),
            Some(_) | None => None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned => f.write_str("it returned"),
            Self::Raised(name) => write!(f, "it raised {}", name.escape_debug()),
            Self::Exited(code) => write!(f, "it exited with code {code}"),
            Self::Status(code) => write!(f, "its last status was {code}"),
        }
    }
}

/// A parsed report.
#[derive(Debug, Default)]
pub(crate) struct Report {
    started: Vec<u32>,
    ended: Vec<(u32, Ending)>,
}

/// The driver writes two short lines for each cell; no honest report is longer.
const REPORT_BYTES_MAX: usize = 64 * 1024;

impl Report {
    /// Reads what it can; a line that makes no sense claims nothing.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(REPORT_BYTES_MAX)]);
        let mut report = Self::default();
        for line in text.lines() {
            let Some((number, rest)) = line.split_once(' ') else { continue };
            let Ok(number) = number.parse() else { continue };
            match rest.split_once(' ') {
                None if rest == "start" => report.started.push(number),
                Some(("end", ending)) => report.ended.extend(Ending::parse(ending).map(|end| (number, end))),
                Some(_) | None => {}
            }
        }
        report
    }

    /// Whether the cell began.
    pub(crate) fn has_started(&self, number: u32) -> bool {
        self.started.contains(&number)
    }

    /// How the cell ended, if it did.
    pub(crate) fn ending(&self, number: u32) -> Option<&Ending> {
        self.ended.iter().find(|(ended, _)| *ended == number).map(|(_, ending)| ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_line_by_line() {
        let report = Report::parse(
            b"1 start\n1 end returned\n2 start\n2 end raised ValueError\n3 start\n3 end exited 4\n5 start\n\
              5 end status 200\n6 start\n",
        );
        for (number, ending) in [
            (1, Some(Ending::Returned)),
            (2, Some(Ending::Raised("ValueError".to_owned()))),
            (3, Some(Ending::Exited(4))),
            (4, None),
            (5, Some(Ending::Status(200))),
            (6, None),
        ] {
            assert_eq!(report.ending(number), ending.as_ref(), "{number}");
            assert_eq!(report.has_started(number), number != 4);
        }
    }

    #[test]
    fn nonsense_claims_nothing() {
        for text in
            [&b"\xff\xfe"[..], b"1 end exited 256", b"1 end", b"x end returned", b"1 end returned now", b""]
        {
            assert_eq!(Report::parse(text).ending(1), None, "{text:?}");
        }
        assert!(!Report::parse(&[b'1'; 1 << 20]).has_started(1));
    }
}
