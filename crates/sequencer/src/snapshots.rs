//! Snapshots of the state, taken in slices while commands go on being applied.

use std::sync::{Arc, atomic::Ordering};

use levada_catalog::State;
use levada_model::LogPosition;

use crate::handle::Inner;

/// Begins a snapshot at `position`, which the state has just reached, when the log grew enough.
pub(crate) fn begin_if_due(inner: &Arc<Inner>, state: &mut State, position: LogPosition) {
    if inner.log.replay_bytes() < inner.settings.snapshot_every_bytes
        || inner.snapshot_under_way.swap(true, Ordering::AcqRel)
    {
        return;
    }
    state.snapshot_begin();
    let task = Arc::clone(inner);
    inner.env.spawn("snapshot", async move {
        take(&task, position).await;
        task.snapshot_under_way.store(false, Ordering::Release);
    });
}

async fn take(inner: &Inner, position: LogPosition) {
    let mut pieces = Vec::new();
    loop {
        let slice = inner
            .state
            .write()
            .snapshot_slice(inner.settings.snapshot_slice_rows);
        let Some(slice) = slice else { break };
        pieces.push(slice);
        // Appliers and readers go first between two slices.
        tokio::task::yield_now().await;
    }
    let bytes: usize = pieces.iter().map(bytes::Bytes::len).sum();
    match inner.log.save_snapshot(position, pieces).await {
        Ok(()) => tracing::info!(%position, bytes, "snapshot stored"),
        Err(error) => {
            tracing::warn!(%error, "the snapshot was not stored: the next one is tried later; a restart replays more log until then");
        }
    }
}
