//! The Agnostics verifier protocol: one JSON object in, one out, per solution.
//!
//! Keeps the published shapes and closes their gaps: an empty list of tests is answered and not `null`, limits
//! other than time are named, and our own failures are `fail:run-failed`, which no trainer takes for a verdict.

use std::time::Duration;

use rollcage_judge::{
    Blame, CaseFailure, CaseResult, Checker, CompileReport, Judgement, Problem, Scored, TestCase, Tests,
    Verdict,
};
use rollcage_types::{Captured, LimitKind, LimitOverrides, ProblemId};
use serde::{Deserialize, Serialize};

/// What a trainer sends. Fields we do not know are ignored: the protocol is not ours.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct AgnosticsRequest {
    /// The solution.
    pub code: String,
    /// Seconds on the clock for each test.
    #[serde(default = "timeout_default")]
    pub timeout_s: f64,
    /// Inputs and expected outputs.
    pub test_cases: Vec<AgnosticsCase>,
}

/// One test.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AgnosticsCase {
    /// Standard input.
    pub input: String,
    /// The expected standard output.
    pub output: String,
}

/// Why a request has no judgement.
#[derive(Debug, thiserror::Error)]
pub enum AgnosticsRequestError {
    /// It is not JSON of the right shape.
    #[error("the request cannot be read: {0}")]
    Malformed(String),
    /// The limit is not a number of seconds.
    #[error("timeout_s is {0}, and must be above 0 and at most {TIMEOUT_S_MAX}")]
    Timeout(f64),
}

/// Whether each test is answered, or only the first failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgnosticsDetail {
    /// The first failure, as the reference implementation does.
    #[default]
    FirstFailure,
    /// Every test, as `fail:finegrained`, if at least one failed.
    EveryTest,
}

/// What a trainer gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result")]
#[expect(missing_docs, reason = "the fields are the protocol's")]
pub enum AgnosticsReply {
    /// Every test passed.
    #[serde(rename = "success")]
    Success { stderr: String },
    /// A test printed something else.
    #[serde(rename = "fail:wrong-output")]
    WrongOutput { expected: String, got: String, stderr: String },
    /// It did not compile, or exited with a code other than 0; a signal is its number below zero.
    #[serde(rename = "fail:error")]
    Error { exit_code: i32, stdout: String, stderr: String },
    /// A test took too long.
    #[serde(rename = "fail:timeout")]
    Timeout { stdout: String, stderr: String },
    /// Anything else that is not our fault.
    #[serde(rename = "fail:other")]
    Other {
        stdout: String,
        stderr: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        details: Option<String>,
    },
    /// One answer per test.
    #[serde(rename = "fail:finegrained")]
    Finegrained { subresults: Vec<Self> },
    /// We could not judge it.
    #[serde(rename = "fail:run-failed")]
    RunFailed { details: String },
}

/// Longer waits are mistakes: a day.
const TIMEOUT_S_MAX: f64 = 86_400.0;

/// The protocol limits time on the clock only. A program may keep this many processors busy all that time
/// before our limit on processor time, which always exists, ends it.
const PROCESSORS_MAX: u32 = 16;

const fn timeout_default() -> f64 {
    30.0
}

impl AgnosticsRequest {
    /// Reads one line.
    pub fn parse(line: &str) -> Result<Self, AgnosticsRequestError> {
        let mut json = serde_json::Deserializer::from_str(line);
        let request: Self = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| AgnosticsRequestError::Malformed(error.to_string()))?;
        json.end().map_err(|error| AgnosticsRequestError::Malformed(error.to_string()))?;
        if !(request.timeout_s > 0.0 && request.timeout_s <= TIMEOUT_S_MAX) {
            return Err(AgnosticsRequestError::Timeout(request.timeout_s));
        }
        Ok(request)
    }

    /// The problem to judge [`AgnosticsRequest::code`] by.
    pub fn problem(&self, id: ProblemId) -> Problem {
        // `parse` has checked the range; a value built by hand falls back to a limit that ends at once.
        let wall_time = Duration::try_from_secs_f64(self.timeout_s).unwrap_or(Duration::from_millis(1));
        let case = |case: &AgnosticsCase| TestCase {
            stdin: case.input.as_bytes().into(),
            expected: case.output.as_bytes().into(),
        };
        Problem {
            id,
            language: None,
            tests: Tests::Cases(self.test_cases.iter().map(case).collect()),
            limits: LimitOverrides {
                wall_time: Some(wall_time),
                cpu_time: Some(wall_time.saturating_mul(PROCESSORS_MAX)),
                ..LimitOverrides::default()
            },
            checker: Checker::Exact,
            files: Vec::new(),
        }
    }
}

impl From<AgnosticsRequestError> for AgnosticsReply {
    fn from(error: AgnosticsRequestError) -> Self {
        Self::other(error.to_string())
    }
}

impl AgnosticsReply {
    /// The answer to `request`, which `judgement` judged.
    pub fn new(judgement: &Judgement, request: &AgnosticsRequest, detail: AgnosticsDetail) -> Self {
        let scored = match judgement {
            Judgement::Scored(scored) => scored,
            Judgement::Unscorable(unscorable) => {
                return match unscorable.blame {
                    Blame::Problem => Self::other(unscorable.reason.clone()),
                    Blame::Infrastructure => Self::RunFailed { details: unscorable.reason.clone() },
                };
            }
        };
        if let Some(reply) = Self::without_run(scored) {
            return reply;
        }
        match (scored.first_failure(), detail) {
            (None, _) => Self::Success { stderr: text(scored.cases.last().map(|case| &case.stderr)) },
            (Some(case), AgnosticsDetail::FirstFailure) => Self::of_case(case, request),
            (Some(_), AgnosticsDetail::EveryTest) => {
                let subresults = scored.cases.iter().map(|case| Self::of_case(case, request)).collect();
                Self::Finegrained { subresults }
            }
        }
    }

    /// The answer where no test was run.
    fn without_run(scored: &Scored) -> Option<Self> {
        if scored.verdict == Verdict::PolicyViolation {
            return Some(Self::other(scored.refusal.clone().unwrap_or_default()));
        }
        let report = scored.compile.as_deref()?;
        let failure = report.failure()?;
        let CompileReport { stdout, stderr, .. } = report;
        Some(Self::of_failure(failure, stdout, stderr, Some("compiling: ")))
    }

    fn of_case(case: &CaseResult, request: &AgnosticsRequest) -> Self {
        let stderr = case.stderr.to_text();
        match case.failure {
            None => Self::Success { stderr },
            Some(CaseFailure::Mismatch) => Self::WrongOutput {
                expected: request
                    .test_cases
                    .get(case.index)
                    .map(|case| case.output.clone())
                    .unwrap_or_default(),
                got: case.stdout.to_text(),
                stderr,
            },
            Some(failure) => Self::of_failure(failure, &case.stdout, &case.stderr, None),
        }
    }

    fn of_failure(failure: CaseFailure, stdout: &Captured, stderr: &Captured, stage: Option<&str>) -> Self {
        let (stdout, stderr) = (stdout.to_text(), stderr.to_text());
        match failure {
            CaseFailure::ExitCode(code) => Self::Error { exit_code: code.into(), stdout, stderr },
            CaseFailure::Signal(signal) => Self::Error { exit_code: -signal, stdout, stderr },
            CaseFailure::Limit(LimitKind::CpuTime | LimitKind::WallTime | LimitKind::IdleTime)
                if stage.is_none() =>
            {
                Self::Timeout { stdout, stderr }
            }
            CaseFailure::Limit(_)
            | CaseFailure::Mismatch
            | CaseFailure::EndedEarly
            | CaseFailure::OutputNotKept
            | CaseFailure::Assertion
            | CaseFailure::ReportNotKept => {
                let details = format!("{}{}", stage.unwrap_or_default(), failure.describe());
                Self::Other { stdout, stderr, details: Some(details) }
            }
        }
    }

    fn other(details: String) -> Self {
        Self::Other { stdout: String::new(), stderr: String::new(), details: Some(details) }
    }
}

fn text(stream: Option<&Captured>) -> String {
    stream.map(Captured::to_text).unwrap_or_default()
}
