//! `POST /v1/judge/batch`: many solutions, answered whole or line by line.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use rollcage_api::http::{BatchBody, BatchEnd, BatchReply, BodyError, JudgeOrder, JudgedReply};
use rollcage_judge::{JudgeOptions, StopRule};
use rollcage_language::Language;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::judge::{judged, options};
use crate::admission::Turn;
use crate::app::App;
use crate::refusal::{Refusal, json};

/// More are a mistake, or belong into several requests whose results can be kept one by one.
const ITEMS_MAX: usize = 65_536;

/// Replies that may wait for a client that reads slowly; further solutions wait with them.
const REPLIES_AHEAD: usize = 64;

/// The content type of JSON lines.
const NDJSON: &str = "application/x-ndjson";

/// A batch that was admitted.
struct Batch {
    app: Arc<App>,
    orders: Vec<JudgeOrder>,
    languages: BTreeMap<String, Arc<Language>>,
    options: JudgeOptions,
    turn: Turn,
    /// Held until the last item is judged, because the items hold what was in the body.
    room: OwnedSemaphorePermit,
}

pub(crate) async fn judge_batch(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let streams = accepts.is_some_and(|value| value.contains(NDJSON));
    let read = app.bodies.read::<BatchBody>(request).await?;
    let (orders, stop) = orders(&app, read.value)?;
    let turn = app.turn().await?;
    let mut languages = BTreeMap::new();
    for (at, order) in orders.iter().enumerate() {
        if !languages.contains_key(&order.language) {
            let found = app.language(&order.language).await;
            let language = found.map_err(|refusal| refusal.within(&format!("items[{at}].language")))?;
            languages.insert(order.language.clone(), language);
        }
    }
    // Solutions share the processors, so the cases of each need not.
    let options = options(stop, NonZeroUsize::MIN);
    let batch = Batch { app, orders, languages, options, turn, room: read.room };
    Ok(if streams { batch.stream() } else { batch.whole().await })
}

fn orders(app: &App, body: BatchBody) -> Result<(Vec<JudgeOrder>, StopRule), Refusal> {
    if body.items.len() > ITEMS_MAX {
        let problem = format!("{} items; at most {ITEMS_MAX} go into one request", body.items.len());
        return Err(BodyError::new("items", problem).into());
    }
    let (orders, stop) = body.into_orders()?;
    for (at, order) in orders.iter().enumerate() {
        app.limits.check(&format!("items[{at}].problem.limits"), &order.problem.limits)?;
    }
    Ok((orders, stop))
}

impl Batch {
    async fn whole(self) -> Response {
        let mut results: Vec<Option<JudgedReply>> = vec![None; self.orders.len()];
        let (sender, mut replies) = mpsc::channel::<JudgedReply>(REPLIES_AHEAD);
        let keep = async {
            while let Some(reply) = replies.recv().await {
                let index = reply.index.expect("items of a batch have one");
                results[index] = Some(reply);
            }
        };
        let ((), ()) = tokio::join!(self.judge(sender, |reply| reply), keep);
        json(&BatchReply { results: results.into_iter().flatten().collect() })
    }

    /// The work goes on in a task of its own, which ends when the body of the reply is dropped.
    fn stream(self) -> Response {
        let (sender, lines) = mpsc::channel::<Bytes>(REPLIES_AHEAD);
        tokio::spawn(async move {
            let results = self.orders.len();
            tokio::select! {
                () = self.judge(sender.clone(), |reply| line(&reply)) => {}
                () = sender.closed() => return,
            }
            // A client that has gone needs no end.
            let _unheard = sender.send(line(&BatchEnd { done: true, results })).await;
        });
        let body = Body::from_stream(ReceiverStream::new(lines).map(Ok::<_, Infallible>));
        ([(header::CONTENT_TYPE, NDJSON)], body).into_response()
    }

    /// Judges every item, as many at once as may have a turn, and sends the replies as they come, in `form`, until nobody
    /// listens.
    async fn judge<T>(self, replies: mpsc::Sender<T>, form: fn(JudgedReply) -> T) {
        let Self { app, orders, languages, options, turn, room: _room } = self;
        let mut waiting = orders.into_iter().enumerate();
        let mut first_turn = Some(turn);
        let mut in_work = JoinSet::new();
        loop {
            while in_work.len() < app.admission.turns() {
                let Some((index, order)) = waiting.next() else { break };
                let (app, turn) = (Arc::clone(&app), first_turn.take());
                let language = Arc::clone(&languages[&order.language]);
                in_work.spawn(async move {
                    let _turn = match turn {
                        Some(turn) => turn,
                        None => app.admission.enter_again().await,
                    };
                    judged(&app, Some(index), order, &language, options).await
                });
            }
            let reply = match in_work.join_next().await {
                None => return,
                Some(Ok(reply)) => reply,
                Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
            };
            if replies.send(form(reply)).await.is_err() {
                return;
            }
        }
    }
}

fn line(value: &impl serde::Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value).expect("replies are structs of numbers, text and lists");
    text.push(b'\n');
    text.into()
}
