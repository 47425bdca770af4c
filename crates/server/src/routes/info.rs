//! What the server says of itself: health, languages, counters, the OpenAPI document.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rollcage_api::http::{HealthReply, HealthStatus, LanguageReply, LanguagesReply, openapi_document};
use tokio::task::JoinSet;

use crate::app::App;
use crate::refusal::{Refusal, json};

/// The content type of the OpenMetrics text format 1.0.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Our version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let (status, code) = match app.is_draining() {
        false => (HealthStatus::Ok, StatusCode::OK),
        true => (HealthStatus::Draining, StatusCode::SERVICE_UNAVAILABLE),
    };
    let host = app.engine.host();
    let reply = HealthReply {
        status,
        slots: host.slots(),
        running: app.admission.running(),
        queued: app.admission.queued(),
        isolation: host.enforcement().level.as_str().to_owned(),
        version: VERSION.to_owned(),
    };
    (code, json(&reply)).into_response()
}

/// Asks each toolchain once for as long as the server lives; a missing one is asked again.
pub(crate) async fn languages(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let _turn = app.turn().await?;
    let mut asked = JoinSet::new();
    for language in app.engine.languages().iter().map(Arc::clone) {
        let engine = app.engine.clone();
        asked.spawn(async move {
            let toolchain = engine.toolchain(&language).await;
            (language, toolchain)
        });
    }
    let mut languages = Vec::new();
    while let Some(joined) = asked.join_next().await {
        let (language, toolchain) = match joined {
            Ok(answer) => answer,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        };
        let (present, version) = match toolchain {
            Ok(toolchain) => (true, Some(toolchain.version.clone()).filter(|version| !version.is_empty())),
            Err(error) if error.is_missing() => (false, None),
            Err(error) => return Err(error.into()),
        };
        languages.push(LanguageReply {
            name: language.name.clone(),
            display: language.display.clone(),
            aliases: language.aliases.clone(),
            present,
            version,
        });
    }
    languages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(json(&LanguagesReply { languages }))
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], app.metrics.encode())
}

pub(crate) async fn openapi() -> Response {
    json(&openapi_document(VERSION))
}
