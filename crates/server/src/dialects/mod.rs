//! Routes that speak the wires of other services.
//!
//! Owns how a refusal is told in each dialect. Leaves what bodies mean, and how ends are told, to
//! `rollcage_api::dialects`, and running to the routes of our own wire.

pub(crate) mod code_judge;
pub(crate) mod sandbox_fusion;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rollcage_api::dialects::sandbox_fusion::FailureReply;
use rollcage_api::dialects::{self, Order, ValidationReply};
use rollcage_engine::drive::{Executed, Program};
use rollcage_types::CapturePlan;

use crate::app::App;
use crate::refusal::{Refusal, json};
use crate::routes::execute::run;

/// Compiles and runs what was ordered. All output that the limit on output lets pass is kept: clients compare it.
async fn executed(app: &App, order: Order) -> Result<Executed, Refusal> {
    let Order { language, code, stdin, files, limits, compile_limits, collect } = order;
    let language = app.language(&language).await?;
    let capture = CapturePlan { head: language.run_limits(&limits).output, ..CapturePlan::default() };
    let program =
        Program { stdin, files, limits, compile_limits, capture, collect, ..Program::new(language, code) };
    let (executed, _spent) = run(app, &program).await?;
    Ok(executed)
}

/// The same for the dialects, which do not know the engine.
fn told(executed: &Executed) -> dialects::Executed<'_> {
    match executed {
        Executed::CompileFailed(compile) => dialects::Executed::CompileFailed(compile),
        Executed::Ran { compile, run } => dialects::Executed::Ran { compile: compile.as_deref(), run },
    }
}

/// Our names of all languages, present or not: whether a toolchain is there is asked of those that are named.
fn languages(app: &App) -> Vec<&str> {
    app.engine.languages().iter().map(|language| language.name.as_str()).collect()
}

fn senseless(reply: &ValidationReply) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, json(reply)).into_response()
}

/// A refusal with a status of its own, in the form that both dialects have for exceptions.
fn failed(status: u16, refusal: Refusal) -> Response {
    let Refusal { code, message, hint, retryable: _, retry_after } = refusal;
    let detail = match hint {
        Some(hint) => format!("{message} (hint: {hint})"),
        None => message,
    };
    let status = StatusCode::from_u16(status).expect("statuses are named where this is called");
    let mut response = (status, json(&FailureReply { detail })).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(code);
    response
}
