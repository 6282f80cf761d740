//! The state of a cell, and `apply`, the one door through which it changes.

use std::sync::Arc;

use levada_model::{PartitionId, ProducerEpoch, ProducerId, SegmentId, TopicId};

use crate::command::Command;
use crate::group_rules::GroupWalk;
use crate::groups::GroupTable;
use crate::partitions::{Partition, PartitionTable};
use crate::reply::{Effect, Reply};
use crate::saver::Saver;
use crate::segments::{SegmentTable, SegmentUse};
use crate::topic_config::TopicConfig;
use crate::topics::{Topic, TopicTable};

/// Bounds that act inside `apply`. They decide what is a duplicate, so every node must use the
/// same ones at the same position of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// How long a producer's window is kept after its last batch (`producer.id.expiration.ms`).
    pub producer_expiration_ms: i64,
    /// Memory that all producers' windows may take; the least recently used go first.
    pub producer_state_bytes_max: usize,
}

impl Default for StateSettings {
    fn default() -> Self {
        StateSettings {
            producer_expiration_ms: 86_400_000,
            producer_state_bytes_max: 32 * 1024 * 1024,
        }
    }
}

/// Everything that a cell knows, as rows.
pub struct State {
    pub(crate) settings: StateSettings,
    pub(crate) topics: TopicTable,
    pub(crate) partitions: PartitionTable,
    pub(crate) segments: SegmentTable,
    pub(crate) groups: GroupTable,
    pub(crate) saver: Saver,
    pub(crate) group_walk: GroupWalk,
    pub(crate) next_producer: i64,
    /// The settings of topics without overrides, shared.
    pub(crate) default_config: Arc<TopicConfig>,
}

impl State {
    /// A cell in which nothing has happened yet.
    pub fn new(settings: StateSettings) -> State {
        State {
            settings,
            topics: TopicTable::new(),
            partitions: PartitionTable::new(),
            segments: SegmentTable::default(),
            groups: GroupTable::default(),
            saver: Saver::default(),
            group_walk: GroupWalk::default(),
            next_producer: 1,
            default_config: Arc::default(),
        }
    }

    /// Applies one durable command: the same commands at the same times give the same state and
    /// the same replies on every node. `now_ms` never goes back. Effects are appended.
    pub fn apply(&mut self, command: &Command, now_ms: i64, effects: &mut Vec<Effect>) -> Reply {
        match command {
            Command::CreateTopic(create) => {
                Reply::Topic(self.create_topic(create, now_ms, effects))
            }
            Command::DeleteTopic { topic } => Reply::Topic(self.delete_topic(*topic, effects)),
            Command::CreatePartitions { topic, total } => {
                Reply::Topic(self.create_partitions(*topic, *total, effects))
            }
            Command::AlterTopic { topic, changes } => {
                Reply::Topic(self.alter_topic(*topic, changes, effects))
            }
            Command::Commit(commit) => Reply::Committed(self.commit(commit, now_ms, effects)),
            Command::AdvanceLogStart { moves } => {
                Reply::LogStarts(self.advance_log_starts(moves, effects))
            }
            Command::SpillIndex(spill) => Reply::Index(self.spill_index(spill, effects)),
            Command::ReplaceRuns(replace) => Reply::Index(self.replace_runs(replace, effects)),
            Command::MoveExtents(moves) => Reply::Moved(self.move_extents(&moves.moves, effects)),
            Command::AllocateProducer => {
                let id = ProducerId(self.next_producer);
                self.next_producer += 1;
                let epoch = ProducerEpoch(0);
                Reply::Producer { id, epoch }
            }
            Command::Group(command) => self.apply_group(command, now_ms, effects),
        }
    }

    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(id)
    }

    pub fn topic_named(&self, name: &str) -> Option<&Topic> {
        self.topics.named(name)
    }

    /// In name order.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter()
    }

    /// The topics behind `name` in name order, so that a walk can pause; all for `None`.
    pub fn topics_after(&self, name: Option<&str>) -> impl Iterator<Item = &Topic> {
        self.topics.after(name)
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    pub fn partition_count(&self) -> u64 {
        self.partitions.count()
    }

    /// In constant time.
    #[inline]
    pub fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.get(id)
    }

    /// Segments with live bytes, in the order of their ids.
    pub fn segments(&self) -> impl Iterator<Item = (SegmentId, SegmentUse)> + '_ {
        self.segments.iter()
    }

    /// `None` when nothing in the state names the segment.
    pub fn segment(&self, id: SegmentId) -> Option<SegmentUse> {
        self.segments.get(id)
    }

    pub fn groups(&self) -> &GroupTable {
        &self.groups
    }
}
