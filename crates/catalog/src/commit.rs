//! Commit: staged batches become part of their partitions. Fencing, duplicates and offsets are
//! decided here.

use levada_model::{Offset, PartitionId};

use crate::command::{Commit, CommitBatch};
use crate::partitions::{NO_APPEND_TIME, Partition, TailEntry, append_time};
use crate::producer_slots::Batch;
use crate::producers::{Used, Verdict};
use crate::queues::QueuedBatch;
use crate::reply::{BatchRefusal, BatchResult, Effect};
use crate::state::State;

/// Bytes that one index entry may cover when batches of one commit are joined. Frozen: a replay
/// must give the same entries.
pub const ENTRY_BYTES_MAX: u32 = 1024 * 1024;

impl State {
    pub(crate) fn commit(
        &mut self,
        commit: &Commit,
        now_ms: i64,
        effects: &mut Vec<Effect>,
    ) -> Vec<BatchResult> {
        let mut results = Vec::with_capacity(commit.batches.len());
        let mut grown: Vec<PartitionId> = Vec::new();
        let (mut live_bytes, mut written_bytes) = (0, 0);
        let mut last: Option<PartitionId> = None;
        let mut queued = commit.queued.as_slice();
        for (index, batch) in commit.batches.iter().enumerate() {
            let entry = new_entry(commit, batch);
            written_bytes += u64::from(batch.length);
            let queued = QueuedBatch::of(&mut queued, index);
            if let Some(known) =
                queued.and_then(|rule| self.find_queued(batch.partition, rule, now_ms))
            {
                results.push(known);
                continue;
            }
            let joins = last == Some(batch.partition);
            let result = self.commit_batch(batch, entry, joins, now_ms);
            if let BatchResult::Appended { base, .. } = result {
                live_bytes += u64::from(batch.length);
                if !joins {
                    grown.push(batch.partition);
                }
                last = Some(batch.partition);
                if let Some(rule) = queued {
                    self.note_queued(batch.partition, rule, (base, entry.offset_count), now_ms);
                }
            }
            results.push(result);
        }
        self.segments
            .add(commit.segment, live_bytes, written_bytes, &mut self.saver);
        self.segments
            .report_unused([commit.segment].into_iter(), effects);
        grown.sort_unstable();
        grown.dedup();
        effects.extend(grown.into_iter().filter_map(|id| {
            let to = self.partitions.get(id)?.high_watermark();
            Some(Effect::HighWatermark { partition: id, to })
        }));
        results
    }

    fn commit_batch(
        &mut self,
        batch: &CommitBatch,
        mut entry: TailEntry,
        joins: bool,
        now_ms: i64,
    ) -> BatchResult {
        let Some(partition) = self.partitions.get_mut(batch.partition) else {
            return BatchResult::Refused(BatchRefusal::UnknownPartition);
        };
        let log_start = partition.log_start();
        let used = Used::at(now_ms, &self.settings);
        if let Some(producer) = batch.producer {
            let count = entry.offset_count;
            let verdict = (self.producers).judge(batch.partition, producer, count, &used);
            match verdict {
                Verdict::Next => {}
                Verdict::Refused(refusal) => return BatchResult::Refused(refusal),
                Verdict::Duplicate {
                    base,
                    append_time_ms,
                } => {
                    return BatchResult::Duplicate {
                        base,
                        log_start,
                        append_time_ms,
                    };
                }
            }
        }
        if partition.log_append_time {
            entry.append_time_ms = now_ms;
            entry.max_timestamp_ms = now_ms;
        }
        entry.base = partition.high_watermark;
        partition.save(batch.partition, &mut self.saver);
        append(partition, entry, joins);
        if let Some(producer) = batch.producer {
            let noted = Batch {
                base: entry.base,
                append_time_ms: entry.append_time_ms,
                count: entry.offset_count,
            };
            self.producers
                .record(batch.partition, producer, noted, used, &mut self.saver);
        }
        BatchResult::Appended {
            base: Offset(entry.base),
            log_start,
            append_time_ms: append_time(entry.append_time_ms),
        }
    }
}

fn new_entry(commit: &Commit, batch: &CommitBatch) -> TailEntry {
    TailEntry {
        base: 0,
        segment: commit.segment.0,
        position: batch.position,
        max_timestamp_ms: batch.max_timestamp_ms,
        append_time_ms: NO_APPEND_TIME,
        // At least one, or a malformed log would make entries without offsets.
        offset_count: batch.offset_count.max(1),
        length: batch.length,
    }
}

/// Adds an entry at the high watermark, or widens the last one when it `joins` it without a gap.
fn append(partition: &mut Partition, entry: TailEntry, joins: bool) {
    partition.high_watermark = entry.end();
    partition.live_bytes += u64::from(entry.length);
    let index = partition.index_mut();
    if joins
        && let Some(back) = index.tail.back_mut()
        && let Some(length) = back.length.checked_add(entry.length)
        && let Some(offset_count) = back.offset_count.checked_add(entry.offset_count)
        && length <= ENTRY_BYTES_MAX
        && back.position.checked_add(u64::from(back.length)) == Some(entry.position)
    {
        back.length = length;
        back.offset_count = offset_count;
        back.max_timestamp_ms = back.max_timestamp_ms.max(entry.max_timestamp_ms);
        return;
    }
    index.push(entry);
}
