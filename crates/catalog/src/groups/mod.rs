//! Classic consumer groups: their commands, rules and rows.
//!
//! Everything that a client can observe after a restart is here: members, generation, protocol,
//! assignments, committed offsets. Heartbeats, session timers and waiting calls are the engine's;
//! what they lead to comes back as a command that names what it is about, and is refused when that
//! has changed. The rules are those of Apache Kafka's classic group coordinator.
//!
//! | phase | members | leaves it by |
//! |---|---|---|
//! | Empty | none | the first join |
//! | Preparing | gather: each has rejoined or not | all rejoined, or `CompleteRebalance` |
//! | Completing | wait for the leader's assignments | the leader's `Sync` |
//! | Stable | work | any join, leave or expiry that changes who shares the work |

mod admin;
mod command;
mod encoding;
mod group;
mod join;
mod leave;
mod offsets;
mod rebalance;
mod reply;
mod subscription;
mod sync;
mod table;

pub use command::{CommitOffsets, GroupCommand, Join, JoinProtocol, Leaving, OffsetToCommit, Sync};
pub use group::{CommittedOffset, Group, Member, Phase};
pub use join::{check_group_id, check_session_timeout};
pub use reply::{GroupEffect, GroupError, GroupReply, Joined, RoundMember, RoundView};
pub use sync::{Heartbeat, SyncStep};
pub use table::{GroupTable, TopicLookup};
