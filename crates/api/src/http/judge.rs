//! `POST /v1/judge` and `/v1/judge/batch`: solutions, and what they deserve.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcage_judge::{Disclosure, Judgement, Problem, Score, Scored, StopRule, Verdict};
use rollcage_rollout::NoCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::BodyError;
use crate::problem_row::ProblemRow;
use crate::result_row::{CaseSummary, ResultError, ResultRow};
use crate::suggest;

/// One solution and its problem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgeBody {
    /// Anything; it comes back with the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The language, by name or alias; the problem's unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// A whole program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solution: Option<String>,
    /// What continues the problem's `prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
    /// What a model said; the program is its last fenced block in the language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// A problem row. `id` and `prompt` may be left out.
    pub problem: Box<ProblemRow>,
    /// When running cases stops.
    #[serde(default)]
    pub stop: StopBody,
}

/// Many solutions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchBody {
    /// Problems that items name, so that each is sent once.
    #[serde(default)]
    pub problems: BTreeMap<String, ProblemRow>,
    /// The solutions.
    pub items: Vec<ItemBody>,
    /// The language of items that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// When running cases stops.
    #[serde(default)]
    pub stop: StopBody,
}

/// One solution of many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemBody {
    /// Anything; it comes back with the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The language, by name or alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// A whole program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solution: Option<String>,
    /// What continues the problem's `prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
    /// What a model said; the program is its last fenced block in the language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// One of `problems` by its name, or a problem row.
    pub problem: ProblemBody,
}

/// A problem, or the name of one.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ProblemBody {
    /// One of the batch's `problems`.
    Named(String),
    /// This one.
    Own(Box<ProblemRow>),
}

/// When running cases stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopBody {
    /// At the first failure; a failing solution earns nothing.
    #[default]
    FirstFailure,
    /// Never; a failing solution earns its share of passed cases.
    RunAll,
}

impl From<StopBody> for StopRule {
    fn from(stop: StopBody) -> Self {
        match stop {
            StopBody::FirstFailure => Self::FirstFailure,
            StopBody::RunAll => Self::RunAll,
        }
    }
}

/// By hand, so that a mistake within a problem row is told as one, and not as "no variant matched".
impl<'de> Deserialize<'de> for ProblemBody {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = ProblemBody;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of one of `problems`, or a problem row")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<ProblemBody, E> {
                Ok(ProblemBody::Named(name.to_owned()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<ProblemBody, A::Error> {
                let row = ProblemRow::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(ProblemBody::Own(Box::new(row)))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The text of a solution, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SolutionText {
    /// A whole program.
    Whole(String),
    /// What continues the problem's prefix.
    Completion(String),
    /// What a model said.
    Answer(String),
}

/// One solution, its problem and its language.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeOrder {
    /// Comes back with the result.
    pub id: Option<String>,
    /// The language's name as given.
    pub language: String,
    /// What it is judged by; for whole programs.
    pub problem: Arc<Problem>,
    /// The solution.
    pub text: SolutionText,
}

impl JudgeBody {
    /// The order in it, and when to stop.
    pub fn into_order(self) -> Result<(JudgeOrder, StopRule), BodyError> {
        let Self { id, language, solution, completion, answer, problem, stop } = self;
        let text = solution_text(solution, completion, answer)?;
        let problem = Problems::of(*problem).map_err(|error| error.within("problem"))?;
        Ok((problem.order(id, language, text)?, stop.into()))
    }
}

impl BatchBody {
    /// The orders in it, and when to stop. Items that name a problem share it.
    pub fn into_orders(self) -> Result<(Vec<JudgeOrder>, StopRule), BodyError> {
        let Self { problems, items, language, stop } = self;
        let mut named = BTreeMap::new();
        for (name, row) in problems {
            let problem = Problems::of(row).map_err(|error| error.within(&format!("problems.{name}")))?;
            named.insert(name, problem);
        }
        let mut orders = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            let ItemBody { id, language: own, solution, completion, answer, problem } = item;
            let order = solution_text(solution, completion, answer).and_then(|text| {
                let language = own.or_else(|| language.clone());
                match problem {
                    ProblemBody::Own(row) => {
                        Problems::of(*row).map_err(|error| error.within("problem"))?.order(id, language, text)
                    }
                    ProblemBody::Named(name) => match named.get(&name) {
                        Some(problem) => problem.order(id, language, text),
                        None => Err(no_such_problem(&name, &named)),
                    },
                }
            });
            orders.push(order.map_err(|error| error.within(&format!("items[{at}]")))?);
        }
        Ok((orders, stop.into()))
    }
}

fn no_such_problem(name: &str, named: &BTreeMap<String, Problems>) -> BodyError {
    let near = suggest::nearest(name, named.keys().map(String::as_str));
    BodyError::new("problem", format!("none of `problems` is called `{name}`"))
        .with_hint(near.map(|near| format!("did you mean `{near}`?")))
}

fn solution_text(
    solution: Option<String>,
    completion: Option<String>,
    answer: Option<String>,
) -> Result<SolutionText, BodyError> {
    match (solution, completion, answer) {
        (Some(text), None, None) => Ok(SolutionText::Whole(text)),
        (None, Some(text), None) => Ok(SolutionText::Completion(text)),
        (None, None, Some(text)) => Ok(SolutionText::Answer(text)),
        (_, _, _) => Err(BodyError::new("", "expected one of `solution`, `completion` and `answer`")),
    }
}

/// A problem for continuations and for whole programs; the same where nothing comes before a solution.
struct Problems {
    continued: Arc<Problem>,
    whole: Arc<Problem>,
}

impl Problems {
    fn of(mut row: ProblemRow) -> Result<Self, BodyError> {
        if row.id.is_empty() {
            "problem".clone_into(&mut row.id);
        }
        if row.prompt.is_none() && row.messages.is_none() {
            row.prompt = Some(String::new());
        }
        let continued = row.into_item(0)?.task.problem;
        let whole = Arc::new(continued.for_whole_programs());
        Ok(Self { continued, whole })
    }

    fn order(
        &self,
        id: Option<String>,
        language: Option<String>,
        text: SolutionText,
    ) -> Result<JudgeOrder, BodyError> {
        let asked = self.continued.language.as_deref();
        let language = language.or_else(|| asked.map(str::to_owned)).ok_or_else(|| {
            BodyError::new("language", "neither the solution nor its problem names a language")
        })?;
        let problem = match text {
            SolutionText::Completion(_) => &self.continued,
            SolutionText::Whole(_) | SolutionText::Answer(_) => &self.whole,
        };
        Ok(JudgeOrder { id, language, problem: Arc::clone(problem), text })
    }
}

/// A judged solution. It has either a verdict with a score, or an error and neither.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedReply {
    /// Which of a batch, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// As given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The language it was judged in.
    pub language: String,
    /// What it deserves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// From 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Why it was not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it was not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ResultError>,
    /// What happened in each case that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<CaseSummary>,
}

impl JudgedReply {
    /// The reply for one judgement. Whoever asked knows the expected outputs, so reasons show them.
    pub fn new(index: Option<usize>, id: Option<String>, language: &str, judgement: &Judgement) -> Self {
        let task = rollcage_types::TaskId::new("");
        let row = ResultRow::new(&task, 0, language, judgement, Disclosure::Expected);
        let ResultRow { task_id: _, sample: _, language, verdict, score, reason, error, cases } = row;
        Self { index, id, language, verdict, score, reason, error, cases }
    }

    /// The judgement of an answer that holds no program.
    pub fn no_program(why: &NoCode) -> Judgement {
        Judgement::Scored(Scored {
            verdict: Verdict::CompileError,
            score: Score::ZERO,
            refusal: Some(why.to_string()),
            compile: None,
            cases: Vec::new(),
        })
    }
}

/// The reply to a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchReply {
    /// In the order of the items.
    pub results: Vec<JudgedReply>,
}

/// The last line of a streamed reply; a stream without it was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchEnd {
    /// Always true.
    pub done: bool,
    /// Lines before it.
    pub results: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::read_body;

    #[test]
    fn bodies_that_make_no_sense_are_refused_by_field() {
        for (text, expected) in [
            (r#"{"problem":{"cases":[]}}"#, "expected one of `solution`, `completion` and `answer`"),
            (r#"{"solution":"","answer":"","problem":{}}"#, "expected one of `solution`"),
            (r#"{"solution":"","problem":{}}"#, "`problem`: expected one of `cases` and `test_code`"),
            (r#"{"solution":"","problem":{"test_code":"x"}}"#, "`language`: neither the solution"),
            (
                r#"{"solution":"","problem":{"cases":[{"stdin":1,"expected":""}]}}"#,
                "`problem.cases[0].stdin`: invalid type",
            ),
        ] {
            let order = read_body::<JudgeBody>(text.as_bytes()).and_then(JudgeBody::into_order);
            let error = order.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        for (items, expected) in [
            (r#"[{"solution":"","problem":"q"}]"#, "`items[0].problem`: none of `problems` is called `q`"),
            (r#"[{"solution":"","problem":{"cases":3}}]"#, "`items[0].problem.cases`: invalid type"),
            (r#"[{"problem":"p"}]"#, "`items[0]`: expected one of `solution`"),
        ] {
            let text =
                format!(r#"{{"problems":{{"p":{{"test_code":"x"}}}},"language":"python","items":{items}}}"#);
            let orders = read_body::<BatchBody>(text.as_bytes()).and_then(BatchBody::into_orders);
            let error = orders.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{items}: {error}");
        }
    }

    #[test]
    fn items_share_named_problems_and_languages_have_an_order() {
        let text = r#"{"problems":{"p":{"test_code":"x","prefix":"def f():\n","language":"lua"}},"language":"c",
            "items":[{"completion":" pass","problem":"p"},{"solution":"s","problem":"p","language":"cpp"},
                     {"answer":"a","problem":"p"}]}"#;
        let (orders, _) = read_body::<BatchBody>(text.as_bytes()).and_then(BatchBody::into_orders).unwrap();
        let languages: Vec<&str> = orders.iter().map(|order| order.language.as_str()).collect();
        assert_eq!(languages, ["c", "cpp", "c"]);
        assert!(Arc::ptr_eq(&orders[1].problem, &orders[2].problem));
        assert!(!Arc::ptr_eq(&orders[0].problem, &orders[1].problem));
    }
}
