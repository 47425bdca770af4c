//! Accepting connections, serving each, and coming to an end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rollcage_engine::drive::Engine;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::app::{App, router};
use crate::config::ServerConfig;
use crate::listen::{Listener, Stream};
use crate::stall::StallGuard;

/// Descriptors come free when connections end, and nothing says when.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bytes of a request's head; hyper refuses longer ones with 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Serves until `shutdown` is done; then accepts nothing more, finishes what is in work within the drain time, and drops
/// the rest, which ends its cages.
pub async fn serve(
    listener: Listener,
    engine: Engine,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) {
    let (stall_time, drain_time) = (config.stall_time, config.drain_time);
    let places = Arc::new(Semaphore::new(config.connections_max));
    let app = App::new(engine, config);
    let router = router(Arc::clone(&app));
    let (end, ended) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, place)
        };
        tokio::select! {
            () = &mut shutdown => break,
            (accepted, place) = accepted => match accepted {
                Ok(stream) => {
                    let connection = connection(stream, router.clone(), stall_time, ended.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => accept_failed(&error).await,
            },
            Some(_over) = connections.join_next() => {}
        }
    }
    app.drain();
    drop(listener);
    end.send_replace(true);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(drain_time, finish).await.is_err() {
        tracing::warn!(open = connections.len(), "requests were still in work at the end of the drain time");
    }
}

async fn accept_failed(error: &io::Error) {
    // The client was gone before we came.
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Serves one connection. Its end, from whichever side, drops the request it was serving.
async fn connection(stream: Stream, router: Router, stall_time: Duration, mut ended: watch::Receiver<bool>) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(call(router, request.map(axum::body::Body::new)).await) }
    });
    let io = TokioIo::new(StallGuard::new(stream, stall_time));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(stall_time)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = over(&mut ended) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Waits until the server ends.
async fn over(ended: &mut watch::Receiver<bool>) {
    // The sender is gone only with the server.
    let _over = ended.wait_for(|ended| *ended).await;
}

async fn call(mut router: Router, request: Request) -> axum::response::Response {
    use tower_service::Service as _;
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
