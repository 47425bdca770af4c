//! `POST /v1/judge`.

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use rollcage_api::http::{JudgeBody, JudgeOrder, JudgedReply, SolutionText};
use rollcage_engine::drive;
use rollcage_judge::{JudgeOptions, Judgement, StopRule};
use rollcage_rollout::{ExtractionRule, NoCode, Pick};

use crate::app::App;
use crate::refusal::{Refusal, json};
use rollcage_language::Language;

pub(crate) async fn judge(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let read = app.bodies.read::<JudgeBody>(request).await?;
    let (order, stop) = read.value.into_order()?;
    app.limits.check("problem.limits", &order.problem.limits)?;
    let _turn = app.turn().await?;
    let language = app.language(&order.language).await.map_err(|refusal| refusal.within("language"))?;
    // Whoever waits for one judgement waits for its slowest case, so cases share the processors.
    let parallel = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(json(&judged(&app, None, order, &language, options(stop, parallel)).await))
}

/// How a solution is judged for a client.
pub(crate) fn options(stop: StopRule, parallel: NonZeroUsize) -> JudgeOptions {
    JudgeOptions { stop, parallel, ..JudgeOptions::default() }
}

/// Judges one solution, and counts what came of it.
pub(crate) async fn judged(
    app: &App,
    index: Option<usize>,
    order: JudgeOrder,
    language: &Arc<Language>,
    options: JudgeOptions,
) -> JudgedReply {
    let JudgeOrder { id, language: _, problem, text } = order;
    let judgement = match program_in(text, language) {
        Err(why) => JudgedReply::no_program(&why),
        Ok(solution) => {
            let judged = drive::judge(&app.engine, &problem, language, &solution, options).await;
            judged.judgement
        }
    };
    reply(app, index, id, language, &judgement)
}

fn reply(
    app: &App,
    index: Option<usize>,
    id: Option<String>,
    language: &Language,
    judgement: &Judgement,
) -> JudgedReply {
    app.metrics.judged(judgement);
    JudgedReply::new(index, id, &language.name, judgement)
}

fn program_in(text: SolutionText, language: &Language) -> Result<String, NoCode> {
    match text {
        SolutionText::Whole(text) | SolutionText::Completion(text) => Ok(text),
        SolutionText::Answer(text) => {
            let names: Vec<&str> = language.names().collect();
            ExtractionRule::Fenced(Pick::Last).extract(&text, &names, false)
        }
    }
}
