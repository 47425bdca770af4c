//! Whole trajectories, told as what the loop asked for.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::driver::{count, counted, drive, fenced, judge, run_cell, spec, tagged};
use rollcage_judge::Unscorable;
use rollcage_rollout::{
    Action, AnswerRule, Budget, CellFailure, CodeMeans, Completion, CountedAnswer, Dialect,
    EnvironmentConfig, Event, Feedback, FinalAnswer, JudgedAnswer, PolicyFailure, PolicyFailureKind,
    Reminders, Retries, Reward, RolloutLoop, RolloutSpec, StopReason, Ticket, Trajectory, TurnOutcome,
};

fn check(spec: &RolloutSpec, script: &[&str], asked: &str, stop: StopReason, reward: f64) {
    let script: Vec<_> = script.iter().map(|text| Completion::text(*text)).collect();
    let run = drive(&mut RolloutLoop::new(spec.clone()), &script, Duration::ZERO);
    assert_eq!(run.asked.join(", "), asked);
    assert_eq!(run.trajectory.stop, stop);
    assert_eq!(run.trajectory.reward.total().map(Reward::value), Some(reward));
    assert_eq!(run.trajectory.turns, run.stored);
}

fn turns(turns_max: u32) -> Budget {
    Budget { turns_max: count(turns_max), ..Budget::default() }
}

#[test]
fn steps_and_an_answer() {
    check(
        &spec(tagged(), turns(5)),
        &["<execute>x</execute>", "<solution>right</solution>"],
        "sample 0, run x, persist 0, sample 1, judge right, persist 1",
        StopReason::Answered,
        1.0,
    );
}

#[test]
fn the_last_code_is_the_answer() {
    let spec = spec(fenced(), turns(2));
    let code = "```python\nright\n```";
    check(
        &spec,
        &[code, "done"],
        "sample 0, run right, persist 0, sample 1, judge right, persist 1",
        StopReason::Answered,
        1.0,
    );
    // In the last turn it is not run first: nobody would read its output.
    check(
        &spec,
        &["```python\nx\n```", code],
        "sample 0, run x, persist 0, sample 1, judge right, persist 1",
        StopReason::Answered,
        1.0,
    );
    let single = RolloutSpec { budget: turns(1), ..spec };
    check(&single, &[code], "sample 0, judge right, persist 0", StopReason::Answered, 1.0);
    check(&single, &["no code"], "sample 0, persist 0", StopReason::TurnLimit, 0.0);
}

#[test]
fn turns_run_out() {
    let spec = spec(tagged(), turns(2));
    let step = "<execute>x</execute>";
    check(
        &spec,
        &[step],
        "sample 0, run x, persist 0, sample 1, run x, persist 1",
        StopReason::TurnLimit,
        0.0,
    );
    let final_answer = FinalAnswer::ExtraTurn { tokens_max: 100 };
    let extra = RolloutSpec { budget: Budget { final_answer, ..turns(1) }, ..spec };
    check(
        &extra,
        &[step, "<solution>right</solution>"],
        "sample 0, run x, persist 0, sample 1, judge right, persist 1",
        StopReason::Answered,
        1.0,
    );
    check(
        &extra,
        &[step, "<execute>right</execute>"],
        "sample 0, run x, persist 0, sample 1, judge right, persist 1",
        StopReason::Answered,
        1.0,
    );
    check(
        &extra,
        &[step, "hm"],
        "sample 0, run x, persist 0, sample 1, persist 1",
        StopReason::TurnLimit,
        0.0,
    );
}

#[test]
fn tokens_run_out() {
    let budget = Budget { completion_tokens_max: 100, turn_tokens_max: 80, ..turns(9) };
    let script = [counted("```python\nright\n```", 10, 70), counted("hm", 100, 30)];
    let mut rollout = RolloutLoop::new(spec(EnvironmentConfig { ..fenced() }, budget));
    let run = drive(&mut rollout, &script, Duration::ZERO);
    assert_eq!(run.asked.join(", "), "sample 0, run right, persist 0, sample 1, judge right, persist 1");

    let cut_off =
        Completion { finish: rollcage_rollout::FinishReason::Length, ..counted("```python\nx", 100, 30) };
    let mut rollout = RolloutLoop::new(spec(fenced(), budget));
    let run = drive(&mut rollout, &[script[0].clone(), cut_off], Duration::ZERO);
    assert_eq!(run.asked.join(", "), "sample 0, run right, persist 0, sample 1, persist 1, judge right");
    assert_eq!(run.trajectory.stop, StopReason::TokenLimit);
    assert_eq!(run.trajectory.reward.total().map(Reward::value), Some(1.0));
}

#[test]
fn void_turns_are_explained_and_counted() {
    let budget = Budget { void_turns_max: count(2), ..turns(9) };
    check(
        &spec(tagged(), budget),
        &["hm"],
        "sample 0, persist 0, sample 1, persist 1",
        StopReason::VoidTurns,
        0.0,
    );
    let mut rollout = RolloutLoop::new(spec(tagged(), budget));
    let run = drive(
        &mut rollout,
        &[Completion::text("hm"), Completion::text("<solution>right</solution>")],
        Duration::ZERO,
    );
    assert_eq!(
        run.stored[0].observation[0].content,
        "Nothing was done: neither code nor a final answer was found. Write code between <execute> and </execute>, \
         and the final answer between <solution> and </solution>."
    );
    assert!(run.trajectory.has_void_turn());
}

#[test]
fn several_answers_with_feedback() {
    let mut environment = EnvironmentConfig { answers_max: count(2), ..tagged() };
    environment.observation.feedback = Feedback::Verdict;
    let budget = Budget { reminders: Reminders::EveryTurn, ..turns(9) };
    let spec = spec(environment, budget);
    let wrong = "<solution>wrong</solution>";
    check(
        &spec,
        &[wrong, "<solution>right</solution>"],
        "sample 0, judge wrong, persist 0, sample 1, judge right, persist 1",
        StopReason::Answered,
        1.0,
    );
    check(
        &spec,
        &[wrong],
        "sample 0, judge wrong, persist 0, sample 1, judge wrong, persist 1",
        StopReason::Answered,
        0.0,
    );
    let run = drive(&mut RolloutLoop::new(spec), &[Completion::text(wrong)], Duration::ZERO);
    assert_eq!(
        run.stored[0].observation[0].content,
        "The answer was judged: wrong_answer.\n1 answer left.\n8 turns left."
    );
    assert!(run.stored[1].observation.is_empty());
}

#[test]
fn every_action_is_judged_and_the_best_counts() {
    let environment = EnvironmentConfig {
        code_means: CodeMeans::Answer,
        answers_max: NonZeroU32::MAX,
        counted: CountedAnswer::Best,
        dialect: Dialect {
            answer: AnswerRule::Command("submit".to_owned()),
            give_up: Some("skip".to_owned()),
            ..Dialect::fenced(["bash"])
        },
        ..fenced()
    };
    let spec = spec(environment, turns(3));
    let code = |text: &str| format!("```bash\n{text}\n```");
    let script = [code("a"), code("right")];
    check(
        &spec,
        &[&script[0], &script[1]],
        "sample 0, judge a, persist 0, sample 1, judge right, persist 1",
        StopReason::Answered,
        1.0,
    );
    check(
        &spec,
        &[&script[0], "skip"],
        "sample 0, judge a, persist 0, sample 1, persist 1",
        StopReason::PolicyStopped,
        0.0,
    );
}

/// The trajectory that the last of `actions` hands over.
fn finish_of(actions: &[Action]) -> &Trajectory {
    let trajectory = match actions.last() {
        Some(Action::Finish(trajectory)) => Some(trajectory),
        Some(_) | None => None,
    };
    trajectory.expect("the loop has finished")
}

/// The ticket of the request that the last of `actions` makes.
fn ticket_of(actions: &[Action]) -> Ticket {
    let ticket = match actions.last() {
        Some(Action::Sample(request)) => Some(request.ticket),
        Some(Action::RunCell(request)) => Some(request.ticket),
        Some(Action::Judge(request)) => Some(request.ticket),
        Some(_) | None => None,
    };
    ticket.expect("the loop waits for an answer")
}

const NOW: Duration = Duration::from_secs(100);

#[test]
fn a_busy_server_is_asked_again_later_with_the_same_seed() {
    let retries = Retries { policy_attempts_max: count(2), ..Retries::default() };
    let mut rollout = RolloutLoop::new(RolloutSpec { retries, ..spec(tagged(), turns(3)) });
    let failure = |kind| PolicyFailure { kind, reason: "503".to_owned() };
    let first = rollout.on_event(NOW, Event::Started);
    let Some(Action::Sample(request)) = first.last() else { panic!("{first:?}") };
    let busy = Event::PolicyFailed { ticket: request.ticket, failure: failure(PolicyFailureKind::Transient) };
    let again = rollout.on_event(NOW, busy.clone());
    let [Action::Sample(second)] = again.as_slice() else { panic!("{again:?}") };
    assert_eq!((second.seed, &second.messages), (request.seed, &request.messages));
    assert_eq!(second.not_before, NOW + Duration::from_millis(500));
    assert_eq!(rollout.on_event(NOW, busy), [], "a late answer to the first request");
    let last = Event::PolicyFailed { ticket: second.ticket, failure: failure(PolicyFailureKind::Transient) };
    let actions = rollout.on_event(NOW, last);
    let end = finish_of(&actions);
    assert_eq!(
        (end.stop, end.failure.as_deref(), end.reward.total()),
        (StopReason::PolicyFailed, Some("503"), None)
    );
}

#[test]
fn a_full_window_reported_by_the_server_is_the_context_limit() {
    let mut rollout = RolloutLoop::new(spec(tagged(), turns(3)));
    let ticket = ticket_of(&rollout.on_event(NOW, Event::Started));
    let failure = PolicyFailure { kind: PolicyFailureKind::ContextLimit, reason: "too long".to_owned() };
    let actions = rollout.on_event(NOW, Event::PolicyFailed { ticket, failure });
    assert_eq!(finish_of(&actions).stop, StopReason::ContextLimit);
}

#[test]
fn our_failures_end_without_a_reward() {
    let mut rollout = RolloutLoop::new(spec(tagged(), turns(3)));
    let ticket = ticket_of(&rollout.on_event(NOW, Event::Started));
    let completion = Completion::text("<execute>x</execute>");
    let ticket = ticket_of(&rollout.on_event(NOW, Event::Completion { ticket, completion }));
    let result = Err(CellFailure { reason: "session lost".to_owned() });
    let actions = rollout.on_event(NOW, Event::CellFinished { ticket, result });
    let end = finish_of(&actions);
    assert_eq!((end.stop, end.turns.len(), end.reward.total()), (StopReason::Infrastructure, 0, None));
    assert!(rollout.is_finished());
    assert_eq!(rollout.on_event(NOW, Event::Cancel), []);
}

#[test]
fn judging_is_repeated_only_where_that_may_help() {
    let check = |unscorable: Unscorable, requests: u32, stop: StopReason, turns_kept: usize| {
        let mut rollout = RolloutLoop::new(spec(tagged(), turns(3)));
        let ticket = ticket_of(&rollout.on_event(NOW, Event::Started));
        let completion = Completion::text("<solution>x</solution>");
        let mut actions = rollout.on_event(NOW, Event::Completion { ticket, completion });
        let mut asked = 0;
        while let Some(Action::Judge(request)) = actions.last() {
            asked += 1;
            let judged = JudgedAnswer::Unscorable(unscorable.clone());
            actions = rollout.on_event(NOW, Event::Judged { ticket: request.ticket, judged });
        }
        if let Some(Action::Persist(turn)) = actions.last() {
            actions = rollout.on_event(NOW, Event::Persisted { turn: turn.index });
        }
        let end = finish_of(&actions);
        assert_eq!(
            (asked, end.stop, end.turns.len(), end.reward.total()),
            (requests, stop, turns_kept, None)
        );
    };
    check(Unscorable::infrastructure("full", true), 3, StopReason::Infrastructure, 0);
    check(Unscorable::infrastructure("full", false), 1, StopReason::Infrastructure, 0);
    check(Unscorable::problem("no tests"), 1, StopReason::Answered, 1);
}

#[test]
fn the_clock_stops_sampling_and_running_but_not_judging() {
    let budget = Budget { wall_time: Duration::from_secs(60), ..turns(9) };
    let late = NOW + Duration::from_secs(60);
    let mut rollout = RolloutLoop::new(spec(fenced(), budget));
    let actions = rollout.on_event(NOW, Event::Started);
    assert_eq!(actions[0], Action::ScheduleDeadline { at: late });
    let ticket = ticket_of(&actions);
    assert_eq!(rollout.on_event(NOW, Event::Deadline), [Action::ScheduleDeadline { at: late }], "too early");
    let completion = Completion::text("```python\nright\n```");
    let ticket = ticket_of(&rollout.on_event(NOW, Event::Completion { ticket, completion }));
    let cell = Event::CellFinished { ticket, result: Ok(run_cell("right")) };
    assert!(matches!(rollout.on_event(NOW, cell).as_slice(), [Action::Persist(_)]));
    let ticket = ticket_of(&rollout.on_event(NOW, Event::Persisted { turn: 0 }));
    let actions = rollout.on_event(late, Event::Deadline);
    assert_eq!(actions[0], Action::Abandon { ticket });
    let ticket = ticket_of(&actions);
    assert_eq!(rollout.on_event(late, Event::Deadline), [], "the last code is being judged");
    let actions = rollout.on_event(late, Event::Judged { ticket, judged: judge("right") });
    let end = finish_of(&actions);
    assert_eq!((end.stop, end.reward.total().map(Reward::value)), (StopReason::WallTime, Some(1.0)));
}

#[test]
fn cancelling_waits_for_a_turn_on_its_way_to_the_store() {
    let mut rollout = RolloutLoop::new(spec(tagged(), turns(3)));
    let ticket = ticket_of(&rollout.on_event(NOW, Event::Started));
    let persist = rollout.on_event(NOW, Event::Completion { ticket, completion: Completion::text("hm") });
    assert!(matches!(persist.as_slice(), [Action::Persist(_)]));
    assert_eq!(rollout.on_event(NOW, Event::Cancel), []);
    let actions = rollout.on_event(NOW, Event::Persisted { turn: 0 });
    let end = finish_of(&actions);
    assert_eq!((end.stop, end.turns.len(), end.reward.total()), (StopReason::Cancelled, 1, None));
}

#[test]
fn a_turn_that_cannot_be_stored_is_not_part_of_the_trajectory() {
    let mut rollout = RolloutLoop::new(spec(tagged(), turns(3)));
    let ticket = ticket_of(&rollout.on_event(NOW, Event::Started));
    let completion = Completion::text("<solution>right</solution>");
    let ticket = ticket_of(&rollout.on_event(NOW, Event::Completion { ticket, completion }));
    rollout.on_event(NOW, Event::Judged { ticket, judged: judge("right") });
    let actions = rollout.on_event(NOW, Event::Failed { reason: "disk full".to_owned() });
    let end = finish_of(&actions);
    assert_eq!((end.turns.len(), &end.judged, end.reward.total()), (0, &None, None));
}

#[test]
fn a_resumed_session_runs_the_stored_cells_again() {
    let spec = spec(tagged(), turns(4));
    let script: Vec<_> = ["<execute>x</execute>", "hm", "<execute>y</execute>", "<solution>right</solution>"]
        .map(Completion::text)
        .into();
    let run = drive(&mut RolloutLoop::new(spec.clone()), &script, Duration::ZERO);
    let resumed = RolloutLoop::resume(spec.clone(), run.stored[..3].to_vec()).unwrap();
    assert_eq!(resumed.cells().collect::<Vec<_>>(), [("x", None), ("y", None)]);
    let error = RolloutLoop::resume(spec, run.stored[1..].to_vec()).unwrap_err();
    assert_eq!((error.expected, error.found), (0, 1));
    assert!(matches!(run.stored[1].outcome, TurnOutcome::Void { .. }));
}
