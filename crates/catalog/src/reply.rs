//! What `apply` answers to the proposer (one reply a command) and tells the engine (effects).

use levada_model::{Offset, PartitionId, ProducerEpoch, ProducerId, SegmentId, TopicId};

pub use crate::groups::{GroupEffect, GroupReply};

/// The result of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Done,
    Topic(Result<TopicId, TopicError>),
    /// One result for each batch of a commit, in its order.
    Committed(Vec<BatchResult>),
    /// The log starts that hold now, in the order of the moves; `None`: no such partition.
    LogStarts(Vec<Option<Offset>>),
    Producer {
        id: ProducerId,
        epoch: ProducerEpoch,
    },
    /// Whether a spilled or replaced run was taken.
    Index(Result<(), IndexRefusal>),
    /// For each extent move, whether it was taken; a stale one changes nothing.
    Moved(Vec<bool>),
    Group(GroupReply),
}

/// Why an index run was not taken. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexRefusal {
    #[error("the partition is unknown (deleted in between)")]
    UnknownPartition,
    #[error(
        "the index has changed since the run was written: it does not cover exactly what stands there"
    )]
    Changed,
}

/// Why a command on a topic was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("topic '{0}' exists already")]
    Exists(String),
    #[error("topic is unknown")]
    Unknown,
    #[error("{0}")]
    InvalidName(String),
    #[error("{0}")]
    InvalidPartitions(String),
    #[error("{0}")]
    InvalidConfig(String),
}

/// What became of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchResult {
    Appended {
        base: Offset,
        log_start: Offset,
        /// With LogAppendTime: the time that the records have now.
        append_time_ms: Option<i64>,
    },
    /// A retry of a batch that is in the producer's window: where it lies since then.
    Duplicate {
        base: Offset,
        log_start: Offset,
        append_time_ms: Option<i64>,
    },
    Refused(BatchRefusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchRefusal {
    #[error("the partition is unknown (deleted while the batch was under way)")]
    UnknownPartition,
    #[error("the sequence does not follow the producer's last one")]
    OutOfOrderSequence,
    #[error("the sequence repeats one that is older than the producer's window")]
    DuplicateSequence,
    #[error("a newer epoch of this producer exists")]
    InvalidProducerEpoch,
}

/// What changed for those who wait or clean up. Effects are facts after the state holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Readers of the partition may find more: its high watermark moved.
    HighWatermark {
        partition: PartitionId,
        to: Offset,
    },
    LogStart {
        partition: PartitionId,
        to: Offset,
    },
    TopicCreated {
        topic: TopicId,
    },
    PartitionsAdded {
        topic: TopicId,
    },
    TopicDeleted {
        topic: TopicId,
        name: String,
        partitions: Vec<PartitionId>,
    },
    TopicAltered {
        topic: TopicId,
    },
    /// Nothing in the state names this segment now: its bytes may go once a snapshot covers it.
    /// Also reported when a command named the segment in vain (all its batches were refused).
    /// A later command may name it again (a WAL file that is still written), so look at
    /// `State::segment` before anything is deleted.
    SegmentDead(SegmentId),
    Group(GroupEffect),
}
