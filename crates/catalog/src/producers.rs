//! Idempotent producers: for each producer and partition the window in which a retry is found
//! again, fencing by epoch, and a bound on the memory of all of them.
//!
//! A row goes when it was not used for `producer_expiration_ms`, or as the least recently used
//! when all rows take more than `producer_state_bytes_max`. Both are worked off a few rows at a
//! time by those who append. A row that is due is never believed, whether it has gone or not. Rows of
//! a deleted partition go the same way: its id is never given again, so nothing finds them.

use levada_model::limits::PRODUCER_WINDOW_BATCHES;
use levada_model::{Offset, PartitionId, Sequence};

use crate::command::BatchProducer;
use crate::partitions::append_time;
use crate::producer_slots::{Batch, Key, OLDER_BATCHES, Slot, Slots};
use crate::reply::BatchRefusal;
use crate::saver::Saver;
use crate::state::StateSettings;

/// Rows that one append may remove: more than it adds, so that the bound holds.
const REMOVALS_PER_APPEND: usize = 4;
/// How far back a repeated sequence is recognised as such: half of the sequences that there are.
const BEHIND_MAX: u32 = 1 << 30;
const SEQUENCES: i64 = 1 << 31;

/// What the window says of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Next,
    Duplicate {
        base: Offset,
        append_time_ms: Option<i64>,
    },
    Refused(BatchRefusal),
}

/// Every producer's window.
#[derive(Default)]
pub(crate) struct ProducerTable {
    pub slots: Slots,
    /// Appends counted so far: orders the rows by their last use.
    pub uses: u64,
}

impl ProducerTable {
    /// Judges a batch of `count` sequences without changing anything.
    pub fn judge(
        &self,
        partition: PartitionId,
        producer: BatchProducer,
        count: u32,
        used: &Used,
    ) -> Verdict {
        let key = Key::new(partition, producer.id);
        let row = self.slots.find(key).map(|at| self.slots.get(at));
        if producer.first_sequence.0 < 0 {
            return Verdict::Refused(BatchRefusal::OutOfOrderSequence);
        }
        match row {
            Some(row) if row.used_ms >= used.oldest_use_ms => judge_row(row, producer, count),
            // No state: any first sequence is taken, since only the producer knows its own.
            _ => Verdict::Next,
        }
    }

    /// Notes a batch that was judged to be next and is appended now.
    pub fn record(
        &mut self,
        partition: PartitionId,
        producer: BatchProducer,
        batch: Batch,
        used: Used,
        saver: &mut Saver,
    ) {
        let key = Key::new(partition, producer.id);
        let last_sequence = producer.first_sequence.plus(batch.count.wrapping_sub(1)).0;
        self.uses += 1;
        let known = self.slots.find(key).filter(|at| {
            let row = self.slots.get(*at);
            row.used_ms >= used.oldest_use_ms && row.epoch == producer.epoch.0
        });
        let at = match known {
            Some(at) => {
                self.slots.save(at, saver);
                self.slots.widen(at, batch, last_sequence);
                at
            }
            None => {
                if let Some(at) = self.slots.find(key) {
                    self.slots.save(at, saver);
                    self.slots.remove(at);
                }
                let row = Slot::new(key, producer.epoch.0, batch, last_sequence, saver.mark());
                self.slots.insert(row)
            }
        };
        self.slots.touch(at, used.now_ms, self.uses);
        self.remove_due(used, saver);
    }

    fn remove_due(&mut self, used: Used, saver: &mut Saver) {
        for _ in 0..REMOVALS_PER_APPEND {
            let Some(oldest) = self.slots.oldest() else {
                return;
            };
            let expired = self.slots.get(oldest).used_ms < used.oldest_use_ms;
            if !expired && self.slots.bytes() <= used.bytes_max {
                return;
            }
            self.slots.save(oldest, saver);
            self.slots.remove(oldest);
        }
    }
}

/// When an append happens, and what holds then.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub now_ms: i64,
    /// Rows that were used last before this are due.
    pub oldest_use_ms: i64,
    pub bytes_max: usize,
}

impl Used {
    pub fn at(now_ms: i64, settings: &StateSettings) -> Used {
        Used {
            now_ms,
            oldest_use_ms: now_ms.saturating_sub(settings.producer_expiration_ms),
            bytes_max: settings.producer_state_bytes_max,
        }
    }
}

const _: () = assert!(OLDER_BATCHES + 1 == PRODUCER_WINDOW_BATCHES);

fn judge_row(row: &Slot, producer: BatchProducer, count: u32) -> Verdict {
    let first = producer.first_sequence;
    if producer.epoch.0 < row.epoch {
        return Verdict::Refused(BatchRefusal::InvalidProducerEpoch);
    }
    if producer.epoch.0 > row.epoch {
        return match first {
            Sequence(0) => Verdict::Next,
            _ => Verdict::Refused(BatchRefusal::OutOfOrderSequence),
        };
    }
    let mut last = Sequence(row.last_sequence);
    if first == last.plus(1) {
        return Verdict::Next;
    }
    for batch in row.window() {
        let batch_first = back(last, batch.count - 1);
        if batch_first == first && batch.count == count {
            return Verdict::Duplicate {
                base: Offset(batch.base),
                append_time_ms: append_time(batch.append_time_ms),
            };
        }
        last = back(last, batch.count);
    }
    // `last` is now the one before the window. Everything back to the first that was ever taken
    // has been taken: what lies there wholly is a repetition.
    let behind = distance(first, last) + 1;
    if behind >= i64::from(count) && behind <= i64::from(row.before.min(BEHIND_MAX)) {
        return Verdict::Refused(BatchRefusal::DuplicateSequence);
    }
    Verdict::Refused(BatchRefusal::OutOfOrderSequence)
}

/// The sequence `count` before.
fn back(sequence: Sequence, count: u32) -> Sequence {
    Sequence((i64::from(sequence.0) - i64::from(count)).rem_euclid(SEQUENCES) as i32)
}

/// Steps from one sequence forward to another.
fn distance(from: Sequence, to: Sequence) -> i64 {
    (i64::from(to.0) - i64::from(from.0)).rem_euclid(SEQUENCES)
}
