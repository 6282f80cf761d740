//! Snapshots of the state, taken in slices while commands go on being applied.
//!
//! Content: the time of the last command applied (`i64`, little-endian), then the state's slices.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use levada_catalog::{State, StateSettings};
use levada_env::Pace;
use levada_model::{LogPosition, codec::DecodeError};

use crate::handle::Inner;

/// Between a snapshot that could not be stored and the next attempt: each walks the whole state.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// Between two snapshots that a full disk waits for: the log goes up to the older of two.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// Begins a snapshot at `position`, which the state has just reached, when the log grew enough or
/// a full disk waits for it.
pub(crate) fn begin_if_due(
    inner: &Arc<Inner>,
    state: &mut State,
    position: LogPosition,
    now_ms: i64,
) {
    if !is_due(inner) || inner.snapshot_under_way.swap(true, Ordering::AcqRel) {
        return;
    }
    state.snapshot_begin();
    let task = Arc::clone(inner);
    inner.env.spawn("snapshot", async move {
        take(&task, position, now_ms).await;
        task.snapshot_under_way.store(false, Ordering::Release);
    });
}

/// Whether the next command begins a snapshot, if none is under way.
fn is_due(inner: &Inner) -> bool {
    let time_ms = inner.env.monotonic().as_millis() as u64;
    time_ms >= inner.snapshot_after_ms.load(Ordering::Acquire)
        && (inner.log.replay_bytes() >= inner.settings.snapshot_every_bytes
            || inner.log.commands_hold_space())
}

/// Whether a full disk waits for a snapshot that the next command, whichever, would begin.
pub(crate) fn waits_for_a_command(inner: &Inner) -> bool {
    inner.log.commands_hold_space()
        && is_due(inner)
        && !inner.snapshot_under_way.load(Ordering::Acquire)
}

async fn take(inner: &Inner, position: LogPosition, now_ms: i64) {
    let mut pieces = vec![Bytes::copy_from_slice(&now_ms.to_le_bytes())];
    let mut pace = Pace::new(&inner.env);
    loop {
        let slice = inner
            .state
            .write()
            .snapshot_slice(inner.settings.snapshot_slice_rows);
        let Some(slice) = slice else { break };
        pieces.push(slice);
        // Appliers and readers go first between two slices.
        pace.rest().await;
    }
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    let pause = |pause: Duration| {
        let until = (inner.env.monotonic() + pause).as_millis() as u64;
        inner.snapshot_after_ms.store(until, Ordering::Release);
    };
    match inner.log.save_snapshot(position, pieces).await {
        Ok(()) => {
            tracing::info!(%position, bytes, "snapshot stored");
            if inner.log.commands_hold_space() {
                pause(FULL_PAUSE);
            }
        }
        Err(error) => {
            pause(RETRY_PAUSE);
            tracing::warn!(%error, "the snapshot was not stored: the next one is tried later; a restart replays more log until then");
        }
    }
}

/// The state in a snapshot's content, and the time of the last command in it.
///
/// # Errors
/// When the content is not what [`take`] wrote.
pub(crate) fn restore(
    settings: StateSettings,
    content: &[u8],
) -> Result<(State, i64), DecodeError> {
    let (time, rows) = content
        .split_first_chunk()
        .ok_or(DecodeError("a snapshot without its time"))?;
    Ok((State::restore(settings, rows)?, i64::from_le_bytes(*time)))
}
