//! Why a queue refused, in the house's words; each protocol maps them to its own codes.

use thiserror::Error;

use crate::{AdminError, AppendError, ReadError};

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum QueueError {
    #[error("there is no queue of this name")]
    Unknown,
    /// The name or a setting.
    #[error("{0}")]
    Invalid(String),
    #[error("the message has {bytes} bytes, the queue takes {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("this is no receipt of this queue")]
    InvalidReceipt,
    /// Acknowledged, visible again, or received anew since.
    #[error("the message is not in flight under this receipt")]
    NotInFlight,
    /// Hidden for longer than `QUEUE_HIDDEN_MS_MAX` of the model, from the receive on.
    #[error("a message may be hidden for 43,200 seconds from its receive on, and no longer")]
    HiddenTooLong,
    /// `queue.in.flight.max` messages are.
    #[error("too many messages are in flight: acknowledge some first")]
    TooManyInFlight,
    /// `QUEUE_DELAY_RUNS_MAX` of the model.
    #[error(
        "too many messages wait with delays of their own: send without a delay, with the queue's \
         own, or when some are over"
    )]
    TooManyDelayed,
    /// A queue may be purged once a minute.
    #[error("the queue was purged less than 60 seconds ago")]
    PurgeInProgress,
    #[error("not now, retry: {0}")]
    Storage(String),
}

impl From<AdminError> for QueueError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::UnknownTopic | AdminError::UnknownTopicId => Self::Unknown,
            AdminError::Storage(why) => Self::Storage(why),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<AppendError> for QueueError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::UnknownTopic
            | AppendError::UnknownTopicId
            | AppendError::UnknownPartition => Self::Unknown,
            AppendError::BatchTooLarge { bytes, max } => Self::TooLarge { bytes, max },
            AppendError::Storage(why) => Self::Storage(why),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<ReadError> for QueueError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::UnknownTopic | ReadError::UnknownTopicId | ReadError::UnknownPartition => {
                Self::Unknown
            }
            other => Self::Storage(other.to_string()),
        }
    }
}
