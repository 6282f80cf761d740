//! One group's state.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use levada_model::{Offset, TopicId};

use super::command::JoinProtocol;
use super::reply::{GroupError, RoundMember, RoundView};

/// Where a group is between two generations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Empty,
    /// Members gather. `initial`: the group was empty, so one who waits for all waits for nobody:
    /// only time ends it.
    Preparing {
        initial: bool,
    },
    /// Members wait for the leader's assignments.
    Completing,
    Stable,
}

impl Phase {
    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::Preparing { .. } => "PreparingRebalance",
            Phase::Completing => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }
}

/// A consumer group: membership and committed offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub(super) name: Arc<str>,
    pub(super) phase: Phase,
    pub(super) generation: i32,
    /// Kept while the group is empty; `None` for a group that never had members.
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    /// By member id.
    pub(super) members: BTreeMap<String, Member>,
    /// Member ids by group.instance.id.
    pub(super) instances: BTreeMap<String, String>,
    pub(super) offsets: BTreeMap<(TopicId, i32), CommittedOffset>,
    /// When the group entered its phase.
    pub(super) since_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: u32,
    pub rebalance_timeout_ms: u32,
    pub protocols: Vec<JoinProtocol>,
    pub assignment: Bytes,
    /// Whether it has rejoined in this round.
    pub joined: bool,
    /// Counts the member's joins: an expiry names the one that it has seen.
    pub attempt: u32,
}

/// What a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub offset: Offset,
    /// -1: not given.
    pub leader_epoch: i32,
    pub metadata: Box<str>,
    pub commit_ms: i64,
}

impl Member {
    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|own| own.name == protocol)
    }

    /// What the member said under `protocol`.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let own = self.protocols.iter().find(|own| own.name == protocol);
        own.map(|own| own.metadata.clone()).unwrap_or_default()
    }
}

impl Group {
    pub(super) fn new(name: &str, now_ms: i64) -> Self {
        Group {
            name: Arc::from(name),
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            offsets: BTreeMap::new(),
            since_ms: now_ms,
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// `None` for a group that never had members.
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// The protocol of this generation.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// By member id.
    pub fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    /// By topic and partition.
    pub fn offsets(&self) -> &BTreeMap<(TopicId, i32), CommittedOffset> {
        &self.offsets
    }

    /// When the group entered its phase, milliseconds since the Unix epoch.
    pub fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// The longest rebalance timeout of a member.
    pub fn rebalance_timeout_ms(&self) -> u32 {
        let timeouts = self.members.values().map(|m| m.rebalance_timeout_ms);
        timeouts.max().unwrap_or(0)
    }

    pub(super) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    pub(super) fn enter(&mut self, phase: Phase, now_ms: i64) {
        self.phase = phase;
        self.since_ms = now_ms;
    }

    /// That the member is known and that its instance id still belongs to it.
    pub(super) fn check_member(
        &self,
        member: &str,
        instance: Option<&str>,
    ) -> Result<&Member, GroupError> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(GroupError::UnknownMemberId),
                Some(owner) if owner != member => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        self.members.get(member).ok_or(GroupError::UnknownMemberId)
    }

    /// The current generation as its members learn it.
    pub(super) fn view(&self) -> Arc<RoundView> {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| RoundMember {
            member: id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(&protocol),
            session_timeout_ms: member.session_timeout_ms,
        });
        Arc::new(RoundView {
            generation: self.generation,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            leader: self.leader.clone().unwrap_or_default(),
            members: members.collect(),
            rebalance_timeout_ms: self.rebalance_timeout_ms(),
            protocol,
        })
    }
}
