//! The one place where the engine's refusals become Kafka's error codes.

use levada_engine::{AdminError, AppendError, ReadError};
use levada_model::TopicId;
use levada_wire_kafka::{ErrorCode, KStr, Uuid};

/// What a transactional id gets until there are transactions: of Kafka's codes the one that every
/// client takes as final instead of trying again for ever.
pub const NO_TRANSACTIONS: ErrorCode = ErrorCode::TransactionalIdAuthorizationFailed;

pub fn of_append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::UnknownTopic | AppendError::UnknownPartition => {
            ErrorCode::UnknownTopicOrPartition
        }
        AppendError::UnknownTopicId => ErrorCode::UnknownTopicId,
        AppendError::CorruptBatch(_) => ErrorCode::CorruptMessage,
        // As Kafka answers since 4.0: with requests of version 3 on, batches must be of format v2.
        AppendError::UnsupportedFormat
        | AppendError::InvalidBatch(_)
        | AppendError::KeyMissing { .. } => ErrorCode::InvalidRecord,
        AppendError::BatchTooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
        AppendError::OutOfOrderSequence => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::DuplicateSequence => ErrorCode::DuplicateSequenceNumber,
        AppendError::InvalidProducerEpoch => ErrorCode::InvalidProducerEpoch,
        AppendError::Transactional => NO_TRANSACTIONS,
        AppendError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

pub fn of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::UnknownTopic | ReadError::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        ReadError::UnknownTopicId => ErrorCode::UnknownTopicId,
        ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::FencedEpoch => ErrorCode::FencedLeaderEpoch,
        ReadError::UnknownEpoch => ErrorCode::UnknownLeaderEpoch,
        // As Kafka answers. Clients hand it to the application and stay where they are; on
        // KAFKA_STORAGE_ERROR they would ask again for ever and say nothing.
        ReadError::Corrupt(_) => ErrorCode::CorruptMessage,
        ReadError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

pub fn of_admin(error: &AdminError) -> ErrorCode {
    match error {
        AdminError::TopicExists(_) => ErrorCode::TopicAlreadyExists,
        AdminError::UnknownTopic | AdminError::UnknownPartition => {
            ErrorCode::UnknownTopicOrPartition
        }
        AdminError::UnknownTopicId => ErrorCode::UnknownTopicId,
        AdminError::InvalidName(_) => ErrorCode::InvalidTopicException,
        AdminError::InvalidPartitions(_) => ErrorCode::InvalidPartitions,
        AdminError::InvalidConfig(_) => ErrorCode::InvalidConfig,
        AdminError::OffsetOutOfRange => ErrorCode::OffsetOutOfRange,
        AdminError::Storage(_) => ErrorCode::KafkaStorageError,
    }
}

/// A refusal with what the client is told.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: String,
}

impl Refusal {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<AdminError> for Refusal {
    fn from(error: AdminError) -> Self {
        Self::new(of_admin(&error), error.to_string())
    }
}

/// The message of a refusal as a field.
pub fn text(message: impl AsRef<str>) -> Option<KStr> {
    Some(KStr::from(message.as_ref()))
}

pub fn wire_id(id: TopicId) -> Uuid {
    Uuid(id.0)
}

pub fn model_id(id: Uuid) -> TopicId {
    TopicId(id.0)
}
