//! A driver without effects: a scripted policy, a pretended interpreter and judge, and a clock that is counted.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use rollcage_judge::{Checker, Problem, TestCase, Tests, Verdict};
use rollcage_rollout::{
    Action, ActionForm, Budget, CellResult, Completion, Dialect, EnvironmentConfig, Event, JudgedAnswer,
    Message, Retries, Reward, RewardWeights, Role, RolloutLoop, RolloutSpec, SessionState, Task, TokenUsage,
    ToolForm, ToolResult, Trajectory, Turn,
};
use rollcage_types::{Captured, LimitOverrides, ProblemId, TaskId, Termination, Usage};

/// Time each event takes; storing takes none, so that a resumed trajectory has spent as much as one that was
/// never interrupted.
pub(crate) const TICK: Duration = Duration::from_secs(1);

pub(crate) fn count(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).expect("tests count from 1")
}

pub(crate) fn task() -> Arc<Task> {
    let case = TestCase { stdin: Arc::from([].as_slice()), expected: Arc::from([].as_slice()) };
    let problem = Problem {
        id: ProblemId::new("p"),
        language: None,
        tests: Tests::Cases(vec![case]),
        limits: LimitOverrides::default(),
        checker: Checker::default(),
        files: Vec::new(),
    };
    Arc::new(Task {
        id: TaskId::new("t"),
        messages: vec![Message::new(Role::User, "solve it")],
        problem: Arc::new(problem),
    })
}

pub(crate) fn spec(environment: EnvironmentConfig, budget: Budget) -> RolloutSpec {
    RolloutSpec {
        task: task(),
        task_index: 3,
        sample_index: 1,
        run_seed: 7,
        environment: Arc::new(environment),
        budget,
        retries: Retries::default(),
        reward: RewardWeights::default(),
        stop: Vec::new(),
    }
}

pub(crate) fn tagged() -> EnvironmentConfig {
    EnvironmentConfig::new(Dialect::execute_and_solution(["python"]))
}

pub(crate) fn fenced() -> EnvironmentConfig {
    EnvironmentConfig::new(Dialect::fenced(["python"]))
}

/// Code and one other tool, both called.
pub(crate) fn called() -> EnvironmentConfig {
    let form = ActionForm::ToolCall(ToolForm { others: vec!["search".into()], ..ToolForm::default() });
    EnvironmentConfig::new(Dialect { form, ..Dialect::fenced(["python"]) })
}

/// The pretended interpreter repeats the code.
pub(crate) fn run_cell(code: &str) -> CellResult {
    CellResult {
        termination: Termination::Exited { code: 0 },
        stdout: Captured::whole(code),
        stderr: Captured::default(),
        usage: Usage::default(),
        session: SessionState::Kept,
    }
}

/// The pretended judge accepts what contains `right`.
pub(crate) fn judge(answer: &str) -> JudgedAnswer {
    let is_right = answer.contains("right");
    JudgedAnswer::Scored {
        verdict: if is_right { Verdict::Accepted } else { Verdict::WrongAnswer },
        reward: Reward::new(if is_right { 1.0 } else { 0.0 }).expect("0 and 1 are finite"),
        reason: None,
    }
}

/// A completion that the server counted.
pub(crate) fn counted(text: &str, prompt: u32, completion: u32) -> Completion {
    Completion { usage: Some(TokenUsage { prompt, completion }), ..Completion::text(text) }
}

/// What a run asked for, and what it came to.
pub(crate) struct Run {
    pub(crate) asked: Vec<String>,
    pub(crate) stored: Vec<Arc<Turn>>,
    pub(crate) trajectory: Box<Trajectory>,
}

/// Performs a loop's actions in order until it has finished; turn `n` of the policy is `script[n]`, and what it
/// says at the end of the script is repeated.
pub(crate) fn drive(rollout: &mut RolloutLoop, script: &[Completion], start: Duration) -> Run {
    let (mut now, mut asked, mut stored) = (start, Vec::new(), Vec::new());
    let mut actions = rollout.on_event(now, Event::Started);
    loop {
        let mut event = None;
        for action in actions.drain(..) {
            match action {
                Action::Sample(request) => {
                    asked.push(format!("sample {}", request.turn));
                    let turn = usize::try_from(request.turn).expect("turns fit").min(script.len() - 1);
                    now += TICK;
                    event =
                        Some(Event::Completion { ticket: request.ticket, completion: script[turn].clone() });
                }
                Action::RunCell(request) => {
                    asked.push(format!("run {}", request.code.trim()));
                    now += TICK;
                    event = Some(Event::CellFinished {
                        ticket: request.ticket,
                        result: Ok(run_cell(&request.code)),
                    });
                }
                Action::CallTool(request) => {
                    asked.push(format!("call {}", request.name));
                    now += TICK;
                    let output = serde_json::Value::from(request.arguments).to_string();
                    let result = Ok(ToolResult { output, error: None });
                    event = Some(Event::ToolFinished { ticket: request.ticket, result });
                }
                Action::Judge(request) => {
                    asked.push(format!("judge {}", request.answer.trim()));
                    now += TICK;
                    event = Some(Event::Judged { ticket: request.ticket, judged: judge(&request.answer) });
                }
                Action::Persist(turn) => {
                    asked.push(format!("persist {}", turn.index));
                    event = Some(Event::Persisted { turn: turn.index });
                    stored.push(turn);
                }
                Action::ScheduleDeadline { .. } | Action::Abandon { .. } => {}
                Action::Finish(trajectory) => return Run { asked, stored, trajectory },
            }
        }
        actions = rollout.on_event(now, event.expect("a loop that is not finished waits for something"));
    }
}
