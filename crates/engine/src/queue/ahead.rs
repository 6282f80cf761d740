//! What was read from storage for one receive and holds the messages of the next ones: receivers of
//! a deep backlog take ten messages at a time out of a log that is best read in long stretches.
//!
//! One budget for all queues, and at most a few stretches for each. A long stretch is read only right
//! behind one that is still kept: who jumps about, or has to share the budget with too many, reads no
//! more than it needs.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use levada_model::{BatchHeader, Offset, PartitionId};
use parking_lot::Mutex;

/// Stretches of one partition: stragglers behind, and the one where it is.
const STRETCHES_MAX: usize = 4;

/// Batches of one partition that follow one another.
pub(super) struct Kept {
    partition: PartitionId,
    batches: Vec<KeptBatch>,
    base: i64,
    end: i64,
    bytes: usize,
}

/// A batch as a reader sees it.
pub(super) struct KeptBatch {
    /// One past its last offset.
    end: i64,
    pub header: Bytes,
    pub body: Bytes,
}

/// What is known of an offset.
pub(super) enum Known {
    /// It is here.
    Here(Arc<Kept>),
    /// It follows what is kept: those behind it will be wanted too.
    Next,
    Nothing,
}

impl Kept {
    /// Batches in `pieces`, as [`crate::ReadSlice`] has them. They get memory of their own: the
    /// pieces hold on to all that lay between them.
    fn of(partition: PartitionId, pieces: &[Bytes]) -> Option<Kept> {
        let mut memory = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
        for piece in pieces {
            memory.extend_from_slice(piece);
        }
        let mut memory = memory.freeze();
        let bytes = memory.len();
        let mut base = None;
        let mut batches = Vec::with_capacity(pieces.len() / 2);
        for pair in pieces.chunks_exact(2) {
            let header = memory.split_to(pair[0].len());
            let body = memory.split_to(pair[1].len());
            let parsed = BatchHeader::parse(&header).ok()?;
            base = base.or(Some(parsed.base_offset));
            let end = Offset(parsed.base_offset).plus(u64::from(parsed.offset_count()));
            batches.push(KeptBatch {
                end: end.0,
                header,
                body,
            });
        }
        let end = batches.last()?.end;
        Some(Kept {
            partition,
            batches,
            base: base?,
            end,
            bytes,
        })
    }

    fn holds(&self, at: Offset) -> bool {
        (self.base..self.end).contains(&at.0)
    }

    /// No further behind its end than it is long.
    fn is_before(&self, at: Offset) -> bool {
        at.0 >= self.end && at.0 - self.end <= self.end - self.base
    }

    /// The batches from the one that holds `from` on.
    pub fn batches_from(&self, from: Offset) -> &[KeptBatch] {
        let first = self.batches.partition_point(|batch| batch.end <= from.0);
        &self.batches[first..]
    }
}

/// The stretches that were asked for last.
pub(super) struct Ahead {
    kept: Mutex<VecDeque<Arc<Kept>>>,
    bytes_max: usize,
}

impl Ahead {
    /// `bytes_max`: what is kept for all queues together.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            kept: Mutex::default(),
            bytes_max,
        }
    }

    pub fn find(&self, partition: PartitionId, at: Offset) -> Known {
        let mut all = self.kept.lock();
        let own = |kept: &Arc<Kept>| kept.partition == partition;
        if let Some(place) = all.iter().rposition(|kept| own(kept) && kept.holds(at))
            && let Some(kept) = all.remove(place)
        {
            all.push_back(Arc::clone(&kept));
            return Known::Here(kept);
        }
        match all.iter().any(|kept| own(kept) && kept.is_before(at)) {
            true => Known::Next,
            false => Known::Nothing,
        }
    }

    /// Keeps what was read instead of what nobody has asked for the longest.
    pub fn keep(&self, partition: PartitionId, pieces: &[Bytes]) {
        let Some(new) = Kept::of(partition, pieces) else {
            return;
        };
        let mut all = self.kept.lock();
        all.push_back(Arc::new(new));
        let own = |kept: &Arc<Kept>| kept.partition == partition;
        if all.iter().filter(|kept| own(kept)).count() > STRETCHES_MAX
            && let Some(oldest) = all.iter().position(own)
        {
            all.remove(oldest);
        }
        let mut sum: usize = all.iter().map(|kept| kept.bytes).sum();
        while sum > self.bytes_max
            && let Some(oldest) = all.pop_front()
        {
            sum -= oldest.bytes;
        }
    }

    /// Forgets a partition whose messages are in memory anyway.
    pub fn forget(&self, partition: PartitionId) {
        self.kept.lock().retain(|kept| kept.partition != partition);
    }

    /// Forgets partitions that are not in use.
    pub fn tidy(&self, is_used: impl Fn(PartitionId) -> bool) {
        self.kept.lock().retain(|kept| is_used(kept.partition));
    }
}
