//! A piece of work: what is asked of a host, and what must come of it.

use std::time::Duration;

use rollcage_sandbox::SandboxError;
use rollcage_types::{ExecOutcome, ExecRequest, FileEntry, IsolationLevel, LimitKind, Termination};

use crate::bench::soak::draw::Draw;
use crate::bench::soak::hostile::Attack;

/// What a piece of work is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// An ordinary program, whose outcome is known to the byte.
    Benign,
    /// A program that takes all it can get, or leaves behind what it can.
    Hostile,
    /// A request that must be refused, or is cancelled.
    Faulty,
    /// A fixed computation beside hostile programs.
    Canary,
}

impl Class {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Benign => "benign",
            Self::Hostile => "hostile",
            Self::Faulty => "faulty",
            Self::Canary => "canary",
        }
    }
}

/// What a piece of work depends on besides its draws.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) level: IsolationLevel,
    /// Whether the kernel counts what a tree uses, so that the limit that ended it is named for certain.
    pub(super) is_counted: bool,
    /// A program compiled beforehand, where there is a compiler.
    pub(super) compiled: Option<FileEntry>,
}

/// One kind of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) class: Class,
    pub(super) name: &'static str,
    /// The programs in `/usr/bin` without which it is left out.
    pub(super) needs: &'static [&'static str],
    pub(super) recipe: Recipe,
}

/// How work of a kind is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Recipe {
    Drawn(fn(&mut Draw, &Setting) -> Order),
    Attack(&'static Attack),
}

impl Kind {
    /// One piece of this kind.
    pub(super) fn order(&self, draw: &mut Draw, setting: &Setting) -> Order {
        match self.recipe {
            Recipe::Drawn(make) => make(draw, setting),
            Recipe::Attack(attack) => attack.order(setting),
        }
    }
}

/// What is asked of a host.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) request: ExecRequest,
    pub(super) expected: Expected,
    /// When it is cancelled, from the moment it is given to the host.
    pub(super) cancel_after: Option<Duration>,
}

/// What must come of a request. What is `None` may be anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// Any of these.
    pub(super) ends: Vec<End>,
    pub(super) stdout: Option<Vec<u8>>,
    pub(super) stderr: Option<Vec<u8>>,
    /// All files read back, in the order of their paths.
    pub(super) files: Option<Vec<(String, Vec<u8>)>>,
}

/// How a request ends, our own failures included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Exited(u8),
    Signaled(i32),
    Exceeded(LimitKind),
    Cancelled,
    Refused(Refusal),
    /// We could not do our job; never expected.
    Failed,
}

/// Why a request was refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoProgram,
    Program,
    Request,
    Place,
    FilesTooLarge,
}

/// What came of a request.
pub(super) type Ran = Result<ExecOutcome, SandboxError>;

impl End {
    pub(super) fn of(ran: &Ran) -> Self {
        match ran {
            Ok(outcome) => match outcome.termination {
                Termination::Exited { code } => Self::Exited(code),
                Termination::Signaled { signal } => Self::Signaled(signal),
                Termination::LimitExceeded(limit) => Self::Exceeded(limit),
                Termination::Cancelled => Self::Cancelled,
            },
            Err(error) => match error {
                SandboxError::NoProgram => Self::Refused(Refusal::NoProgram),
                SandboxError::Exec { .. } => Self::Refused(Refusal::Program),
                SandboxError::Request(_) => Self::Refused(Refusal::Request),
                SandboxError::Place { .. } => Self::Refused(Refusal::Place),
                SandboxError::FilesTooLarge { .. } => Self::Refused(Refusal::FilesTooLarge),
                SandboxError::NoNetwork { .. }
                | SandboxError::Cage { .. }
                | SandboxError::System { .. }
                | SandboxError::NotReady { .. }
                | SandboxError::Unkillable { .. }
                | SandboxError::StubLost
                | SandboxError::Agent { .. }
                | SandboxError::HostExhausted { .. }
                | SandboxError::LauncherGone => Self::Failed,
            },
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited {code}"),
            Self::Signaled(signal) => write!(f, "signal {signal}"),
            Self::Exceeded(limit) => write!(f, "limit {}", limit.as_str()),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Refused(refusal) => f.write_str(match refusal {
                Refusal::NoProgram => "refused: no program",
                Refusal::Program => "refused: cannot execute",
                Refusal::Request => "refused: request too large",
                Refusal::Place => "refused: cannot place a file",
                Refusal::FilesTooLarge => "refused: files too large",
            }),
            Self::Failed => f.write_str("no outcome"),
        }
    }
}

impl Order {
    /// A request that ends well and prints exactly this, and nothing to standard error.
    pub(super) fn printing(request: ExecRequest, stdout: impl Into<Vec<u8>>) -> Self {
        let expected = Expected {
            ends: vec![End::Exited(0)],
            stdout: Some(stdout.into()),
            stderr: Some(Vec::new()),
            ..Expected::default()
        };
        Self { request, expected, cancel_after: None }
    }

    /// A request that ends in one of these ways.
    pub(super) fn ending(request: ExecRequest, ends: &[End]) -> Self {
        let expected = Expected { ends: ends.to_vec(), ..Expected::default() };
        Self { request, expected, cancel_after: None }
    }
}

/// Of what a program printed, in the description of something unexpected.
const SHOWN_BYTES: usize = 300;

impl Expected {
    /// Whether this is what came.
    pub(super) fn is_met(&self, ran: &Ran) -> bool {
        if !self.ends.contains(&End::of(ran)) {
            return false;
        }
        let Ok(outcome) = ran else { return true };
        let is_stream = |expected: &Option<Vec<u8>>, got: &rollcage_types::Captured| {
            expected.as_ref().is_none_or(|expected| got.complete().is_some_and(|got| *got == **expected))
        };
        let are_files = self.files.as_ref().is_none_or(|expected| {
            let got = outcome.files.iter().map(|file| (file.path.as_str(), &*file.content));
            got.eq(expected.iter().map(|(path, content)| (path.as_str(), content.as_slice())))
        });
        are_files && is_stream(&self.stdout, &outcome.stdout) && is_stream(&self.stderr, &outcome.stderr)
    }

    /// In words.
    pub(super) fn describe(&self) -> String {
        let ends: Vec<_> = self.ends.iter().map(End::to_string).collect();
        let stream = |name: &str, bytes: &Option<Vec<u8>>| {
            bytes.as_ref().map(|bytes| format!(", {name} {}", shown(bytes))).unwrap_or_default()
        };
        let files =
            self.files.as_ref().map(|files| format!(", {}", names(files.iter().map(|(path, _)| path))));
        let (stdout, stderr) = (stream("stdout", &self.stdout), stream("stderr", &self.stderr));
        format!("{}{stdout}{stderr}{}", ends.join(" or "), files.unwrap_or_default())
    }
}

/// What came, in words.
pub(super) fn describe(ran: &Ran) -> String {
    match ran {
        Err(error) => {
            let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
            let causes: String = causes.map(|cause| format!(": {cause}")).collect();
            format!("{}: {error}{causes}", End::of(ran))
        }
        Ok(outcome) => {
            let (stdout, stderr) = (shown(&outcome.stdout.head), shown(&outcome.stderr.head));
            let files = names(outcome.files.iter().map(|file| file.path.as_str()));
            let usage = &outcome.usage;
            format!(
                "{}, stdout {stdout}, stderr {stderr}, {files}, {} omitted; cpu {:?}, wall {:?}, memory {}, {} processes",
                End::of(ran),
                outcome.files_omitted,
                usage.cpu_time,
                usage.wall_time,
                usage.memory,
                usage.processes
            )
        }
    }
}

/// A request, in words.
pub(super) fn describe_request(order: &Order) -> String {
    let mut argv = format!("{:?}", order.request.argv);
    if let Some((end, _)) = argv.char_indices().nth(SHOWN_BYTES) {
        argv.truncate(end);
        argv.push('…');
    }
    let cancelled =
        order.cancel_after.map(|after| format!(", cancelled after {after:?}")).unwrap_or_default();
    format!(
        "{argv}, {} bytes of stdin, {} files{cancelled}",
        order.request.stdin.len(),
        order.request.files.len()
    )
}

fn shown(bytes: &[u8]) -> String {
    let more = if bytes.len() > SHOWN_BYTES { "…" } else { "" };
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]);
    format!("{head:?}{more} ({} bytes)", bytes.len())
}

fn names<S: AsRef<str>>(paths: impl Iterator<Item = S>) -> String {
    /// Enough to see what kind of files they are.
    const SHOWN: usize = 8;
    let mut shown: Vec<_> = paths.map(|path| path.as_ref().to_owned()).take(SHOWN + 1).collect();
    if shown.len() > SHOWN {
        shown[SHOWN] = "…".to_owned();
    }
    format!("files [{}]", shown.join(" "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcage_types::{Captured, Enforcement, NetworkLog, RelativePath, Usage};

    use super::*;

    fn ran(termination: Termination, stdout: &[u8], files: &[(&str, &[u8])]) -> Ran {
        let entry = |(path, content): &(&str, &[u8])| {
            FileEntry::new(RelativePath::new(path).unwrap(), content.to_vec())
        };
        Ok(ExecOutcome {
            termination,
            start: rollcage_types::Start::Cold,
            stdout: Captured::whole(stdout),
            stderr: Captured::default(),
            usage: Usage::default(),
            enforcement: Arc::new(Enforcement::nothing(IsolationLevel::Full)),
            files: files.iter().map(entry).collect(),
            files_omitted: 0,
            network: NetworkLog::default(),
        })
    }

    #[test]
    fn every_part_of_an_outcome_is_compared() {
        let good = Termination::Exited { code: 0 };
        let expected = Expected {
            ends: vec![End::Exited(0), End::Signaled(15)],
            stdout: Some(b"out".to_vec()),
            stderr: None,
            files: Some(vec![("a".to_owned(), b"x".to_vec())]),
        };
        let check = |ran: Ran, is_met: bool| assert_eq!(expected.is_met(&ran), is_met, "{ran:?}");
        check(ran(good, b"out", &[("a", b"x")]), true);
        check(ran(Termination::Signaled { signal: 15 }, b"out", &[("a", b"x")]), true);
        check(ran(Termination::Exited { code: 1 }, b"out", &[("a", b"x")]), false);
        check(ran(good, b"outer", &[("a", b"x")]), false);
        check(ran(good, b"out", &[("a", b"y")]), false);
        check(ran(good, b"out", &[("a", b"x"), ("b", b"")]), false);
        check(ran(good, b"out", &[]), false);
        check(Err(SandboxError::LauncherGone), false);
    }

    #[test]
    fn our_own_failures_are_no_refusals() {
        let of = |error| End::of(&Err(error));
        assert_eq!(of(SandboxError::NoProgram), End::Refused(Refusal::NoProgram));
        assert_eq!(of(SandboxError::StubLost), End::Failed);
        assert_eq!(of(SandboxError::HostExhausted { resource: "memory" }), End::Failed);
    }
}
