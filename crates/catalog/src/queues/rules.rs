//! Rules for queues: what is a duplicate, what is delayed, what is done, and what that frees.

use levada_model::{Offset, PartitionId, TopicId};

use super::command::{QueueCommand, QueuedBatch};
use super::delays::visible_ms;
use super::settings::QueueSettings;
use crate::reply::{BatchResult, Effect, Reply};
use crate::state::State;

impl State {
    /// The queue settings of a partition's topic; `None` if that is no queue.
    pub fn queue_settings(&self, partition: PartitionId) -> Option<&QueueSettings> {
        let topic = self.partitions.get(partition)?.topic();
        self.topics.get(topic)?.config.queue.as_deref()
    }

    /// What the queue knows of a partition; `None`: every message is open and never received.
    pub fn queue_progress(&self, partition: PartitionId) -> Option<&super::Progress> {
        self.queues.get(partition)
    }

    pub fn queues(&self) -> &super::QueueTable {
        &self.queues
    }

    pub(crate) fn apply_queue(
        &mut self,
        command: &QueueCommand,
        now_ms: i64,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        match command {
            QueueCommand::SetReceiptKey(key) => self.queues.set_receipt_key(key),
            QueueCommand::StartMove(begun) => {
                let topic = self.topics.get(begun.source);
                if topic.is_some_and(|topic| topic.config.queue.is_some()) {
                    self.queues.moves.start(begun, now_ms, &mut self.saver);
                }
            }
            QueueCommand::UpdateMove(update) => {
                self.queues.moves.update(update, &mut self.saver);
            }
            QueueCommand::Acknowledge { partition, offsets } => {
                self.change_queue(*partition, now_ms, effects, |row, end| {
                    for offset in offsets {
                        row.acknowledge(offset.0, end);
                    }
                });
            }
            QueueCommand::Deliver {
                partition,
                deliveries,
            } => {
                self.change_queue(*partition, now_ms, effects, |row, end| {
                    for delivery in deliveries {
                        row.deliver(delivery, end, now_ms);
                    }
                });
            }
            QueueCommand::Purge { partition } => {
                self.change_queue(*partition, now_ms, effects, |row, end| row.raise_floor(end));
            }
        }
        Reply::Done
    }

    /// Changes a queue's row, and frees what is done unless the queue retains it. A topic that is
    /// no queue (any more) is left as it is.
    fn change_queue(
        &mut self,
        id: PartitionId,
        now_ms: i64,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut super::Progress, i64),
    ) {
        let Some(retains) = self.queue_settings(id).map(|settings| settings.retains) else {
            return;
        };
        let Some(partition) = self.partitions.get(id) else {
            return;
        };
        let (start, end) = (partition.log_start, partition.high_watermark);
        let row = self.queues.change(id, &mut self.saver);
        row.raise_floor(start);
        row.delays.forget_due(now_ms);
        change(row, end);
        let floor = row.floor();
        self.queues.tidy(id);
        if !retains && floor.0 > start {
            self.advance_log_starts(&[(id, floor)], effects);
        }
    }

    /// What a batch that is sent again was answered the first time.
    pub(crate) fn find_queued(
        &self,
        partition: PartitionId,
        queued: &QueuedBatch,
        now_ms: i64,
    ) -> Option<BatchResult> {
        let log_start = self.partitions.get(partition)?.log_start();
        let row = self.queues.get(partition)?;
        let digest = queued.deduplication.as_ref()?;
        let (base, at_ms) = row.deduplication.find(digest, now_ms)?;
        Some(BatchResult::Duplicate {
            base,
            log_start,
            append_time_ms: Some(at_ms),
        })
    }

    /// A batch was sent to a queue: `count` messages from `base` on.
    pub(crate) fn note_queued(
        &mut self,
        partition: PartitionId,
        queued: &QueuedBatch,
        (base, count): (Offset, u32),
        now_ms: i64,
    ) {
        if queued.delay_ms <= 0 && queued.deduplication.is_none()
            || self.queue_settings(partition).is_none()
        {
            return;
        }
        let row = self.queues.change(partition, &mut self.saver);
        if queued.delay_ms > 0 {
            let visible_ms = visible_ms(now_ms, queued.delay_ms);
            let end = base.plus(u64::from(count));
            row.delays.forget_due(now_ms);
            row.delays.add(base.0, end.0, visible_ms);
        }
        if let Some(digest) = queued.deduplication {
            row.deduplication.note(digest, base.0, now_ms);
        }
    }

    /// The topic is no queue any more, or gone.
    pub(crate) fn forget_queue(&mut self, topic: TopicId, partitions: &[PartitionId]) {
        self.queues.moves.forget(topic, &mut self.saver);
        for partition in partitions {
            self.queues.remove(*partition, &mut self.saver);
        }
    }
}

impl QueuedBatch {
    /// The rule for the batch at `index`, if it has one; `rules` are in the order of the batches.
    pub(crate) fn of<'a>(rules: &mut &'a [QueuedBatch], index: usize) -> Option<&'a QueuedBatch> {
        let (first, rest) = rules.split_first()?;
        if first.batch as usize != index {
            return None;
        }
        *rules = rest;
        Some(first)
    }
}
