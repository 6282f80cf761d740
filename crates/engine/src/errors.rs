//! Why the engine refused, in the house's words; each protocol maps them to its own codes.

use levada_catalog::{BatchRefusal, TopicError};
use levada_env::port::PortError;
use levada_model::{BatchError, Offset};
use levada_sequencer::ProposeError;
use thiserror::Error;

use crate::rules::BadRecord;

/// Why records were not appended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AppendError {
    #[error("the topic does not exist")]
    UnknownTopic,
    #[error("no topic has this id")]
    UnknownTopicId,
    #[error("the topic has no such partition")]
    UnknownPartition,
    #[error("damaged batch: {0}")]
    CorruptBatch(String),
    #[error("message formats v0 and v1 are not supported: use a client of Kafka 0.11 or later")]
    UnsupportedFormat,
    #[error("invalid batch: {0}")]
    InvalidBatch(String),
    #[error("the batch has {bytes} bytes, max.message.bytes of the topic is {max}")]
    BatchTooLarge { bytes: usize, max: usize },
    #[error("timestamp {timestamp_ms} is outside what the topic allows around {now_ms}")]
    InvalidTimestamp {
        timestamp_ms: i64,
        now_ms: i64,
        /// Those outside; none if the records do not read.
        records: Vec<BadRecord>,
    },
    #[error("the topic is compacted, so that every record needs a key")]
    KeyMissing { records: Vec<BadRecord> },
    #[error("the producer's sequence does not follow its last one")]
    OutOfOrderSequence,
    #[error("the producer's sequence is older than its window")]
    DuplicateSequence,
    #[error("a newer epoch of this producer exists")]
    InvalidProducerEpoch,
    #[error("transactions are not supported yet")]
    Transactional,
    #[error("not now, retry: {0}")]
    Storage(String),
}

impl AppendError {
    /// The records that broke a rule, if it was a rule on records.
    #[must_use]
    pub fn bad_records(&self) -> &[BadRecord] {
        match self {
            Self::InvalidTimestamp { records, .. } | Self::KeyMissing { records } => records,
            _ => &[],
        }
    }
}

/// Why a read has no records.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    #[error("the topic does not exist")]
    UnknownTopic,
    #[error("no topic has this id")]
    UnknownTopicId,
    #[error("the topic has no such partition")]
    UnknownPartition,
    #[error("the offset is not between {log_start} and {high_watermark}")]
    OffsetOutOfRange {
        log_start: Offset,
        high_watermark: Offset,
    },
    #[error("the client's leader epoch is older than the partition's")]
    FencedEpoch,
    #[error("the client's leader epoch is newer than the partition's")]
    UnknownEpoch,
    #[error("stored records are damaged: {0}")]
    Corrupt(String),
    #[error("storage did not answer, retry: {0}")]
    Storage(String),
}

/// Why a change of topics was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AdminError {
    #[error("topic '{0}' exists already")]
    TopicExists(String),
    #[error("the topic does not exist")]
    UnknownTopic,
    #[error("no topic has this id")]
    UnknownTopicId,
    #[error("the topic has no such partition")]
    UnknownPartition,
    #[error("{0}")]
    InvalidName(String),
    #[error("{0}")]
    InvalidPartitions(String),
    #[error("{0}")]
    InvalidConfig(String),
    #[error("the offset is not between the log start and the high watermark")]
    OffsetOutOfRange,
    #[error("not now, retry: {0}")]
    Storage(String),
}

impl From<BatchError> for AppendError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Magic(0 | 1) => AppendError::UnsupportedFormat,
            BatchError::Count { .. } | BatchError::Compression(_) => {
                AppendError::InvalidBatch(error.to_string())
            }
            other => AppendError::CorruptBatch(other.to_string()),
        }
    }
}

impl From<BatchRefusal> for AppendError {
    fn from(refusal: BatchRefusal) -> Self {
        match refusal {
            BatchRefusal::UnknownPartition => AppendError::UnknownPartition,
            BatchRefusal::OutOfOrderSequence => AppendError::OutOfOrderSequence,
            BatchRefusal::DuplicateSequence => AppendError::DuplicateSequence,
            BatchRefusal::InvalidProducerEpoch => AppendError::InvalidProducerEpoch,
        }
    }
}

impl From<ProposeError> for AppendError {
    fn from(error: ProposeError) -> Self {
        AppendError::Storage(error.to_string())
    }
}

impl From<PortError> for AppendError {
    fn from(error: PortError) -> Self {
        AppendError::Storage(error.to_string())
    }
}

impl From<PortError> for ReadError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Corrupt(what) => ReadError::Corrupt(what),
            other => ReadError::Storage(other.to_string()),
        }
    }
}

impl From<ProposeError> for AdminError {
    fn from(error: ProposeError) -> Self {
        AdminError::Storage(error.to_string())
    }
}

impl From<TopicError> for AdminError {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::Exists(name) => AdminError::TopicExists(name),
            TopicError::Unknown => AdminError::UnknownTopic,
            TopicError::InvalidName(why) => AdminError::InvalidName(why),
            TopicError::InvalidPartitions(why) => AdminError::InvalidPartitions(why),
            TopicError::InvalidConfig(why) => AdminError::InvalidConfig(why),
        }
    }
}
