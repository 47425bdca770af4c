//! What holds of the loop whatever the policy says and whatever happens.

use std::time::Duration;

use crate::driver::{called, count, counted, drive, fenced, judge, run_cell, spec, tagged};
use proptest::prelude::*;
use rollcage_judge::Unscorable;
use rollcage_rollout::{
    Action, Budget, CellFailure, Completion, EnvironmentConfig, Event, FinalAnswer, FinishReason,
    JudgedAnswer, PolicyFailure, PolicyFailureKind, RolloutLoop, Ticket, ToolCall, ToolFailure, ToolResult,
};

fn completions() -> impl Strategy<Value = Completion> {
    let texts = prop_oneof![
        Just("<execute>x</execute>"),
        Just("<solution>right</solution>"),
        Just("<solution>wrong</solution>"),
        Just("```python\nx\n```"),
        Just("```python\nright\n```"),
        Just("```python\nx"),
        Just("nothing"),
        Just(""),
    ];
    let calls = proptest::option::of(prop_oneof![Just("run_code"), Just("search"), Just("find")]);
    (texts, calls, any::<bool>(), 1..400_u32, 1..300_u32).prop_map(
        |(text, call, is_cut_off, prompt, written)| {
            let call = call.map(|name| ToolCall {
                id: "c".to_owned(),
                name: name.to_owned(),
                arguments: r#"{"code": "x"}"#.to_owned(),
            });
            Completion {
                tool_calls: call.into_iter().collect(),
                finish: if is_cut_off { FinishReason::Length } else { FinishReason::Stop },
                ..counted(text, prompt, written)
            }
        },
    )
}

fn budgets() -> impl Strategy<Value = Budget> {
    (1..6_u32, 1..1200_u32, 1..4_u32, 1..30_u64, proptest::option::of(1..50_u32)).prop_map(
        |(turns, tokens, voids, seconds, extra)| Budget {
            turns_max: count(turns),
            completion_tokens_max: tokens,
            context_tokens_max: 600,
            wall_time: Duration::from_secs(seconds),
            void_turns_max: count(voids),
            final_answer: extra.map_or(FinalAnswer::None, |tokens_max| FinalAnswer::ExtraTurn { tokens_max }),
            ..Budget::default()
        },
    )
}

fn environments() -> impl Strategy<Value = EnvironmentConfig> {
    let forms = prop_oneof![Just(tagged as fn() -> _), Just(fenced as fn() -> _), Just(called as fn() -> _)];
    (forms, 1..4_u32).prop_map(|(form, answers)| EnvironmentConfig { answers_max: count(answers), ..form() })
}

/// Events as a careless driver might send them: about the open request, an old one, or none.
#[derive(Clone, Debug)]
enum Blow {
    Started,
    Completion { is_open: bool, completion: Completion },
    PolicyFailed { is_open: bool, kind: PolicyFailureKind },
    CellFinished { is_open: bool, is_ok: bool },
    ToolFinished { is_open: bool, is_ok: bool },
    Judged { is_open: bool, judged: u8 },
    Persisted { is_open: bool },
    Deadline,
    Cancel,
    Failed,
}

fn blows() -> impl Strategy<Value = Blow> {
    let kinds = prop_oneof![
        Just(PolicyFailureKind::Transient),
        Just(PolicyFailureKind::Permanent),
        Just(PolicyFailureKind::ContextLimit)
    ];
    let mostly = || prop::bool::weighted(0.8);
    prop_oneof![
        4 => Just(Blow::Started),
        12 => (mostly(), completions()).prop_map(|(is_open, completion)| Blow::Completion { is_open, completion }),
        2 => (mostly(), kinds).prop_map(|(is_open, kind)| Blow::PolicyFailed { is_open, kind }),
        8 => (mostly(), mostly()).prop_map(|(is_open, is_ok)| Blow::CellFinished { is_open, is_ok }),
        4 => (mostly(), mostly()).prop_map(|(is_open, is_ok)| Blow::ToolFinished { is_open, is_ok }),
        8 => (mostly(), 0..4_u8).prop_map(|(is_open, judged)| Blow::Judged { is_open, judged }),
        12 => mostly().prop_map(|is_open| Blow::Persisted { is_open }),
        2 => Just(Blow::Deadline),
        1 => Just(Blow::Cancel),
        1 => Just(Blow::Failed),
    ]
}

/// Turns a blow into an event, given the newest ticket and an older one.
fn event(blow: Blow, tickets: &[Ticket], turn: u32) -> Option<Event> {
    let newest = tickets.last().copied();
    let ticket = |is_open: bool| if is_open { newest } else { tickets.first().copied() };
    Some(match blow {
        Blow::Started => Event::Started,
        Blow::Completion { is_open, completion } => {
            Event::Completion { ticket: ticket(is_open)?, completion }
        }
        Blow::PolicyFailed { is_open, kind } => {
            let failure = PolicyFailure { kind, reason: "failed".to_owned() };
            Event::PolicyFailed { ticket: ticket(is_open)?, failure }
        }
        Blow::CellFinished { is_open, is_ok } => {
            let failure = || CellFailure { reason: "failed".to_owned() };
            let result = if is_ok { Ok(run_cell("x")) } else { Err(failure()) };
            Event::CellFinished { ticket: ticket(is_open)?, result }
        }
        Blow::ToolFinished { is_open, is_ok } => {
            let failure = || ToolFailure { reason: "failed".to_owned() };
            let result = if is_ok { Ok(ToolResult::default()) } else { Err(failure()) };
            Event::ToolFinished { ticket: ticket(is_open)?, result }
        }
        Blow::Judged { is_open, judged } => {
            let judged = match judged {
                0 => judge("right"),
                1 => JudgedAnswer::Unscorable(Unscorable::infrastructure("busy", true)),
                2 => JudgedAnswer::Unscorable(Unscorable::problem("no tests")),
                _ => judge("wrong"),
            };
            Event::Judged { ticket: ticket(is_open)?, judged }
        }
        Blow::Persisted { is_open } => Event::Persisted { turn: if is_open { turn } else { turn + 1 } },
        Blow::Deadline => Event::Deadline,
        Blow::Cancel => Event::Cancel,
        Blow::Failed => Event::Failed { reason: "failed".to_owned() },
    })
}

fn ticket(action: &Action) -> Option<Ticket> {
    match action {
        Action::Sample(request) => Some(request.ticket),
        Action::RunCell(request) => Some(request.ticket),
        Action::CallTool(request) => Some(request.ticket),
        Action::Judge(request) => Some(request.ticket),
        Action::Persist(_) | Action::ScheduleDeadline { .. } | Action::Abandon { .. } | Action::Finish(_) => {
            None
        }
    }
}

proptest! {
    /// Any events in any order: no panic, one open request at a time, durable turns only, and one end.
    #[test]
    fn any_order_of_events_is_survived(
        environment in environments(),
        budget in budgets(),
        blows in proptest::collection::vec((blows(), 0..3_u64), 1..80),
    ) {
        let turns_granted = budget.turns_max.get()
            + match budget.final_answer { FinalAnswer::None => 0, FinalAnswer::ExtraTurn { .. } => 1 };
        let mut rollout = RolloutLoop::new(spec(environment, budget));
        let (mut now, mut tickets, mut stored) = (Duration::ZERO, Vec::new(), 0);
        let mut waiting_for_store = None;
        let mut is_finished = false;
        for (blow, seconds) in blows {
            now += Duration::from_secs(seconds);
            let Some(event) = event(blow, &tickets, stored) else { continue };
            if let (Event::Persisted { turn }, Some(waiting)) = (&event, waiting_for_store)
                && *turn == waiting
            {
                waiting_for_store = None;
                stored += 1;
            }
            let actions = rollout.on_event(now, event);
            prop_assert!(!is_finished || actions.is_empty(), "after the end: {:?}", actions);
            let requests = actions.iter().filter_map(ticket).count();
            prop_assert!(requests <= 1);
            for action in &actions {
                prop_assert!(ticket(action).is_none() || waiting_for_store.is_none(), "{:?} too early", action);
                match action {
                    Action::Persist(turn) => {
                        prop_assert_eq!(turn.index, stored);
                        prop_assert!(turn.index < turns_granted);
                        waiting_for_store = Some(turn.index);
                    }
                    Action::Sample(request) => {
                        prop_assert_eq!(request.turn, stored);
                        prop_assert!(request.turn < turns_granted);
                        prop_assert!(request.tokens_max > 0);
                    }
                    Action::Finish(trajectory) => {
                        is_finished = true;
                        prop_assert_eq!(trajectory.turns.len(), stored as usize);
                        prop_assert_eq!(Some(action), actions.last());
                    }
                    Action::RunCell(_) | Action::CallTool(_) | Action::Judge(_) | Action::ScheduleDeadline { .. } | Action::Abandon { .. } => {}
                }
            }
            prop_assert_eq!(rollout.is_finished(), is_finished);
            tickets.extend(actions.iter().filter_map(ticket));
        }
    }

    /// Stopping after any stored turn and going on later comes to the same trajectory.
    #[test]
    fn resuming_changes_nothing(
        environment in environments(),
        budget in budgets(),
        script in proptest::collection::vec(completions(), 1..7),
        pause in 0..10_000_u64,
    ) {
        let spec = spec(environment, budget);
        let whole = drive(&mut RolloutLoop::new(spec.clone()), &script, Duration::ZERO);
        for kept in 0..=whole.stored.len() {
            let mut resumed = RolloutLoop::resume(spec.clone(), whole.stored[..kept].to_vec()).unwrap();
            let rest = drive(&mut resumed, &script, Duration::from_secs(pause));
            prop_assert_eq!(&rest.trajectory, &whole.trajectory, "resumed after {} turns", kept);
            prop_assert_eq!(rest.stored.as_slice(), &whole.stored[kept..]);
            let asked_after: Vec<_> = whole.asked[whole.asked.len() - rest.asked.len()..].to_vec();
            prop_assert_eq!(rest.asked, asked_after);
        }
    }
}
