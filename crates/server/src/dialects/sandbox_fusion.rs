//! SandboxFusion's `POST /run_code` and `GET /v1/ping`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use rollcage_api::dialects::sandbox_fusion::{FAILURE_STATUS, Offer, PONG, RunCodeReply, RunCodeRequest};
use rollcage_api::dialects::{Cancelled, ValidationReply};
use rollcage_api::http::ErrorCode;

use super::{executed, failed, languages, senseless, told};
use crate::app::App;
use crate::refusal::{Refusal, json};

/// Why there is no reply.
enum Unmet {
    Senseless(ValidationReply),
    Refused(Refusal),
}

pub(crate) async fn ping() -> Response {
    json(&PONG)
}

pub(crate) async fn run_code(State(app): State<Arc<App>>, request: Request) -> Response {
    match reply(&app, request).await {
        Ok(reply) => json(&reply),
        Err(Unmet::Senseless(reply)) => senseless(&reply),
        Err(Unmet::Refused(refusal)) => refused(refusal),
    }
}

async fn reply(app: &App, request: Request) -> Result<RunCodeReply, Unmet> {
    let body = app.bodies.read_bytes(request).await?;
    let languages = languages(app);
    let offer = Offer { languages: &languages, time_max: app.limits.time, memory_max: app.limits.memory };
    let RunCodeRequest { order, fetched } = RunCodeRequest::read(&body.value, &offer)?;
    let _turn = app.turn().await?;
    let executed = executed(app, order).await?;
    Ok(RunCodeReply::new(&fetched, told(&executed))?)
}

/// What is wrong with the request is said as such; all else is a failure of ours.
fn refused(refusal: Refusal) -> Response {
    let field = match refusal.code {
        // All that can be wrong when the fields are right: files that cannot lie beside each other, or do not fit.
        ErrorCode::BadRequest => "files",
        ErrorCode::UnknownLanguage | ErrorCode::MissingToolchain => "language",
        ErrorCode::Unauthorized
        | ErrorCode::NotFound
        | ErrorCode::MethodNotAllowed
        | ErrorCode::TooLarge
        | ErrorCode::UnsupportedMediaType => return failed(refusal.code.status(), refusal),
        ErrorCode::RequestTimeout
        | ErrorCode::QueueFull
        | ErrorCode::Infrastructure
        | ErrorCode::Draining
        | ErrorCode::QueueDeadline => return failed(FAILURE_STATUS, refusal),
    };
    let mut response = senseless(&ValidationReply::found([field.into()], &refusal.message));
    response.extensions_mut().insert(refusal.code);
    response
}

impl From<Refusal> for Unmet {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ValidationReply> for Unmet {
    fn from(reply: ValidationReply) -> Self {
        Self::Senseless(reply)
    }
}

impl From<Cancelled> for Unmet {
    fn from(cancelled: Cancelled) -> Self {
        Self::Refused(Refusal::new(ErrorCode::Infrastructure, cancelled.to_string()))
    }
}
