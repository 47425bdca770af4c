//! code-judge: `/run` and `/judge`, alone, in batches and in long batches; `/ping` and `/status`.
//!
//! A submission that was run has an empty reason, or `worker_timeout` if its time was over. rStar2's client submits
//! again what has `queue_timeout`, gives up when it has done so in vain, and shows everything else to the policy; so
//! `queue_timeout` is what each failure of ours is called, and `internal_error` is never sent.

use std::time::Duration;

use rollcage_types::{ExecOutcome, LimitOverrides};
use serde::Serialize;
use serde_json::{Value, json};

use super::order::{Executed, Order};
use super::told::{self, Cancelled, End};
use super::validation::{
    Fault, Location, Mistakes, Object, ValidationReply, dictionary, list, read_json, text, text_or_null,
    within,
};

/// A solution to run, and what it is to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// As given; the server makes up one where there is none.
    pub sub_id: Option<String>,
    /// Our name of the language.
    pub language: String,
    /// The program.
    pub solution: String,
    /// Standard input.
    pub input: Option<String>,
    /// What it is to print, white space at both ends aside; without it any output will do.
    pub expected_output: Option<String>,
}

/// Several submissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSubmission {
    /// As given; the server makes up one where there is none.
    pub sub_id: Option<String>,
    /// At least one.
    pub submissions: Vec<Submission>,
}

/// What became of a submission, of `/run`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResult {
    /// The submission's.
    pub sub_id: String,
    /// Whether it exited with 0 and printed what it was to.
    pub success: bool,
    /// Whether it exited with 0.
    pub run_success: bool,
    /// Seconds on the clock.
    pub cost: f64,
    /// The first characters of standard output; null where nothing ran.
    pub stdout: Option<String>,
    /// The first characters of standard error, and which limit ended the program; null where nothing ran.
    pub stderr: Option<String>,
    /// Why it was ended, or was not run.
    pub reason: Reason,
}

/// The same without output, of `/judge`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JudgeResult {
    /// See [`RunResult::sub_id`].
    pub sub_id: String,
    /// See [`RunResult::success`].
    pub success: bool,
    /// See [`RunResult::run_success`].
    pub run_success: bool,
    /// See [`RunResult::cost`].
    pub cost: f64,
    /// See [`RunResult::reason`].
    pub reason: Reason,
}

/// The results of a batch, in the order of its submissions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BatchResult<T> {
    /// The batch's.
    pub sub_id: String,
    /// One for each.
    pub results: Vec<T>,
}

/// The reply of `/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StatusReply {
    /// Submissions that wait.
    pub queue: usize,
    /// Submissions that can run at once.
    pub num_workers: usize,
}

/// Why a submission was ended, or was not run. The original has one more, `internal_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// It ended by itself, or by a limit other than time, or did not compile.
    #[serde(rename = "")]
    Unspecified,
    /// Its time was over.
    #[serde(rename = "worker_timeout")]
    WorkerTimeout,
    /// It was not run, or what it did is not known: it may be submitted again.
    #[serde(rename = "queue_timeout")]
    QueueTimeout,
    /// It cannot be run by anyone.
    #[serde(rename = "invalid_input")]
    InvalidInput,
}

/// What the server says to `GET /ping`.
pub const PONG: &str = "pong";

/// Submissions of one batch. The largest recipes send some hundreds at once; results are kept until all are there.
pub const SUBMISSIONS_MAX: usize = 4096;

/// Values in one request: those of each submission, with some options.
const VALUES_MAX: usize = SUBMISSIONS_MAX * 16;

/// The original's `MAX_EXECUTION_TIME`, of the clock and of the processor.
const EXECUTION_TIME: Duration = Duration::from_secs(10);

/// The original's `MAX_STDOUT_ERROR_LENGTH`, in characters.
const STREAM_CHARS_MAX: usize = 1000;

/// Larger programs are no programs, and a file has a limit too.
const SOLUTION_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Submission {
    /// Reads the body of `/run` or `/judge` for a server that has the languages `languages`, by our names.
    pub fn read(body: &[u8], languages: &[&str]) -> Result<Self, ValidationReply> {
        let json = read_json(body, VALUES_MAX)?;
        let mut mistakes = Mistakes::default();
        let object = Object::body(&mut mistakes, &json);
        let read = object.and_then(|object| read_submission(&object, languages, &mut mistakes));
        mistakes.or(read)
    }

    /// What is to be done, unless nobody could.
    pub fn order(&self) -> Result<Order, Reason> {
        if self.solution.len() > SOLUTION_BYTES_MAX {
            return Err(Reason::InvalidInput);
        }
        Ok(Order {
            language: self.language.clone(),
            code: self.solution.as_bytes().into(),
            stdin: self.input.as_deref().unwrap_or_default().as_bytes().into(),
            files: Vec::new(),
            limits: LimitOverrides {
                wall_time: Some(EXECUTION_TIME),
                cpu_time: Some(EXECUTION_TIME),
                ..LimitOverrides::default()
            },
            compile_limits: LimitOverrides::default(),
            collect: Vec::new(),
        })
    }
}

impl BatchSubmission {
    /// Reads the body of a batch, as [`Submission::read`] does that of one submission.
    pub fn read(body: &[u8], languages: &[&str]) -> Result<Self, ValidationReply> {
        let json = read_json(body, VALUES_MAX)?;
        let mut mistakes = Mistakes::default();
        let object = Object::body(&mut mistakes, &json);
        let read = object.and_then(|object| read_batch(&object, languages, &mut mistakes));
        mistakes.or(read)
    }
}

impl RunResult {
    /// What became of `submission`, which is called `sub_id`.
    pub fn new(sub_id: String, submission: &Submission, executed: Executed<'_>) -> Result<Self, Cancelled> {
        let (outcome, run) = match executed {
            Executed::CompileFailed(compile) => (compile, None),
            Executed::Ran { compile: _, run } => (run, Some(run)),
        };
        let end = End::of(outcome.termination)?;
        let run_success = run.is_some() && end == End::Returned(0);
        let prints_it = |expected: &String| run.is_some_and(|run| prints(run, expected));
        Ok(Self {
            sub_id,
            success: run_success && submission.expected_output.as_ref().is_none_or(prints_it),
            run_success,
            cost: outcome.usage.wall_time.as_secs_f64(),
            // The original shows what a compiler said on standard error, and nothing else of it.
            stdout: Some(run.map(|run| cut(told::stdout(run))).unwrap_or_default()),
            stderr: Some(told::stderr(outcome, |stderr| cut(stderr.to_text()))),
            reason: match end {
                End::Returned(_) => Reason::Unspecified,
                End::OutOfTime => Reason::WorkerTimeout,
            },
        })
    }

    /// A submission of which nothing is known but why.
    pub const fn not_run(sub_id: String, reason: Reason) -> Self {
        Self { sub_id, success: false, run_success: false, cost: 0.0, stdout: None, stderr: None, reason }
    }
}

impl From<RunResult> for JudgeResult {
    fn from(result: RunResult) -> Self {
        let RunResult { sub_id, success, run_success, cost, stdout: _, stderr: _, reason } = result;
        Self { sub_id, success, run_success, cost, reason }
    }
}

fn read_batch(object: &Object<'_>, languages: &[&str], mistakes: &mut Mistakes) -> Option<BatchSubmission> {
    let sub_id = object.optional(mistakes, "sub_id", None, text_or_null);
    object.optional(mistakes, "type", (), |value| {
        (value == "batch").then_some(()).ok_or_else(|| Fault::literal(["batch"]))
    })?;
    let listed = object.required(mistakes, "submissions", |value| {
        let listed = list(value)?;
        if listed.is_empty() { Err(wrong_length("too_short", 1, 0)) } else { Ok(listed) }
    })?;
    if listed.len() > SUBMISSIONS_MAX {
        let fault = wrong_length("too_long", SUBMISSIONS_MAX, listed.len());
        mistakes.add(object.place_of("submissions"), fault, &Value::Null);
        return None;
    }
    let place = object.place_of("submissions");
    let mut submissions = Vec::with_capacity(listed.len());
    for (index, value) in listed.iter().enumerate() {
        let object = Object::at(mistakes, within(&place, Location::Index(index)), value);
        submissions.extend(object.and_then(|object| read_submission(&object, languages, mistakes)));
    }
    let is_whole = submissions.len() == listed.len();
    is_whole.then_some(BatchSubmission { sub_id: given(sub_id?), submissions })
}

fn read_submission(object: &Object<'_>, languages: &[&str], mistakes: &mut Mistakes) -> Option<Submission> {
    let sub_id = object.optional(mistakes, "sub_id", None, text_or_null);
    let language = object.required(mistakes, "type", |value| {
        let known = languages.iter().copied().find(|language| value == *language);
        known.ok_or_else(|| Fault::literal(languages.iter().copied()))
    });
    // Read as the original reads them; there they are for types that we do not have.
    let options = object.optional(mistakes, "options", (), |value| {
        if value.is_null() { Ok(()) } else { dictionary(value)?.values().try_for_each(|v| text(v).map(drop)) }
    });
    let solution = object.required(mistakes, "solution", text);
    let input = object.optional(mistakes, "input", None, text_or_null);
    let expected_output = object.optional(mistakes, "expected_output", None, text_or_null);
    options?;
    Some(Submission {
        sub_id: given(sub_id?),
        language: language?.to_owned(),
        solution: solution?.to_owned(),
        input: input?.map(str::to_owned),
        expected_output: expected_output?.map(str::to_owned),
    })
}

fn wrong_length(kind: &'static str, bound: usize, actual: usize) -> Fault {
    let (most, key) = if kind == "too_long" { ("most", "max_length") } else { ("least", "min_length") };
    let plural = if bound == 1 { "" } else { "s" };
    Fault {
        context: Some(json!({"field_type": "List", key: bound, "actual_length": actual})),
        ..Fault::new(
            kind,
            format!("List should have at {most} {bound} item{plural} after validation, not {actual}"),
        )
    }
}

/// An id; an empty one is none.
fn given(sub_id: Option<&str>) -> Option<String> {
    sub_id.filter(|sub_id| !sub_id.is_empty()).map(str::to_owned)
}

/// Whether all of its standard output is text and, white space at both ends aside, `expected`.
fn prints(run: &ExecOutcome, expected: &str) -> bool {
    let Some(bytes) = run.stdout.complete() else { return false };
    std::str::from_utf8(&bytes).is_ok_and(|text| strip(text) == strip(expected))
}

/// Python's `str.strip`, which takes the four separators of ASCII for white space too.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(STREAM_CHARS_MAX) {
        text.truncate(end);
    }
    text
}
