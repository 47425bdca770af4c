//! code-judge's `/run` and `/judge`, alone and in batches; `/ping` and `/status`.
//!
//! Once a body makes sense each submission has a result, whatever becomes of it: a batch in which one cage failed still
//! has the results of the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use rollcage_api::dialects::code_judge::{
    BatchResult, BatchSubmission, JudgeResult, PONG, Reason, RunResult, StatusReply, Submission,
};
use rollcage_api::dialects::{Location, ValidationReply};
use rollcage_api::http::ErrorCode;
use serde::Serialize;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{executed, failed, languages, senseless, told};
use crate::admission::Turn;
use crate::app::App;
use crate::refusal::{Refusal, json};

pub(crate) async fn ping() -> Response {
    json(&PONG)
}

pub(crate) async fn status(State(app): State<Arc<App>>) -> Response {
    json(&StatusReply { queue: app.admission.queued(), num_workers: app.engine.host().slots() })
}

pub(crate) async fn run(State(app): State<Arc<App>>, request: Request) -> Response {
    one(app, request, |result| result).await
}

pub(crate) async fn judge(State(app): State<Arc<App>>, request: Request) -> Response {
    one(app, request, JudgeResult::from).await
}

pub(crate) async fn run_batch(State(app): State<Arc<App>>, request: Request) -> Response {
    batch(app, request, |result| result).await
}

pub(crate) async fn judge_batch(State(app): State<Arc<App>>, request: Request) -> Response {
    batch(app, request, JudgeResult::from).await
}

async fn one<T: Serialize>(app: Arc<App>, request: Request, form: fn(RunResult) -> T) -> Response {
    let body = match app.bodies.read_bytes(request).await {
        Ok(body) => body,
        Err(refusal) => return failed(refusal.code.status(), refusal),
    };
    let submission = match Submission::read(&body.value, &languages(&app)) {
        Ok(submission) => submission,
        Err(reply) => return senseless(&reply),
    };
    match results(&app, vec![submission]).await {
        Ok(mut results) => json(&form(results.remove(0))),
        Err(missing) => missing.into_response(|_first| vec!["type".into()]),
    }
}

async fn batch<T: Serialize>(app: Arc<App>, request: Request, form: fn(RunResult) -> T) -> Response {
    let body = match app.bodies.read_bytes(request).await {
        Ok(body) => body,
        Err(refusal) => return failed(refusal.code.status(), refusal),
    };
    let BatchSubmission { sub_id, submissions } = match BatchSubmission::read(&body.value, &languages(&app)) {
        Ok(batch) => batch,
        Err(reply) => return senseless(&reply),
    };
    match results(&app, submissions).await {
        Ok(results) => {
            let results = results.into_iter().map(form).collect();
            json(&BatchResult { sub_id: sub_id.unwrap_or_else(new_id), results })
        }
        Err(missing) => {
            missing.into_response(|first| vec!["submissions".into(), first.into(), "type".into()])
        }
    }
}

/// The first submission in a language without a toolchain.
struct MissingToolchain {
    first: usize,
    refusal: Refusal,
}

impl MissingToolchain {
    fn into_response(self, place: fn(usize) -> Vec<Location>) -> Response {
        let Self { first, refusal } = self;
        let reply = ValidationReply::found(place(first), &refusal.message);
        let mut response = senseless(&reply).into_response();
        response.extensions_mut().insert(refusal.code);
        response
    }
}

/// One result for each submission, in their order.
async fn results(app: &Arc<App>, submissions: Vec<Submission>) -> Result<Vec<RunResult>, MissingToolchain> {
    let ids: Vec<String> = submissions.iter().map(|s| s.sub_id.clone().unwrap_or_else(new_id)).collect();
    let none_ran = |refusal: &Refusal| {
        tracing::warn!(submissions = ids.len(), error = %refusal, "no submission was run");
        ids.iter().map(|id| RunResult::not_run(id.clone(), Reason::QueueTimeout)).collect()
    };
    let turn = match app.turn().await {
        Ok(turn) => turn,
        Err(refusal) => return Ok(none_ran(&refusal)),
    };
    let mut asked = BTreeSet::new();
    for (first, submission) in submissions.iter().enumerate() {
        if !asked.insert(submission.language.as_str()) {
            continue;
        }
        match app.language(&submission.language).await {
            Ok(_present) => {}
            Err(refusal) if refusal.code == ErrorCode::MissingToolchain => {
                return Err(MissingToolchain { first, refusal });
            }
            Err(refusal) => return Ok(none_ran(&refusal)),
        }
    }
    Ok(run_all(app, turn, ids, submissions).await)
}

/// Runs all, as many at once as may have a turn; `turn` is the first's.
async fn run_all(
    app: &Arc<App>,
    turn: Turn,
    ids: Vec<String>,
    submissions: Vec<Submission>,
) -> Vec<RunResult> {
    let mut results: Vec<Option<RunResult>> = vec![None; ids.len()];
    let mut waiting = ids.into_iter().zip(submissions).enumerate();
    let mut first_turn = Some(turn);
    let mut in_work = JoinSet::new();
    loop {
        while in_work.len() < app.admission.turns() {
            let Some((index, (id, submission))) = waiting.next() else { break };
            let (app, turn) = (Arc::clone(app), first_turn.take());
            in_work.spawn(async move {
                let _turn = match turn {
                    Some(turn) => turn,
                    None => app.admission.enter_again().await,
                };
                (index, result(&app, id, &submission).await)
            });
        }
        match in_work.join_next().await {
            None => return results.into_iter().map(|result| result.expect("each has been run")).collect(),
            Some(Ok((index, result))) => results[index] = Some(result),
            Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
}

/// Runs one. A failure of ours is a result that the client takes for a submission that nobody has looked at.
async fn result(app: &App, id: String, submission: &Submission) -> RunResult {
    let order = match submission.order() {
        Ok(order) => order,
        Err(reason) => return RunResult::not_run(id, reason),
    };
    let refusal = match executed(app, order).await {
        Ok(executed) => match RunResult::new(id.clone(), submission, told(&executed)) {
            Ok(result) => return result,
            Err(cancelled) => Refusal::new(ErrorCode::Infrastructure, cancelled.to_string()),
        },
        Err(refusal) => refusal,
    };
    tracing::warn!(submission = %id, error = %refusal, "a submission was not run");
    app.metrics.refused(refusal.code);
    let reason = match refusal.code {
        // A program that fits no cage.
        ErrorCode::BadRequest => Reason::InvalidInput,
        ErrorCode::Unauthorized
        | ErrorCode::NotFound
        | ErrorCode::MethodNotAllowed
        | ErrorCode::RequestTimeout
        | ErrorCode::TooLarge
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::UnknownLanguage
        | ErrorCode::MissingToolchain
        | ErrorCode::QueueFull
        | ErrorCode::Infrastructure
        | ErrorCode::Draining
        | ErrorCode::QueueDeadline => Reason::QueueTimeout,
    };
    RunResult::not_run(id, reason)
}

fn new_id() -> String {
    Uuid::now_v7().to_string()
}
