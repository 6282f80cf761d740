//! What groups refuse, in Kafka's codes; and small conversions that these handlers share.

use bytes::Bytes;
use levada_engine::GroupError;
use levada_wire_kafka::{ErrorCode, KStr};

use crate::call::Call;

/// Kafka's code for a refusal.
pub fn error_code(error: GroupError) -> ErrorCode {
    match error {
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::GroupIdNotFound => ErrorCode::GroupIdNotFound,
        GroupError::UnknownMemberId => ErrorCode::UnknownMemberId,
        GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        GroupError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::TooLarge => ErrorCode::InvalidRequest,
        GroupError::TooManyGroups => ErrorCode::PolicyViolation,
        GroupError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
    }
}

/// The code of an answer; an error is counted.
pub fn code(call: &Call, result: Result<(), GroupError>) -> i16 {
    match result {
        Ok(()) => ErrorCode::None.code(),
        Err(error) => call.code(error_code(error)),
    }
}

/// A copy: what a group keeps must not pin the frame that it came in.
pub fn owned(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// As [`owned`].
pub fn text(text: &Option<KStr>) -> Option<String> {
    text.as_ref().map(ToString::to_string)
}

/// Results of all partitions, dealt out again to the topics that they belong to.
pub struct Results {
    results: std::vec::IntoIter<Result<(), GroupError>>,
}

impl Results {
    pub fn new(results: Vec<Result<(), GroupError>>) -> Self {
        Self {
            results: results.into_iter(),
        }
    }

    /// The code of the next partition.
    pub fn next(&mut self, call: &Call) -> i16 {
        // The engine gives one result for each; a missing one is for the client to try again.
        let missing = Err(GroupError::CoordinatorNotAvailable);
        code(call, self.results.next().unwrap_or(missing))
    }
}

/// Runs a call that waits for other members, but not longer than its client or the service.
pub async fn unless_over<T>(call: &Call, waits: impl Future<Output = T>) -> Result<T, GroupError> {
    tokio::select! {
        biased;
        outcome = waits => Ok(outcome),
        () = call.stopping().cancelled() => Err(GroupError::CoordinatorNotAvailable),
        () = call.gone().cancelled() => Err(GroupError::CoordinatorNotAvailable),
    }
}
