//! Reading a request's body within its bounds.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use rollcage_api::http::{ErrorCode, read_body};
use rollcage_types::ByteSize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// Bytes counted as one: permits are 32-bit numbers, and bodies together may be larger.
const UNIT: u64 = 1024;

/// Room for bodies.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    room: Arc<Semaphore>,
    body_max: ByteSize,
    time_max: Duration,
}

/// A value read from a body, and the room the body takes until whoever reads the value is done with it.
#[derive(Debug)]
pub(crate) struct Read<T> {
    pub(crate) value: T,
    pub(crate) room: OwnedSemaphorePermit,
}

impl BodyBudget {
    pub(crate) fn new(body_max: ByteSize, bodies_max: ByteSize, time_max: Duration) -> Self {
        let units = units(bodies_max.as_u64().max(body_max.as_u64())).min(u32::MAX >> 3);
        Self { room: Arc::new(Semaphore::new(units as usize)), body_max, time_max }
    }

    /// Reads the body of `request` as a `T`.
    pub(crate) async fn read<T: DeserializeOwned>(&self, request: Request) -> Result<Read<T>, Refusal> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        let (bytes, room) = self.bytes(&parts.headers, body).await?;
        Ok(Read { value: read_body(&bytes)?, room })
    }

    /// Reads the body of `request` as it is, whatever it is by its own account.
    pub(crate) async fn read_bytes(&self, request: Request) -> Result<Read<Bytes>, Refusal> {
        let (parts, body) = request.into_parts();
        let (value, room) = self.bytes(&parts.headers, body).await?;
        Ok(Read { value, room })
    }

    async fn bytes(&self, headers: &HeaderMap, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
        let max = self.body_max.as_u64();
        let too_large = || {
            Refusal::new(ErrorCode::TooLarge, format!("the body is larger than {}", self.body_max)).with_hint(
                "send fewer items at once, or start the server with a larger --body-limit".to_owned(),
            )
        };
        let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let length = said.unwrap_or(max);
        if length > max {
            return Err(too_large());
        }
        let room =
            Arc::clone(&self.room).try_acquire_many_owned(units(length)).map_err(|_no_room| Refusal {
                retry_after: Some(1),
                ..Refusal::new(ErrorCode::QueueFull, "bodies of other requests take all the room")
            })?;
        let limited = Limited::new(body, usize::try_from(max).unwrap_or(usize::MAX));
        let collected = tokio::time::timeout(self.time_max, limited.collect()).await.map_err(|_elapsed| {
            let time = self.time_max.as_secs();
            Refusal::new(ErrorCode::RequestTimeout, format!("the body did not arrive within {time} s"))
        })?;
        match collected {
            Ok(collected) => Ok((collected.to_bytes(), room)),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(error) => Err(Refusal::new(ErrorCode::BadRequest, format!("the body was cut: {error}"))),
        }
    }
}

/// A page in somebody's browser may send this machine's loopback anything but JSON without being asked whether it may
/// (<https://fetch.spec.whatwg.org/#cors-safelisted-request-header>), so nothing else is read.
fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || essence.rsplit_once('+').is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"));
    if is_json {
        return Ok(());
    }
    let message = match essence {
        "" => "the body does not say that it is JSON".to_owned(),
        essence => format!("the body is `{essence}` by its own account"),
    };
    Err(Refusal::new(ErrorCode::UnsupportedMediaType, message)
        .with_hint("send `Content-Type: application/json`".to_owned()))
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}
