//! A request's body on its way in: within the budget of all bodies, the limit of one, and a time.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use tokio::sync::OwnedSemaphorePermit;

use crate::call::Shared;
use crate::errors::{Code, Result, SqsError};
use crate::limits::{BODY_BYTES_MAX, CLAIM_BYTES, SCARCE_BODY_TIMEOUT, SMALL_BODY_BYTES_MAX};

fn too_large() -> SqsError {
    let message = format!("A request can have {BODY_BYTES_MAX} bytes at most.");
    SqsError::new(Code::TooLarge, message)
}

fn unavailable(_: tokio::sync::AcquireError) -> SqsError {
    SqsError::new(Code::Unavailable, "The service is stopping.")
}

/// Reads a body, and gives its place in the budget.
///
/// # Errors
/// RequestEntityTooLarge, RequestTimeout, SerializationException for one that ends too early,
/// ServiceUnavailable.
pub async fn read_body(shared: &Shared, body: Incoming) -> Result<(Bytes, OwnedSemaphorePermit)> {
    let announced = body.size_hint().upper();
    let bytes = announced.map_or(Some(BODY_BYTES_MAX), |bytes| usize::try_from(bytes).ok());
    let bytes = bytes
        .filter(|bytes| *bytes <= BODY_BYTES_MAX)
        .ok_or_else(too_large)?;
    let is_large = bytes > SMALL_BODY_BYTES_MAX;
    let _arriving = match is_large {
        true => {
            let place = shared.arriving.acquire_many(permits(bytes)).await;
            Some(place.map_err(unavailable)?)
        }
        false => None,
    };
    // A small one takes its place as it comes: what is only announced holds back nobody.
    let claim = if is_large {
        bytes
    } else {
        bytes.min(CLAIM_BYTES)
    };
    let permit = acquire(shared, claim).await?;
    let body = Limited::new(body, BODY_BYTES_MAX);
    let slow = || SqsError::new(Code::Slow, "The body did not arrive in time.");
    in_time(shared, collect(shared, body, permit))
        .await
        .ok_or_else(slow)?
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

async fn acquire(shared: &Shared, bytes: usize) -> Result<OwnedSemaphorePermit> {
    let budget = Arc::clone(&shared.requests);
    let permit = budget.acquire_many_owned(permits(bytes)).await;
    permit.map_err(unavailable)
}

/// The pieces of a body as one; what it takes beyond `permit` is added to that. No piece is kept by
/// itself: one of a byte would hold the buffer that it came in.
async fn collect(
    shared: &Shared,
    mut body: Limited<Incoming>,
    mut permit: OwnedSemaphorePermit,
) -> Result<(Bytes, OwnedSemaphorePermit)> {
    let mut first = Bytes::new();
    let mut joined = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
            true => too_large(),
            false => SqsError::malformed("The body ended too early."),
        })?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if first.is_empty() && joined.is_empty() {
            first = piece;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&piece);
        }
        let bytes = first.len() + joined.len();
        let more = bytes.saturating_sub(permit.num_permits());
        if more > 0 {
            permit.merge(acquire(shared, more).await?);
        }
    }
    let body = match joined.is_empty() {
        true => first,
        false => joined.into(),
    };
    Ok((body, permit))
}

/// Waits for a body as long as one may take, and no longer than [`SCARCE_BODY_TIMEOUT`] at a time
/// when others wait for a place in the budget.
async fn in_time<T>(shared: &Shared, reading: impl Future<Output = T>) -> Option<T> {
    let env = &shared.env;
    let deadline = env.monotonic() + shared.settings.transfer_timeout;
    let mut reading = std::pin::pin!(reading);
    loop {
        let left = deadline.saturating_sub(env.monotonic());
        let step = left.min(SCARCE_BODY_TIMEOUT);
        if let Ok(read) = env.timeout(step, reading.as_mut()).await {
            return Some(read);
        }
        let is_scarce = shared.requests.available_permits() < SMALL_BODY_BYTES_MAX;
        if step == left || is_scarce {
            return None;
        }
    }
}
