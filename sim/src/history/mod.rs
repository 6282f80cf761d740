//! What clients did and saw in one run, in order: the only thing that the checks look at.
//!
//! Clients write it through a [`Recorder`]. Its text (`History::to_string`) is the trace that must
//! be the same, byte by byte, when the same seed runs again.

pub mod check;
mod event;
mod queue;
mod record;
mod recorder;
mod render;

use levada_wire_kafka::ErrorCode;

pub use event::{
    Answer, CallId, ClientId, Cost, End, Event, ListedTopic, Note, Op, Outcome, Place, Retention,
    Sequenced, Topic, What,
};
pub use queue::{Delivery, MessageKey, NewMessage, Part, QueueAnswer, QueueOp};
pub use record::RecordId;
pub use recorder::Recorder;

/// Everything that clients did and saw in one run. The order of the list is the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    pub events: Vec<Event>,
}

/// Whether a refused call is known to have had no effect.
///
/// Not so with the errors that a broker also gives when it does not know the end itself: its
/// storage or its process failed while the command was on its way (KAFKA_STORAGE_ERROR,
/// COORDINATOR_NOT_AVAILABLE and the like), or Kafka defines the error as "appended, but not
/// replicated in time". DUPLICATE_SEQUENCE_NUMBER says that the batch stands there already.
/// Such a call counts as one without an answer.
pub fn is_definite(code: i16) -> bool {
    !matches!(
        ErrorCode::try_from(code),
        Err(_)
            | Ok(ErrorCode::UnknownServerError
                | ErrorCode::RequestTimedOut
                | ErrorCode::NetworkException
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotEnoughReplicasAfterAppend
                | ErrorCode::DuplicateSequenceNumber
                | ErrorCode::KafkaStorageError)
    )
}
