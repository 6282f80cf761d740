//! What an administrator does, as methods of [`Client`](crate::Client).

mod configs;
mod groups;
mod offsets;
mod topics;

pub use configs::{ConfigEntry, ConfigOperation};
pub use groups::{CommittedOffset, GroupDescription, GroupMember, ListedGroup};
pub(crate) use groups::{commit, commit_topics};
pub use offsets::{FoundOffset, OffsetAt};
pub use topics::{LogSize, NewTopic};

/// How long a broker may take for an administrator's request, in milliseconds.
const OPERATION_TIMEOUT_MS: i32 = 20_000;
