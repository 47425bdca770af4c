//! What requests share, and which route answers which.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, extract::OriginalUri};
use rollcage_api::http::ErrorCode;
use rollcage_engine::drive::Engine;
use rollcage_language::Language;

use crate::admission::{Admission, Turn};
use crate::body::BodyBudget;
use crate::config::{LimitMaxima, ServerConfig};
use crate::dialects::{code_judge, sandbox_fusion};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::routes::{batch, execute, info, judge};
use crate::token::Token;

/// What requests share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) admission: Arc<Admission>,
    pub(crate) bodies: BodyBudget,
    pub(crate) metrics: Metrics,
    pub(crate) limits: LimitMaxima,
    token: Option<Token>,
    is_draining: AtomicBool,
}

impl App {
    pub(crate) fn new(engine: Engine, config: ServerConfig) -> Arc<Self> {
        let admission = Admission::new(engine.host().slots(), config.queue_max, config.queue_time);
        Arc::new(Self {
            bodies: BodyBudget::new(config.body_max, config.bodies_max, config.stall_time),
            metrics: Metrics::new(&admission, &engine),
            admission,
            engine,
            limits: config.limits,
            token: config.token,
            is_draining: AtomicBool::new(false),
        })
    }

    /// Refuses what comes from now on.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Waits for a turn to run something.
    pub(crate) async fn turn(&self) -> Result<Turn, Refusal> {
        if self.is_draining() {
            return Err(Refusal::new(ErrorCode::Draining, "the server is ending"));
        }
        let entered = self.admission.enter().await;
        let turn = entered.map_err(|why| Refusal::no_turn(why, self.admission.retry_after()))?;
        self.metrics.waited(turn.waited);
        Ok(turn)
    }

    /// The language called `word`, with a toolchain.
    pub(crate) async fn language(&self, word: &str) -> Result<Arc<Language>, Refusal> {
        let language = self.engine.languages().find(word).map_err(Box::new)?;
        self.engine.toolchain(language).await?;
        Ok(Arc::clone(language))
    }
}

/// Every route.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/execute", post(execute::execute))
        .route("/v1/judge", post(judge::judge))
        .route("/v1/judge/batch", post(batch::judge_batch))
        .route("/v1/languages", get(info::languages))
        .route("/metrics", get(info::metrics))
        .route("/openapi.json", get(info::openapi))
        .route("/run_code", post(sandbox_fusion::run_code))
        .route("/v1/ping", get(sandbox_fusion::ping))
        .route("/run", post(code_judge::run))
        .route("/judge", post(code_judge::judge))
        .route("/run/batch", post(code_judge::run_batch))
        .route("/judge/batch", post(code_judge::judge_batch))
        .route("/run/long-batch", post(code_judge::run_batch))
        .route("/judge/long-batch", post(code_judge::judge_batch))
        .route("/ping", get(code_judge::ping))
        .route("/status", get(code_judge::status))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), require_token))
        // Whoever asks whether we are alive has no secrets.
        .route("/health", get(info::health))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), count))
        .with_state(app)
}

async fn require_token(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Some(token) = &app.token {
        let is_right = match request.headers().get(header::AUTHORIZATION) {
            Some(header) => token.is_in(header.as_bytes()),
            None => false,
        };
        if !is_right {
            let refusal = Refusal::new(ErrorCode::Unauthorized, "the token is missing or wrong");
            return refusal.with_hint("send `Authorization: Bearer TOKEN`".to_owned()).into_response();
        }
    }
    next.run(request).await
}

/// Counts a request under its route, so that paths nobody serves do not become names of counters.
async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    app.metrics.answered(route, response.status().as_u16(), began.elapsed());
    if let Some(code) = response.extensions().get::<ErrorCode>() {
        app.metrics.refused(*code);
    }
    response
}

async fn no_such_path(OriginalUri(uri): OriginalUri) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("nothing lies at `{}`", uri.path()))
        .with_hint("/openapi.json lists what does".to_owned())
}

async fn no_such_method(OriginalUri(uri): OriginalUri) -> Refusal {
    Refusal::new(ErrorCode::MethodNotAllowed, format!("`{}` takes another method", uri.path()))
        .with_hint("/openapi.json says which".to_owned())
}
