//! The state of a cell, and `apply`, the one door through which it changes.

use std::sync::Arc;

use levada_model::{PartitionId, ProducerEpoch, ProducerId, SegmentId, TopicId};

use crate::command::Command;
use crate::group_rules::GroupWalk;
use crate::groups::GroupTable;
use crate::partition_table::PartitionTable;
use crate::partitions::Partition;
use crate::producers::ProducerTable;
use crate::queues::QueueTable;
use crate::reply::{Effect, Reply};
use crate::saver::Saver;
use crate::segments::{SegmentTable, SegmentUse};
use crate::shared_settings::SharedSettings;
use crate::snapshot::Walk;
use crate::topic_config::TopicConfig;
use crate::topics::{Topic, TopicTable};

/// Bounds that act inside `apply`. They decide what is a duplicate, so they are part of the state:
/// a log begins with the defaults, which are frozen, and `Command::Configure` changes them.
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
    /// What acts.
    pub(crate) settings: StateSettings,
    /// What this node was configured with.
    wanted: StateSettings,
    pub(crate) topics: TopicTable,
    pub(crate) partitions: PartitionTable,
    pub(crate) segments: SegmentTable,
    pub(crate) producers: ProducerTable,
    pub(crate) groups: GroupTable,
    pub(crate) queues: QueueTable,
    pub(crate) saver: Saver,
    pub(crate) group_walk: GroupWalk,
    /// The snapshot under way.
    pub(crate) walk: Option<Walk>,
    pub(crate) next_producer: i64,
    /// The settings of topics without overrides, shared.
    pub(crate) default_config: Arc<TopicConfig>,
    pub(crate) shared: SharedSettings,
}

impl State {
    /// A cell in which nothing has happened yet. The settings act once the command that
    /// [`State::settings_change`] gives has been applied.
    pub fn new(settings: StateSettings) -> State {
        State {
            settings: StateSettings::default(),
            wanted: settings,
            topics: TopicTable::new(),
            partitions: PartitionTable::new(),
            segments: SegmentTable::default(),
            producers: ProducerTable::default(),
            groups: GroupTable::default(),
            queues: QueueTable::default(),
            saver: Saver::default(),
            group_walk: GroupWalk::default(),
            walk: None,
            next_producer: 1,
            default_config: Arc::default(),
            shared: SharedSettings::default(),
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
            Command::Configure(settings) => {
                self.settings = *settings;
                Reply::Done
            }
            Command::Group(command) => self.apply_group(command, now_ms, effects),
            Command::Queue(command) => self.apply_queue(command, now_ms, effects),
        }
    }

    /// The settings that act.
    pub fn settings(&self) -> StateSettings {
        self.settings
    }

    /// What a sequencer proposes once it has replayed the log, if it was configured with other
    /// settings than those that act.
    pub fn settings_change(&self) -> Option<Command> {
        (self.settings != self.wanted).then_some(Command::Configure(self.wanted))
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

    /// Windows of idempotent producers that are kept: one for each producer and partition.
    pub fn producer_count(&self) -> usize {
        self.producers.slots.len()
    }

    /// Memory that they count for, against `producer_state_bytes_max`.
    pub fn producer_state_bytes(&self) -> usize {
        self.producers.slots.bytes()
    }

    pub fn groups(&self) -> &GroupTable {
        &self.groups
    }
}
