//! What waits to be sent: for each partition the batch that is being filled, full ones, and those
//! that have to be sent again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use levada_records::{BatchBuilder, NewRecord};
use tokio::sync::Notify;

use super::partitioner::partition_of;
use super::{ProducerCounts, ProducerOptions};
use crate::error::ClientResult;
use crate::metadata::Topic;

/// What becomes of a batch: its base offset, or why it was not written.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    result: OnceLock<ClientResult<i64>>,
    done: Notify,
}

impl Outcome {
    pub fn set(&self, result: ClientResult<i64>) {
        let _ = self.result.set(result);
        self.done.notify_waiters();
    }

    pub async fn wait(&self) -> ClientResult<i64> {
        loop {
            let done = self.done.notified();
            tokio::pin!(done);
            done.as_mut().enable();
            if let Some(result) = self.result.get() {
                return result.clone();
            }
            done.await;
        }
    }
}

/// A batch that is filled, or full and not sent yet.
pub(super) struct Filling {
    pub builder: BatchBuilder,
    pub outcome: Arc<Outcome>,
    /// When its first record came.
    pub since: Duration,
    /// Bytes taken from the buffer for it.
    pub charge: usize,
}

/// A batch that has been sent at least once.
pub(super) struct Sent {
    pub bytes: Bytes,
    pub records: u32,
    /// Of its first record, for idempotent producers.
    pub sequence: i32,
    pub outcome: Arc<Outcome>,
    pub since: Duration,
    pub charge: usize,
}

/// What waits for one partition.
pub(super) struct Queue {
    pub partition: i32,
    pub open: Option<Filling>,
    pub full: VecDeque<Filling>,
    /// To be sent again before anything else, by sequence.
    pub again: VecDeque<Sent>,
    pub in_flight: usize,
    /// Sequence of the next new batch.
    pub next_sequence: i32,
    /// The broker has taken a batch under the present id. Before that it has no state and would
    /// take any sequence as the first, so that a retry of an earlier batch came too late.
    pub known_to_broker: bool,
    /// A batch was refused for good, so that those behind it must close the gap.
    pub renumber_from: Option<i32>,
    pub not_before: Duration,
}

pub(super) struct Appended {
    pub outcome: Arc<Outcome>,
    pub index: i64,
    /// A new batch was begun: the sender has to know.
    pub opened: bool,
}

impl Queue {
    fn new(partition: i32) -> Self {
        Self {
            partition,
            open: None,
            full: VecDeque::new(),
            again: VecDeque::new(),
            in_flight: 0,
            next_sequence: 0,
            known_to_broker: false,
            renumber_from: None,
            not_before: Duration::ZERO,
        }
    }

    pub fn append(
        &mut self,
        record: &NewRecord<'_>,
        charge: usize,
        now: Duration,
        options: &ProducerOptions,
    ) -> Appended {
        let limit = options.batch_bytes_max;
        let over = |open: &mut Filling| {
            !open.builder.is_empty() && open.builder.bytes() + open.builder.bytes_of(record) > limit
        };
        if let Some(full) = self.open.take_if(over) {
            self.full.push_back(full);
        }
        let opened = self.open.is_none();
        let open = self.open.get_or_insert_with(|| Filling {
            builder: BatchBuilder::new(options.compression),
            outcome: Arc::default(),
            since: now,
            charge: 0,
        });
        let index = open.builder.len() as i64;
        open.builder.push(record);
        open.charge += charge;
        Appended {
            outcome: open.outcome.clone(),
            index,
            opened,
        }
    }

    /// The next batch that is due: a full one, or the open one after `linger` or when flushing.
    pub fn take_due(&mut self, now: Duration, linger: Duration, flushing: bool) -> Option<Filling> {
        self.full.pop_front().or_else(|| {
            self.open
                .take_if(|open| flushing || now >= open.since.saturating_add(linger))
        })
    }

    /// The batch with this sequence was refused for good: those behind the earliest such one close
    /// the gap.
    pub fn renumber_from(&mut self, sequence: i32) {
        let earlier = |known: i32| sequence.wrapping_sub(known) < 0;
        if self.renumber_from.is_none_or(earlier) {
            self.renumber_from = Some(sequence);
        }
    }

    /// Puts a batch back that has to be sent again, at its place.
    pub fn put_again(&mut self, sent: Sent) {
        // Sequences wrap; the distance tells which comes first.
        let behind = |other: &Sent| other.sequence.wrapping_sub(sent.sequence) > 0;
        let place = self
            .again
            .iter()
            .position(behind)
            .unwrap_or(self.again.len());
        self.again.insert(place, sent);
    }
}

/// All queues, by topic and partition.
#[derive(Default)]
pub(super) struct Queues {
    pub topics: BTreeMap<Arc<str>, TopicQueues>,
    pub flushing: usize,
    /// Batches that are neither acknowledged nor given up.
    pub waiting: usize,
    pub counts: ProducerCounts,
}

#[derive(Default)]
pub(super) struct TopicQueues {
    pub partitions: Vec<Queue>,
    /// Where records without a key go until that batch is full.
    sticky: usize,
}

impl Queues {
    /// The queue for a record; the topic has its partitions.
    pub fn choose(
        &mut self,
        topic: &Topic,
        partition: Option<i32>,
        key: Option<&[u8]>,
        random: impl FnOnce() -> u64,
    ) -> &mut Queue {
        if !self.topics.contains_key(topic.name.as_str()) {
            self.topics
                .insert(Arc::from(topic.name.as_str()), TopicQueues::default());
        }
        let queues = self
            .topics
            .get_mut(topic.name.as_str())
            .expect("it was inserted");
        let count = topic.partitions.len().max(1);
        while queues.partitions.len() < count {
            queues
                .partitions
                .push(Queue::new(queues.partitions.len() as i32));
        }
        let index = match (partition, key) {
            (Some(partition), _) => usize::try_from(partition).unwrap_or(0),
            (None, Some(key)) => partition_of(key, count),
            (None, None) => {
                let current = queues.partitions.get(queues.sticky);
                if current.is_none_or(|queue| queue.open.is_none()) {
                    queues.sticky = (random() % count as u64) as usize;
                }
                queues.sticky
            }
        };
        let last = queues.partitions.len() - 1;
        &mut queues.partitions[index.min(last)]
    }

    pub fn get(&mut self, topic: &str, partition: i32) -> Option<&mut Queue> {
        let queues = self.topics.get_mut(topic)?;
        queues.partitions.get_mut(usize::try_from(partition).ok()?)
    }

    pub fn all(&mut self) -> impl Iterator<Item = (&Arc<str>, &mut Queue)> {
        self.topics.iter_mut().flat_map(|(topic, queues)| {
            queues
                .partitions
                .iter_mut()
                .map(move |queue| (topic, queue))
        })
    }
}
