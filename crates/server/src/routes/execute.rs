//! `POST /v1/execute`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use rollcage_api::http::{BodyError, ExecuteBody, ExecuteOrder, ExecuteReply};
use rollcage_engine::drive::{Executed, Program, Spent};

use crate::app::App;
use crate::refusal::{Refusal, json};

pub(crate) async fn execute(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let read = app.bodies.read::<ExecuteBody>(request).await?;
    let order = read.value.into_order()?;
    app.limits.check("limits", &order.limits)?;
    let turn = app.turn().await?;
    let program = program(&app, order).await?;
    let (executed, spent) = run(&app, &program).await?;
    let queue_ms = (turn.waited + spent.queue).as_secs_f64() * 1000.0;
    let reply = match &executed {
        Executed::CompileFailed(compile) => ExecuteReply::compile_failed(compile, queue_ms),
        Executed::Ran { compile, run } => ExecuteReply::ran(compile.as_deref(), run, queue_ms),
    };
    Ok(json(&reply))
}

/// Runs `program`, and counts how it ended.
pub(crate) async fn run(app: &App, program: &Program) -> Result<(Executed, Spent), Refusal> {
    let cages = app.engine.cages(&program.language).await?;
    let (executed, spent) = rollcage_engine::drive::execute(&cages, program).await?;
    app.metrics.ran(match &executed {
        Executed::CompileFailed(outcome) => outcome.termination,
        Executed::Ran { run, .. } => run.termination,
    });
    Ok((executed, spent))
}

async fn program(app: &App, order: ExecuteOrder) -> Result<Program, Refusal> {
    let ExecuteOrder { language, code, stdin, args, files, limits, collect } = order;
    let language = app.language(&language).await.map_err(|refusal| refusal.within("language"))?;
    if !args.is_empty() && !language.takes_arguments() {
        let problem =
            format!("programs in {} are run by a shell line, which passes none on", language.display);
        return Err(BodyError::new("args", problem).into());
    }
    Ok(Program { stdin, args, files, limits, collect, ..Program::new(language, code) })
}
