//! The environment: a task, an action dialect and rules for answers, as a state machine that knows no policy.
//!
//! Owns what a completion means here and what is observed of its effect. Budgets, retries and the order of
//! events are the loop's; running cells and judging answers is the driver's.
//!
//! The state is a fold over turn outcomes, so an environment is restored by replaying what was stored.

use std::num::NonZeroU32;
use std::sync::Arc;

use rollcage_types::Limits;
use serde_json::{Map, Value};

use crate::budget::StopReason;
use crate::completion::Completion;
use crate::extract::{ActionForm, AnswerRule, Dialect, Intent, VoidReason};
use crate::message::{Message, Role};
use crate::observation::{CellResult, ObservationStyle};
use crate::reward::JudgedAnswer;
use crate::task::Task;
use crate::trajectory::{TurnOutcome, TurnStage};

/// What becomes of code that is not marked as an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CodeMeans {
    /// It is run as the session's next cell.
    #[default]
    Step,
    /// It is judged at once, as in interactive benchmarks that reward every action.
    Answer,
}

/// Which of several judged answers counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CountedAnswer {
    /// The last.
    #[default]
    Last,
    /// The one with the highest reward; the earliest of equals.
    Best,
}

/// The rules of an environment; shared by all its episodes.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvironmentConfig {
    /// How actions are written.
    pub dialect: Dialect,
    /// What becomes of code.
    pub code_means: CodeMeans,
    /// Answers that may be judged; an accepted one ends the episode earlier.
    pub answers_max: NonZeroU32,
    /// Which of them counts.
    pub counted: CountedAnswer,
    /// How observations are written.
    pub observation: ObservationStyle,
    /// Limits of one cell, for naming them where they are exceeded.
    pub cell_limits: Limits,
}

impl EnvironmentConfig {
    /// Code is run step by step and one answer is judged.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            code_means: CodeMeans::default(),
            answers_max: NonZeroU32::MIN,
            counted: CountedAnswer::default(),
            observation: ObservationStyle::default(),
            cell_limits: Limits::default(),
        }
    }
}

/// What a completion needs done before it can be observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Run this as the session's next cell.
    RunCell {
        /// The code.
        code: String,
        /// Its standard input.
        stdin: Option<String>,
    },
    /// Have others carry out this call.
    CallTool {
        /// The function.
        name: String,
        /// Its arguments.
        arguments: Map<String, Value>,
    },
    /// Judge this answer.
    Judge {
        /// The answer.
        answer: String,
    },
    /// Nothing: there was no action.
    Void(VoidReason),
    /// Nothing: the policy gives up.
    GiveUp,
}

/// One episode.
#[derive(Clone, Debug)]
pub struct Environment {
    task: Arc<Task>,
    config: Arc<EnvironmentConfig>,
    /// The last code that was run and not yet judged.
    last_code: Option<String>,
    answers: u32,
    counted: Option<JudgedAnswer>,
    void_turns_in_a_row: u32,
}

impl Environment {
    /// An episode that has not begun.
    pub fn new(task: Arc<Task>, config: Arc<EnvironmentConfig>) -> Self {
        Self { task, config, last_code: None, answers: 0, counted: None, void_turns_in_a_row: 0 }
    }

    /// Starts the episode over and returns the conversation that the policy continues.
    pub fn reset(&mut self) -> Vec<Message> {
        *self = Self::new(Arc::clone(&self.task), Arc::clone(&self.config));
        self.task.messages.clone()
    }

    /// What `completion` needs done. Changes nothing: only what is observed counts.
    pub fn step(&self, completion: &Completion, stage: TurnStage) -> Effect {
        match self.config.dialect.read(completion) {
            Intent::Run { code, stdin } => {
                if self.is_answer(stage) {
                    Effect::Judge { answer: code }
                } else {
                    Effect::RunCell { code, stdin }
                }
            }
            // Its result would be shown to nobody.
            Intent::Call { .. } if stage == TurnStage::FinalAnswer => Effect::Void(VoidReason::NoAction),
            Intent::Call { name, arguments } => Effect::CallTool { name, arguments },
            Intent::Answer(answer) => Effect::Judge { answer },
            Intent::AnswerLast => match (&self.last_code, &self.config.dialect.answer) {
                (Some(code), _) => Effect::Judge { answer: code.clone() },
                // A policy that never wrote code did not mean to submit anything.
                (None, AnswerRule::LastCode) => Effect::Void(VoidReason::NoAction),
                (None, AnswerRule::Tag(_) | AnswerRule::Marked(_) | AnswerRule::Command(_)) => {
                    Effect::Void(VoidReason::NothingToSubmit)
                }
            },
            Intent::GiveUp => Effect::GiveUp,
            Intent::Void(why) => Effect::Void(why),
        }
    }

    /// Takes in what happened; says why the episode is over, if it is. Replaying stored outcomes in order
    /// restores the state.
    pub fn observe(&mut self, outcome: &TurnOutcome) -> Option<StopReason> {
        self.void_turns_in_a_row = if let TurnOutcome::Void { .. } = outcome {
            self.void_turns_in_a_row.saturating_add(1)
        } else {
            0
        };
        match outcome {
            TurnOutcome::Ran { code, .. } => {
                self.last_code = Some(code.clone());
                None
            }
            TurnOutcome::Answered { judged, .. } => self.take_answer(judged),
            TurnOutcome::Called { .. } | TurnOutcome::Void { .. } => None,
            TurnOutcome::GaveUp => Some(StopReason::PolicyStopped),
        }
    }

    /// What the policy reads of an outcome already taken in. `reminder` is the budget's last word.
    pub fn observation(
        &self,
        completion: &Completion,
        outcome: &TurnOutcome,
        reminder: Option<&str>,
    ) -> Vec<Message> {
        let Some(mut text) = self.observation_text(outcome) else { return Vec::new() };
        if let Some(reminder) = reminder {
            text.push('\n');
            text.push_str(reminder);
        }
        self.messages(completion, &self.config.observation.enclose(&text))
    }

    /// The answer to judge when the episode ends for want of budget: under [`AnswerRule::LastCode`] the last
    /// code that was run and not judged.
    pub fn pending_answer(&self) -> Option<&str> {
        match self.config.dialect.answer {
            AnswerRule::LastCode => self.last_code.as_deref(),
            AnswerRule::Tag(_) | AnswerRule::Marked(_) | AnswerRule::Command(_) => None,
        }
    }

    /// Turns without an action since the last one with.
    pub fn void_turns_in_a_row(&self) -> u32 {
        self.void_turns_in_a_row
    }

    /// Takes in the judgement of a [`pending_answer`](Self::pending_answer).
    pub fn take_pending_answer(&mut self, judged: &JudgedAnswer) {
        let _done = self.take_answer(judged);
    }

    /// The judged answer that counts so far.
    pub fn counted_answer(&self) -> Option<&JudgedAnswer> {
        self.counted.as_ref()
    }

    /// Ends the episode.
    pub fn close(self) -> Option<JudgedAnswer> {
        self.counted
    }

    fn is_answer(&self, stage: TurnStage) -> bool {
        let is_last_code = self.config.dialect.answer == AnswerRule::LastCode;
        match (self.config.code_means, stage) {
            (CodeMeans::Answer, _) | (CodeMeans::Step, TurnStage::FinalAnswer) => true,
            // Running it would show its output to nobody.
            (CodeMeans::Step, TurnStage::Last) => is_last_code,
            (CodeMeans::Step, TurnStage::Ordinary) => false,
        }
    }

    fn take_answer(&mut self, judged: &JudgedAnswer) -> Option<StopReason> {
        self.last_code = None;
        self.answers = self.answers.saturating_add(1);
        let is_better = match (self.config.counted, &self.counted) {
            (CountedAnswer::Last, _) | (CountedAnswer::Best, None) => true,
            // Without a number nothing can be compared, so the failure is what counts.
            (CountedAnswer::Best, Some(best)) => judged.reward().is_none() || judged.reward() > best.reward(),
        };
        if is_better {
            self.counted = Some(judged.clone());
        }
        let is_over = judged.is_accepted()
            || judged.reward().is_none()
            || self.answers >= self.config.answers_max.get();
        is_over.then_some(StopReason::Answered)
    }

    fn observation_text(&self, outcome: &TurnOutcome) -> Option<String> {
        let style = &self.config.observation;
        match outcome {
            TurnOutcome::Ran { cell, .. } => Some(self.cell_text(cell)),
            TurnOutcome::Called { result, .. } => Some(style.tool_text(result)),
            TurnOutcome::Answered { judged, .. } => {
                let answers_left = self.config.answers_max.get().saturating_sub(self.answers);
                Some(style.judged_text(judged, answers_left))
            }
            TurnOutcome::Void { why } => Some(format!("{why} {}", self.config.dialect.usage_hint())),
            TurnOutcome::GaveUp => None,
        }
    }

    fn cell_text(&self, cell: &CellResult) -> String {
        self.config.observation.cell_text(cell, &self.config.cell_limits)
    }

    /// The observation as messages: one user message, or one tool message for every call, because servers
    /// refuse a conversation in which a call stays unanswered.
    fn messages(&self, completion: &Completion, text: &str) -> Vec<Message> {
        let is_native = match &self.config.dialect.form {
            ActionForm::ToolCall(form) => form.text_tag.is_none(),
            ActionForm::Fenced(_) | ActionForm::Tags(_) => false,
        };
        if !is_native || completion.tool_calls.is_empty() {
            return vec![Message::new(Role::User, text)];
        }
        let answer = |(index, call): (usize, &crate::message::ToolCall)| Message {
            tool_call_id: Some(call.id.clone()),
            ..Message::new(Role::Tool, if index == 0 { text } else { UNUSED_CALL_TEXT })
        };
        completion.tool_calls.iter().enumerate().map(answer).collect()
    }
}

/// What every call after the first is told.
const UNUSED_CALL_TEXT: &str = "Not run: only the first tool call of a message is carried out.";

#[cfg(test)]
mod tests {
    use rollcage_judge::{Checker, Problem, TestCase, Tests, Unscorable, Verdict};
    use rollcage_types::{LimitOverrides, ProblemId, TaskId};

    use super::*;
    use crate::extract::ToolForm;
    use crate::message::ToolCall;
    use crate::observation::ToolResult;
    use crate::reward::Reward;

    fn environment(config: EnvironmentConfig) -> Environment {
        let case = TestCase { stdin: Arc::from([].as_slice()), expected: Arc::from([].as_slice()) };
        let problem = Problem {
            id: ProblemId::new("p"),
            language: None,
            tests: Tests::Cases(vec![case]),
            limits: LimitOverrides::default(),
            checker: Checker::default(),
            files: Vec::new(),
        };
        let messages = vec![Message::new(Role::User, "solve it")];
        let task = Task { id: TaskId::new("t"), messages, problem: Arc::new(problem) };
        Environment::new(Arc::new(task), Arc::new(config))
    }

    fn answered(reward: f64) -> TurnOutcome {
        let judged = JudgedAnswer::Scored {
            verdict: Verdict::WrongAnswer,
            reward: Reward::new(reward).unwrap(),
            reason: None,
        };
        TurnOutcome::Answered { answer: "a".to_owned(), judged }
    }

    #[test]
    fn every_tool_call_is_answered_and_only_the_first_carried_out() {
        let form = ActionForm::ToolCall(ToolForm::default());
        let environment =
            environment(EnvironmentConfig::new(Dialect { form, ..Dialect::fenced(["python"]) }));
        let call = |id: &str| ToolCall {
            id: id.to_owned(),
            name: "run_code".to_owned(),
            arguments: format!("{{\"code\": \"{id}\"}}"),
        };
        let completion = Completion { tool_calls: vec![call("a"), call("b")], ..Completion::text("") };
        let effect = environment.step(&completion, TurnStage::Ordinary);
        assert_eq!(effect, Effect::RunCell { code: "a".to_owned(), stdin: None });
        let outcome = TurnOutcome::Void { why: VoidReason::EmptyCode };
        let messages = environment.observation(&completion, &outcome, Some("2 turns left."));
        let ids: Vec<_> = messages.iter().map(|message| message.tool_call_id.as_deref()).collect();
        assert_eq!(ids, [Some("a"), Some("b")]);
        assert!(messages.iter().all(|message| message.role == Role::Tool));
        assert!(messages[0].content.ends_with("\n2 turns left."));
        assert_eq!(messages[1].content, UNUSED_CALL_TEXT);
    }

    #[test]
    fn calls_of_tools_that_others_carry_out_are_told_from_code() {
        let form = ActionForm::ToolCall(ToolForm { others: vec!["search".into()], ..ToolForm::default() });
        let dialect = Dialect { form, ..Dialect::fenced(["python"]) };
        let mut environment = environment(EnvironmentConfig::new(dialect));
        let call = |name: &str| Completion {
            tool_calls: vec![ToolCall {
                id: "a".to_owned(),
                name: name.to_owned(),
                arguments: r#"{"query": "rust"}"#.to_owned(),
            }],
            ..Completion::text("")
        };
        let effect = environment.step(&call("search"), TurnStage::Ordinary);
        let Effect::CallTool { name, arguments } = effect else { unreachable!("it is {effect:?}") };
        assert_eq!((name.as_str(), &arguments["query"]), ("search", &Value::from("rust")));
        let unknown = Effect::Void(VoidReason::UnknownTool { name: "find".to_owned() });
        assert_eq!(environment.step(&call("find"), TurnStage::Ordinary), unknown);
        let too_late = Effect::Void(VoidReason::NoAction);
        assert_eq!(environment.step(&call("search"), TurnStage::FinalAnswer), too_late);

        let result = ToolResult { output: "x".repeat(20_000), error: Some("and no more".to_owned()) };
        let outcome = TurnOutcome::Called { name, arguments, result };
        assert_eq!(environment.observe(&outcome), None);
        let messages = environment.observation(&call("search"), &outcome, None);
        assert_eq!((messages.len(), messages[0].tool_call_id.as_deref()), (1, Some("a")));
        assert!(messages[0].content.contains("bytes omitted"));
        assert!(messages[0].content.ends_with("error: and no more"));
    }

    #[test]
    fn the_last_or_the_best_answer_counts() {
        let check = |counted, expected: f64| {
            let answers_max = NonZeroU32::new(9).unwrap();
            let config = EnvironmentConfig::new(Dialect::fenced(["python"]));
            let mut environment = environment(EnvironmentConfig { answers_max, counted, ..config });
            for reward in [0.2, 0.7, 0.5] {
                assert_eq!(environment.observe(&answered(reward)), None);
            }
            let counted = environment.close().and_then(|judged| judged.reward());
            assert_eq!(counted.map(Reward::value), Some(expected));
        };
        check(CountedAnswer::Last, 0.5);
        check(CountedAnswer::Best, 0.7);
    }

    #[test]
    fn an_answer_that_cannot_be_scored_ends_the_episode_without_a_number() {
        let answers_max = NonZeroU32::new(9).unwrap();
        let config = EnvironmentConfig::new(Dialect::fenced(["python"]));
        let counted = CountedAnswer::Best;
        let mut environment = environment(EnvironmentConfig { answers_max, counted, ..config });
        assert_eq!(environment.observe(&answered(0.7)), None);
        let judged = JudgedAnswer::Unscorable(Unscorable::problem("no tests"));
        let outcome = TurnOutcome::Answered { answer: "a".to_owned(), judged: judged.clone() };
        assert_eq!(environment.observe(&outcome), Some(StopReason::Answered));
        assert_eq!(environment.close(), Some(judged));
    }
}
