//! The changes to consumer groups, as they stand in the command log.

use bytes::Bytes;
use levada_model::{Offset, TopicId};

/// A change to one consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupCommand {
    Join(Join),
    /// The leader hands in the assignments of a generation.
    Sync(Sync),
    Leave {
        group: String,
        members: Vec<Leaving>,
    },
    /// A member was silent for its session timeout, or did not fetch its assignment in time.
    /// Refused if the generation or the member's attempt are not these any more.
    ExpireMember {
        group: String,
        member: String,
        generation: i32,
        attempt: u32,
    },
    /// The time to rejoin is over (or the first rebalance's initial delay) for the round that
    /// began in `generation`.
    CompleteRebalance {
        group: String,
        generation: i32,
    },
    CommitOffsets(CommitOffsets),
    /// OffsetDelete (KIP-496).
    DeleteOffsets {
        group: String,
        partitions: Vec<(TopicId, i32)>,
    },
    /// DeleteGroups (KIP-229): only an empty group.
    DeleteGroup {
        group: String,
    },
    /// Drops offsets that nobody has used for `retention_ms`, and the group with its last one.
    ExpireOffsets {
        group: String,
        retention_ms: u64,
    },
}

impl GroupCommand {
    /// The group that the command is about: the only row that it changes.
    pub fn group(&self) -> &str {
        match self {
            GroupCommand::Join(join) => &join.group,
            GroupCommand::Sync(sync) => &sync.group,
            GroupCommand::CommitOffsets(commit) => &commit.group,
            GroupCommand::Leave { group, .. }
            | GroupCommand::ExpireMember { group, .. }
            | GroupCommand::CompleteRebalance { group, .. }
            | GroupCommand::DeleteOffsets { group, .. }
            | GroupCommand::DeleteGroup { group }
            | GroupCommand::ExpireOffsets { group, .. } => group,
        }
    }
}

impl GroupCommand {
    /// About how many bytes the stored form takes.
    pub fn size_hint(&self) -> usize {
        const FIXED: usize = 256;
        const ROW: usize = 64;
        let rows: usize = match self {
            GroupCommand::Join(join) => {
                let protocols = join.protocols.iter();
                protocols
                    .map(|protocol| ROW + protocol.metadata.len())
                    .sum()
            }
            GroupCommand::Sync(sync) => {
                let assignments = sync.assignments.iter();
                assignments
                    .map(|(member, bytes)| member.len() + ROW + bytes.len())
                    .sum()
            }
            GroupCommand::CommitOffsets(commit) => {
                let offsets = commit.offsets.iter();
                offsets.map(|offset| ROW + offset.metadata.len()).sum()
            }
            GroupCommand::Leave { members, .. } => members.len() * ROW,
            GroupCommand::DeleteOffsets { partitions, .. } => partitions.len() * ROW,
            _ => 0,
        };
        FIXED + rows
    }
}

/// A member joins or rejoins (JoinGroup; KIP-62, KIP-345, KIP-394, KIP-814).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    pub group: String,
    /// Never empty: the engine makes one up for a client that has none.
    pub member: String,
    /// Whether the engine made `member` up, for this call or for an earlier one that was answered
    /// MEMBER_ID_REQUIRED. Otherwise the member must be known.
    pub fresh: bool,
    /// `group.instance.id` of a static member.
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: u32,
    pub rebalance_timeout_ms: u32,
    pub protocol_type: String,
    /// In the member's order of preference.
    pub protocols: Vec<JoinProtocol>,
    /// Whether the client understands `skip_assignment` (JoinGroup 9, KIP-814).
    pub skip_assignment: bool,
    /// The setting `group.max.size` as the proposer knows it: stored, so that a replay decides
    /// alike.
    pub members_max: u32,
}

/// A way to assign that a member supports, and what it tells the leader under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinProtocol {
    pub name: String,
    pub metadata: Bytes,
}

/// Assignments from a group's leader (SyncGroup).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    pub group: String,
    pub member: String,
    pub instance: Option<String>,
    pub generation: i32,
    /// What the client believes (SyncGroup 5, KIP-559).
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// Member id and assignment.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member that leaves (LeaveGroup); named by id, by instance or by both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Empty when an administrator removes a static member by its instance id.
    pub member: String,
    pub instance: Option<String>,
}

/// Offsets to commit (OffsetCommit).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffsets {
    pub group: String,
    /// -1 from clients that use the group only to keep offsets.
    pub generation: i32,
    /// Empty from clients that use the group only to keep offsets.
    pub member: String,
    pub instance: Option<String>,
    pub offsets: Vec<OffsetToCommit>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetToCommit {
    /// [`TopicId::NONE`] for a topic that the engine did not find.
    pub topic: TopicId,
    pub partition: i32,
    pub offset: Offset,
    /// -1: not given.
    pub leader_epoch: i32,
    pub metadata: String,
}
