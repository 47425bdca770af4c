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

/// Room that one JSON value takes once it is read, its key included. `[0,0,…]` has one for every two bytes, so that the
/// length of a body alone bounds nothing.
const VALUE_BYTES: u64 = 64;

/// Bodies up to this length are read at once; reading longer ones would keep other requests of the same thread waiting.
const READ_AT_ONCE_MAX: usize = 256 * 1024;

/// Room for bodies.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    room: Arc<Semaphore>,
    units_max: u32,
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
        // The largest body must find room for what is read from it too.
        let room = bodies_max.as_u64().max(body_max.as_u64().saturating_mul(2));
        let units_max = units(room).min(u32::MAX >> 3);
        Self { room: Arc::new(Semaphore::new(units_max as usize)), units_max, body_max, time_max }
    }

    /// Reads the body of `request` as a `T`.
    pub(crate) async fn read<T>(&self, request: Request) -> Result<Read<T>, Refusal>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let Read { value: bytes, mut room } = self.read_bytes(request).await?;
        let (all, units_max, length) = (Arc::clone(&self.room), self.units_max, bytes.len());
        let read = move || {
            room.merge(room_for_values(all, units_max, &room, &bytes)?);
            Ok(Read { value: read_body(&bytes)?, room })
        };
        if length <= READ_AT_ONCE_MAX {
            return read();
        }
        match tokio::task::spawn_blocking(read).await {
            Ok(result) => result,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The runtime is being shut down.
            Err(_cancelled) => Err(Refusal::new(ErrorCode::Draining, "the server is ending")),
        }
    }

    /// Reads the body of `request`, which says that it is JSON, as it is.
    pub(crate) async fn read_bytes(&self, request: Request) -> Result<Read<Bytes>, Refusal> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
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
        let mut room = take(Arc::clone(&self.room), units(length))?;
        let limited = Limited::new(body, usize::try_from(max).unwrap_or(usize::MAX));
        let collected = tokio::time::timeout(self.time_max, limited.collect()).await.map_err(|_elapsed| {
            let time = self.time_max.as_secs();
            Refusal::new(ErrorCode::RequestTimeout, format!("the body did not arrive within {time} s"))
        })?;
        match collected {
            Ok(collected) => {
                let bytes = collected.to_bytes();
                // One that did not say how long it is was given room for the longest.
                let surplus = room.num_permits().saturating_sub(units(bytes.len() as u64) as usize);
                drop(room.split(surplus));
                Ok((bytes, room))
            }
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(error) => Err(Refusal::new(ErrorCode::BadRequest, format!("the body was cut: {error}"))),
        }
    }
}

/// Room for the values in a body that holds `room` already.
fn room_for_values(
    all: Arc<Semaphore>,
    units_max: u32,
    room: &OwnedSemaphorePermit,
    bytes: &[u8],
) -> Result<OwnedSemaphorePermit, Refusal> {
    let values = values(bytes);
    let more = units(values.saturating_mul(VALUE_BYTES));
    if u64::from(more) + room.num_permits() as u64 > u64::from(units_max) {
        let message = format!("the body holds {values} JSON values, for which there is no room");
        return Err(
            Refusal::new(ErrorCode::TooLarge, message).with_hint("send fewer items at once".to_owned())
        );
    }
    take(all, more)
}

fn take(all: Arc<Semaphore>, units: u32) -> Result<OwnedSemaphorePermit, Refusal> {
    all.try_acquire_many_owned(units).map_err(|_no_room| Refusal {
        retry_after: Some(1),
        ..Refusal::new(ErrorCode::QueueFull, "bodies of other requests take all the room")
    })
}

/// How many values there are in JSON, about: each begins a list or an object, or follows a comma.
fn values(json: &[u8]) -> u64 {
    let (mut count, mut is_string, mut is_escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b'[' | b'{' | b',' if !is_string => count += 1,
            _ => {}
        }
    }
    count
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_texts() {
        for (json, count) in
            [(r#""#, 0), (r#"{"a":1,"b":[2,3]}"#, 4), (r#"{"a":"[,{\"[,","b":"\\\\"}"#, 2), (r#"["#, 1)]
        {
            assert_eq!(values(json.as_bytes()), count, "{json}");
        }
    }

    #[tokio::test]
    async fn many_values_take_more_room_than_their_bytes() {
        let budget = BodyBudget::new(ByteSize::mib(2), ByteSize::mib(4), Duration::from_secs(9));
        let request = |body: String| {
            Request::post("/")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body))
                .unwrap()
        };
        let list = |values: usize| format!("{{\"a\":[0{}]}}", ",0".repeat(values - 1));
        let read = budget.read::<serde_json::Value>(request(list(1 << 15))).await.unwrap();
        assert!(read.room.num_permits() > 2048, "{read:?}");
        let others = budget.read::<serde_json::Value>(request(list(1 << 15))).await.unwrap_err();
        assert_eq!(others.code, ErrorCode::QueueFull);
        drop(read);
        let most = budget.read::<serde_json::Value>(request(list(1 << 19))).await.unwrap_err();
        assert_eq!(most.code, ErrorCode::TooLarge);
        assert!(budget.read::<serde_json::Value>(request(list(1))).await.is_ok());
    }
}
