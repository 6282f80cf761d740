//! Turns what has accumulated into staged segments and commits them in order.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use levada_catalog::{BatchResult, Command, Reply, command::Commit};
use levada_env::port::{Ticket, Urgency};
use levada_model::{Extent, SegmentId, limits};
use levada_sequencer::{Proposal, ProposeError};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    AppendError, Appended,
    accumulator::{BatchResults, PendingAppend},
    append,
    engine::Inner,
    metrics::add,
};

/// Segments that hold staged bytes of which the catalog does not know yet. They must not be
/// released, however dead they look.
#[derive(Default)]
pub(crate) struct StagedSegments {
    counts: Mutex<BTreeMap<SegmentId, usize>>,
}

impl StagedSegments {
    /// Stages under the lock, so that a release never sees the bytes without the count.
    fn stage<E>(
        &self,
        stage: impl FnOnce() -> Result<(Extent, E), AppendError>,
    ) -> Result<(Extent, E), AppendError> {
        let mut counts = self.counts.lock();
        let staged = stage()?;
        *counts.entry(staged.0.segment).or_default() += 1;
        Ok(staged)
    }

    pub fn settled(&self, segment: SegmentId) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&segment) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&segment);
            }
        }
    }

    /// Whether nothing staged awaits its commit in `segment`.
    pub fn is_quiet(&self, segment: SegmentId) -> bool {
        !self.counts.lock().contains_key(&segment)
    }
}

impl Inner {
    /// Stages a segment; `keep`: for the tail cache too. The caller tells `staged` once the command
    /// that names it is settled, or will not come.
    ///
    /// # Errors
    /// As [`levada_journal::Journal::stage`].
    pub fn stage(
        &self,
        pieces: Vec<Bytes>,
        urgency: Urgency,
        keep: bool,
    ) -> Result<(Extent, Ticket), AppendError> {
        self.staged.stage(|| {
            let kept = if keep { pieces.clone() } else { Vec::new() };
            let staged = self.journal.stage(pieces, urgency)?;
            // In the order of staging: what a full disk refused may have been kept for this very
            // place, and must not be read instead of it.
            self.tail.keep(staged.extent, &kept);
            Ok((staged.extent, staged.ticket))
        })
    }
}

/// Ends the service when the committer panics: producers must not wait for ever.
struct FailOnPanic<'a>(&'a Inner);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "the committer panicked (a bug: please report it)";
            self.0.sequencer.fail(why);
            self.0.accumulator.abandon();
        }
    }
}

pub(crate) async fn run(inner: Arc<Inner>) {
    let _guard = FailOnPanic(&inner);
    let count = inner.settings.segments_in_flight_max.max(1);
    let slots = Arc::new(Semaphore::new(count));
    // The slot first: while all are taken, what comes joins the next segment.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let Some(appends) = inner.accumulator.take(limits::SEGMENT_BYTES_TARGET).await else {
            break;
        };
        commit(&inner, appends, slot);
    }
    let every = u32::try_from(count - 1).unwrap_or(u32::MAX);
    // The slot that the loop broke with is free again; wait for the others' segments.
    let _ = slots.acquire_many(every + 1).await;
    inner.committer_done.notify_waiters();
}

fn commit(inner: &Arc<Inner>, mut appends: Vec<PendingAppend>, slot: OwnedSemaphorePermit) {
    let pieces = append::build_segment(&mut appends);
    let (extent, ticket) = match inner.stage(pieces, Urgency::Normal, true) {
        Ok(staged) => staged,
        Err(error) => return refuse(inner, appends, &error),
    };
    let batches = appends
        .iter()
        .flat_map(|a| append::place(a, extent))
        .collect();
    let proposal = Proposal {
        command: Command::Commit(Commit {
            segment: extent.segment,
            batches,
            queued: append::queued(&appends),
        }),
        tickets: vec![ticket],
        urgency: Urgency::Normal,
    };
    let engine = Arc::clone(inner);
    inner.sequencer.submit_with(proposal, move |answer| {
        drop(slot);
        engine.staged.settled(extent.segment);
        settle(&engine, appends, answer);
    });
}

fn refuse(inner: &Inner, appends: Vec<PendingAppend>, error: &AppendError) {
    for append in appends {
        add(&inner.metrics.batches_refused, append.batches.len() as u64);
        let results = vec![Err(error.clone()); append.batches.len()];
        let _ = append.reply.send(results);
    }
}

fn settle(inner: &Inner, appends: Vec<PendingAppend>, answer: Result<Reply, ProposeError>) {
    let results = match answer {
        Ok(Reply::Committed(results)) => results,
        Ok(other) => unreachable!("a commit is answered as one, not by {other:?}"),
        Err(error) => return refuse(inner, appends, &error.into()),
    };
    add(&inner.metrics.segments, 1);
    let mut results = results.into_iter();
    for append in appends {
        let batches: BatchResults = append
            .batches
            .iter()
            .zip(&mut results)
            .map(|(batch, result)| {
                let commit = &batch.commit;
                outcome(inner, result, commit.offset_count, commit.length)
            })
            .collect();
        // A client that has gone away does not need its results.
        let _ = append.reply.send(batches);
        drop(append.permit);
    }
}

fn outcome(
    inner: &Inner,
    result: BatchResult,
    records: u32,
    bytes: u32,
) -> Result<Appended, AppendError> {
    let metrics = &inner.metrics;
    match result {
        BatchResult::Appended {
            base,
            log_start,
            append_time_ms,
        } => {
            add(&metrics.batches_in, 1);
            add(&metrics.records_in, records.into());
            add(&metrics.bytes_in, bytes.into());
            Ok(Appended {
                base_offset: base,
                append_time_ms,
                log_start,
            })
        }
        BatchResult::Duplicate {
            base,
            log_start,
            append_time_ms,
        } => {
            add(&metrics.batches_duplicate, 1);
            Ok(Appended {
                base_offset: base,
                append_time_ms,
                log_start,
            })
        }
        BatchResult::Refused(refusal) => {
            add(&metrics.batches_refused, 1);
            Err(refusal.into())
        }
    }
}
