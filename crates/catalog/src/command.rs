//! Commands: the only way in which the state of a cell changes. Stored in the command log.
//!
//! A command carries everything that chance or the world decided (ids, names); the time comes with
//! the commit. Whether it holds is decided by `apply` alone.

use bytes::Bytes;
use levada_model::{
    Extent, Offset, PartitionId, ProducerEpoch, ProducerId, SegmentId, Sequence, TopicId,
};

pub use crate::groups::GroupCommand;
pub use crate::queues::{Delivery, QueueCommand, QueuedBatch};
use crate::state::StateSettings;

/// One change. The ordinals of its stored form are frozen: see [`crate::encoding`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    CreateTopic(CreateTopic),
    DeleteTopic {
        topic: TopicId,
    },
    /// Grows a topic to `total` partitions.
    CreatePartitions {
        topic: TopicId,
        total: u32,
    },
    /// Sets (`Some`) or resets to the default (`None`) settings of a topic.
    AlterTopic {
        topic: TopicId,
        changes: Vec<(String, Option<String>)>,
    },
    /// Makes staged batches part of their partitions.
    Commit(Commit),
    /// Moves log starts forward: retention and DeleteRecords.
    AdvanceLogStart {
        moves: Vec<(PartitionId, Offset)>,
    },
    /// Replaces the oldest index entries of a partition by a run that the engine has staged.
    SpillIndex(SpillIndex),
    /// Replaces runs of a partition by one over the same offsets.
    ReplaceRuns(ReplaceRuns),
    /// Stored bytes lie elsewhere now: the same batches, at other extents.
    MoveExtents(MoveExtents),
    /// Allocates a producer id for an idempotent producer without transactional id.
    AllocateProducer,
    /// Bounds that act inside `apply` from here on: proposed by a sequencer that was configured
    /// otherwise than the state says.
    Configure(StateSettings),
    Group(GroupCommand),
    Queue(QueueCommand),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopic {
    pub name: String,
    /// Random, chosen by the engine.
    pub id: TopicId,
    pub partitions: u32,
    pub configs: Vec<(String, String)>,
}

/// Batches of one staged segment, in the order in which they lie there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub segment: SegmentId,
    pub batches: Vec<CommitBatch>,
    /// What there is to say of batches that were sent to queues, in their order.
    pub queued: Vec<QueuedBatch>,
}

/// One record batch of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitBatch {
    pub partition: PartitionId,
    /// Byte position in the segment.
    pub position: u64,
    pub length: u32,
    /// Offsets that the batch takes, at least one.
    pub offset_count: u32,
    /// Largest timestamp by the producer's clock; -1 when the client left it out.
    pub max_timestamp_ms: i64,
    /// The batch's own CRC-32C: what a reader must find.
    pub crc: u32,
    /// `None` for a batch that is not idempotent.
    pub producer: Option<BatchProducer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    pub first_sequence: Sequence,
}

/// An immutable, sorted run of index entries in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRun {
    pub first: Offset,
    /// One past the last offset that the run covers.
    pub end: Offset,
    pub max_timestamp_ms: i64,
    /// Bytes of record batches that the run's entries name.
    pub data_bytes: u64,
    pub extent: Extent,
}

/// Taken only when the run covers exactly the oldest entries of the tail, with their bytes and
/// largest timestamp. Where those bytes lie, by segment, the state knows from the entries and
/// keeps beside the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpillIndex {
    pub partition: PartitionId,
    pub run: IndexRun,
}

/// The bytes of a run's batches that lie in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentBytes {
    pub segment: SegmentId,
    pub bytes: u64,
}

/// Puts one run in the place of adjacent ones: merged, or with its batches rewritten elsewhere.
/// Taken only when the old ones are there still and cover the same offsets and bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaceRuns {
    pub partition: PartitionId,
    /// Where the old runs lie, oldest first.
    pub old: Vec<Extent>,
    pub run: IndexRun,
    /// Where the batches lie that the new run names; sums up to its `data_bytes`.
    pub segments: Vec<SegmentBytes>,
}

/// A move names a tail entry, or a run itself, by its first offset. Of a run's batches no single
/// one is moved: see [`ReplaceRuns`]. Each move names the old extent so that a move that came too late is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveExtents {
    pub moves: Vec<ExtentMove>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentMove {
    pub partition: PartitionId,
    pub base: Offset,
    pub from: Extent,
    pub to: Extent,
}

/// One record of the command log: commands that become durable together, at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandGroup {
    /// Stamped by the sequencer: max(previous, clock), milliseconds since the Unix epoch.
    pub now_ms: i64,
    pub commands: Vec<Command>,
}

impl CommandGroup {
    /// The stored form.
    pub fn encode(&self) -> Bytes {
        crate::encoding::encode_group(self)
    }
}

impl Command {
    /// About how many bytes the stored form takes: what a group commit is cut by.
    pub fn size_hint(&self) -> usize {
        const FIXED: usize = 64;
        const BATCH: usize = 40;
        const MOVE: usize = 24;
        match self {
            Command::Commit(commit) => {
                FIXED + commit.batches.len() * BATCH + commit.queued.len() * BATCH
            }
            Command::AdvanceLogStart { moves } => FIXED + moves.len() * MOVE,
            Command::MoveExtents(moves) => FIXED + moves.moves.len() * 2 * BATCH,
            Command::Group(group) => FIXED + group.size_hint(),
            Command::Queue(queue) => FIXED + queue.size_hint(),
            _ => 4 * FIXED,
        }
    }
}
