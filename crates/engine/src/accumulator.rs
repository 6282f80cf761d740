//! Where appends wait for the next segment, in the order in which they came.

use std::collections::VecDeque;

use bytes::Bytes;
use levada_catalog::command::CommitBatch;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use crate::{AppendError, Appended};

/// One result for each batch of a [`PendingAppend`].
pub(crate) type BatchResults = Vec<Result<Appended, AppendError>>;

/// The checked batches of one request; they go into one segment.
pub(crate) struct PendingAppend {
    pub batches: Vec<PendingBatch>,
    pub bytes: usize,
    pub reply: oneshot::Sender<BatchResults>,
    /// Gives the in-flight bytes back when the append is settled.
    pub permit: OwnedSemaphorePermit,
}

pub(crate) struct PendingBatch {
    /// The position in the segment is filled in when the segment is built.
    pub commit: CommitBatch,
    pub bytes: Bytes,
    /// What there is to say of a batch that is sent to a queue.
    pub queued: Option<Queued>,
}

/// As [`levada_catalog::queues::QueuedBatch`], for a batch that has no place yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub delay_ms: i64,
    pub deduplication: Option<[u8; 16]>,
}

#[derive(Default)]
pub(crate) struct Accumulator {
    queue: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Default)]
struct Queue {
    appends: VecDeque<PendingAppend>,
    closed: bool,
}

impl Accumulator {
    /// Queues an append; gives it back when the engine has stopped.
    pub fn push(&self, append: PendingAppend) -> Result<(), PendingAppend> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(append);
        }
        queue.appends.push_back(append);
        drop(queue);
        self.arrived.notify_one();
        Ok(())
    }

    /// What waits, up to `bytes_max` but at least one append; `None` once closed and empty.
    pub async fn take(&self, bytes_max: usize) -> Option<Vec<PendingAppend>> {
        loop {
            {
                let mut queue = self.queue.lock();
                if !queue.appends.is_empty() {
                    return Some(queue.take(bytes_max));
                }
                if queue.closed {
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// Refuses what comes from now on and what waits: nobody will take it.
    pub fn abandon(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.appends.clear();
    }

    /// Refuses what comes from now on.
    pub fn close(&self) {
        self.queue.lock().closed = true;
        self.arrived.notify_one();
    }
}

impl Queue {
    fn take(&mut self, bytes_max: usize) -> Vec<PendingAppend> {
        let mut bytes = 0;
        let fitting = self.appends.iter().take_while(|append| {
            bytes += append.bytes;
            bytes <= bytes_max
        });
        let count = fitting.count().max(1);
        self.appends.drain(..count).collect()
    }
}
