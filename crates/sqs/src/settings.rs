//! The listener's knobs.

use std::time::Duration;

use crate::auth::AccessKeys;

/// What `server` composes from the configuration.
#[derive(Clone, Debug)]
pub struct SqsSettings {
    /// The region in ARNs, as clients are configured for.
    pub region: String,
    /// Who may sign; without any, everybody is served.
    pub access_keys: AccessKeys,
    /// How long the name of a deleted queue cannot be used again (SQS: 60 s,
    /// QueueDeletedRecently). Zero here: the service waits until all its machines know of the
    /// deletion, which takes no time on one, and tests delete and make the same queue all day.
    pub deleted_name_wait: Duration,
    /// A request whose head has not arrived after this long is dropped; so is an idle connection.
    /// Longer than clients keep theirs (60 s in Java, 90 s in Go): else they would send into one that
    /// is just being closed.
    pub head_timeout: Duration,
    /// How long a request's body may take to arrive, and an answer to be taken.
    pub transfer_timeout: Duration,
    /// Bytes of request bodies, over all connections, that are not answered yet.
    pub request_bytes_max: usize,
    /// Bytes of answers, over all connections, that are not taken yet; then receives wait.
    pub response_bytes_max: usize,
}

impl Default for SqsSettings {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            access_keys: AccessKeys::default(),
            deleted_name_wait: Duration::ZERO,
            head_timeout: Duration::from_secs(120),
            transfer_timeout: Duration::from_secs(30),
            request_bytes_max: 64 << 20,
            response_bytes_max: 64 << 20,
        }
    }
}
