//! What the group rules answer, and what they tell those who wait.

use std::sync::Arc;

use bytes::Bytes;

/// The result of a [`GroupCommand`](super::GroupCommand).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupReply {
    /// A join that needs no waiting.
    Joined(Joined),
    /// A join that waits for the round that began in this generation; its end is told by
    /// [`GroupEffect::RoundCompleted`] with a higher one.
    Waiting {
        generation: i32,
    },
    /// The leader's own assignment.
    Assigned(Bytes),
    /// One result for each leaving member.
    Left(Vec<Result<(), GroupError>>),
    /// One result for each offset, in the order of the command.
    Offsets(Vec<Result<(), GroupError>>),
    Done,
    /// Refused as a whole.
    Refused(GroupError),
}

/// Why a group refused. Each is the error of that name in Kafka's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("the group id is empty or too long")]
    InvalidGroupId,
    #[error("the group is unknown")]
    GroupIdNotFound,
    #[error("the member is unknown: it left, expired or never joined; join anew")]
    UnknownMemberId,
    #[error("another member has taken this group.instance.id over")]
    FencedInstanceId,
    #[error("the generation is not the group's current one; join again")]
    IllegalGeneration,
    #[error("the group is rebalancing; join again")]
    RebalanceInProgress,
    #[error("protocol type or protocols do not fit those of the group's other members")]
    InconsistentGroupProtocol,
    #[error("the group has as many members as group.max.size allows")]
    GroupMaxSizeReached,
    #[error(
        "the session timeout is outside group.min.session.timeout.ms and group.max.session.timeout.ms"
    )]
    InvalidSessionTimeout,
    #[error("join again with the member id in this answer")]
    MemberIdRequired,
    #[error("the group still has members")]
    NonEmptyGroup,
    #[error("a member of the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    #[error("the topic or partition is unknown")]
    UnknownTopicOrPartition,
    #[error("the offset's metadata is longer than offset.metadata.max.bytes")]
    OffsetMetadataTooLarge,
    #[error("a name or the metadata in the request is larger than the server allows")]
    TooLarge,
    #[error("the server keeps as many groups as it can; delete unused ones")]
    TooManyGroups,
    #[error("the coordinator is stopping or cannot store the change now; try again")]
    CoordinatorNotAvailable,
}

/// One member's view of the generation it has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub member: String,
    pub round: Arc<RoundView>,
    /// The leader that the member is told. After a static leader came back to an old client this
    /// is its previous id, so that the client acts as a follower.
    pub leader: String,
    /// Whether the answer lists the members: to the leader only.
    pub with_members: bool,
    /// The leader must not compute assignments (KIP-814).
    pub skip_assignment: bool,
}

/// A generation as its members learn it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundView {
    pub generation: i32,
    pub protocol_type: String,
    pub protocol: String,
    pub leader: String,
    /// Every member, sorted by id.
    pub members: Vec<RoundMember>,
    /// Longest rebalance timeout among the members: how long to wait for each to sync.
    pub rebalance_timeout_ms: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundMember {
    pub member: String,
    pub instance: Option<String>,
    /// Under the chosen protocol.
    pub metadata: Bytes,
    pub session_timeout_ms: u32,
}

impl RoundView {
    /// What `member` is told when the round completes.
    pub fn joined(self: &Arc<Self>, member: &str) -> Joined {
        Joined {
            member: member.to_owned(),
            leader: self.leader.clone(),
            with_members: self.leader == member,
            skip_assignment: false,
            round: Arc::clone(self),
        }
    }

    pub fn has(&self, member: &str) -> bool {
        let members = &self.members;
        members
            .binary_search_by(|known| known.member.as_str().cmp(member))
            .is_ok()
    }
}

/// What changed in a group, for those who wait. In the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEffect {
    MemberAdded {
        group: Arc<str>,
        member: String,
        session_timeout_ms: u32,
    },
    /// `fenced`: its group.instance.id has a new member id now.
    MemberRemoved {
        group: Arc<str>,
        member: String,
        fenced: bool,
    },
    /// Members have `timeout_ms` to rejoin. Told again, with the same generation, when the time
    /// passed and nobody had. `initial`: the group was empty; more members are awaited.
    RebalanceStarted {
        group: Arc<str>,
        generation: i32,
        initial: bool,
        timeout_ms: u32,
    },
    /// The round is over and the group has members: `round.generation` is the new one.
    RoundCompleted {
        group: Arc<str>,
        round: Arc<RoundView>,
    },
    /// The leader's assignments are stored.
    Assigned {
        group: Arc<str>,
        generation: i32,
        /// Every member's, sorted by member id.
        assignments: Arc<Vec<(String, Bytes)>>,
    },
    /// The group has no members any more.
    Emptied { group: Arc<str> },
    /// The group is gone.
    Removed { group: Arc<str> },
}

impl GroupEffect {
    pub fn group(&self) -> &Arc<str> {
        match self {
            GroupEffect::MemberAdded { group, .. }
            | GroupEffect::MemberRemoved { group, .. }
            | GroupEffect::RebalanceStarted { group, .. }
            | GroupEffect::RoundCompleted { group, .. }
            | GroupEffect::Assigned { group, .. }
            | GroupEffect::Emptied { group }
            | GroupEffect::Removed { group } => group,
        }
    }
}
