//! JoinGroup: who may join, and whether that begins a round.

use std::ops::RangeInclusive;

use bytes::Bytes;
use levada_model::limits::{GROUP_METADATA_BYTES_MAX, GROUP_PROTOCOLS_MAX, NAME_BYTES_MAX};

use super::command::Join;
use super::group::{Group, Member, Phase};
use super::reply::{GroupEffect, GroupError, GroupReply, Joined};

impl Join {
    /// The rules that need no state.
    ///
    /// # Errors
    /// [`GroupError::InvalidGroupId`], [`GroupError::TooLarge`].
    pub fn check(&self) -> Result<(), GroupError> {
        check_group_id(&self.group)?;
        let names = [
            &self.member,
            &self.client_id,
            &self.client_host,
            &self.protocol_type,
        ];
        let protocols = self.protocols.iter().map(|protocol| &protocol.name);
        let mut names = names.into_iter().chain(&self.instance).chain(protocols);
        let metadata: usize = self.protocols.iter().map(|p| p.metadata.len()).sum();
        if names.any(|name| name.len() > NAME_BYTES_MAX)
            || self.protocols.len() > GROUP_PROTOCOLS_MAX
            || metadata > GROUP_METADATA_BYTES_MAX
        {
            return Err(GroupError::TooLarge);
        }
        Ok(())
    }
}

/// What every call of a member needs.
///
/// # Errors
/// [`GroupError::InvalidGroupId`].
pub fn check_group_id(group: &str) -> Result<(), GroupError> {
    if group.is_empty() || group.len() > NAME_BYTES_MAX {
        Err(GroupError::InvalidGroupId)
    } else {
        Ok(())
    }
}

/// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
///
/// # Errors
/// [`GroupError::InvalidSessionTimeout`].
pub fn check_session_timeout(
    asked_ms: i32,
    bounds_ms: RangeInclusive<u32>,
) -> Result<u32, GroupError> {
    match u32::try_from(asked_ms) {
        Ok(asked_ms) if bounds_ms.contains(&asked_ms) => Ok(asked_ms),
        _ => Err(GroupError::InvalidSessionTimeout),
    }
}

impl Group {
    pub(super) fn join(
        &mut self,
        join: Join,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) -> GroupReply {
        match self.try_join(join, now_ms, effects) {
            Ok(joined) => GroupReply::Joined(joined),
            Err(Refusal::Wait { member, generation }) => self.after_round(&member, generation),
            Err(Refusal::Error(error)) => GroupReply::Refused(error),
        }
    }

    /// A join that was put into a round: it may have completed that round.
    fn after_round(&self, member: &str, generation: i32) -> GroupReply {
        if self.phase == Phase::Completing && self.generation != generation {
            GroupReply::Joined(self.view().joined(member))
        } else {
            GroupReply::Waiting { generation }
        }
    }

    fn try_join(
        &mut self,
        join: Join,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) -> Result<Joined, Refusal> {
        let owner = join
            .instance
            .as_ref()
            .and_then(|instance| self.instances.get(instance));
        let owner = owner.cloned();
        self.admit(&join, owner.is_some(), now_ms, effects)?;
        self.check_protocols(&join)?;
        let new = join.fresh && !self.members.contains_key(&join.member);
        match owner {
            Some(owner) if new => self.replace_static(&owner, join, now_ms, effects),
            None if new => Err(self.add_member(join, now_ms, effects)),
            _ => self.rejoin(join, now_ms, effects),
        }
    }

    /// Refuses a join of a full group. A member that finds its place taken is removed.
    fn admit(
        &mut self,
        join: &Join,
        replaces: bool,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) -> Result<(), GroupError> {
        if self.has_room(join, replaces) {
            return Ok(());
        }
        if self.members.contains_key(&join.member) {
            self.remove_member(&join.member, now_ms, effects);
        }
        Err(GroupError::GroupMaxSizeReached)
    }

    /// `group.max.size` (KIP-389): while a round gathers, only those who have joined it count.
    fn has_room(&self, join: &Join, replaces: bool) -> bool {
        let max = join.members_max as usize;
        let known = self.members.get(&join.member);
        match self.phase {
            Phase::Empty => max > 0,
            Phase::Preparing { .. } => {
                let joined = self.members.values().filter(|member| member.joined).count();
                replaces || known.is_some_and(|member| member.joined) || joined < max
            }
            Phase::Completing | Phase::Stable => {
                replaces || known.is_some() || self.members.len() < max
            }
        }
    }

    /// What a client without a member id is told before it gets one (KIP-394).
    pub(super) fn check_newcomer(&self, join: &Join) -> Result<(), GroupError> {
        if !self.has_room(join, false) {
            return Err(GroupError::GroupMaxSizeReached);
        }
        self.check_protocols(join)
    }

    fn check_protocols(&self, join: &Join) -> Result<(), GroupError> {
        let fits = match &self.protocol_type {
            Some(own) if !self.members.is_empty() => {
                let mut names = join.protocols.iter().map(|protocol| &protocol.name);
                *own == join.protocol_type && names.any(|name| self.all_support(name))
            }
            _ => !join.protocol_type.is_empty() && !join.protocols.is_empty(),
        };
        if fits {
            Ok(())
        } else {
            Err(GroupError::InconsistentGroupProtocol)
        }
    }

    fn add_member(&mut self, join: Join, now_ms: i64, effects: &mut Vec<GroupEffect>) -> Refusal {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
            self.leader = Some(join.member.clone());
        }
        let id = join.member.clone();
        self.insert_member(join, Bytes::new(), effects);
        self.wait_in_round(id, now_ms, effects)
    }

    fn insert_member(&mut self, join: Join, assignment: Bytes, effects: &mut Vec<GroupEffect>) {
        effects.push(GroupEffect::MemberAdded {
            group: self.name.clone(),
            member: join.member.clone(),
            session_timeout_ms: join.session_timeout_ms,
        });
        if let Some(instance) = &join.instance {
            self.instances.insert(instance.clone(), join.member.clone());
        }
        let member = Member {
            instance: join.instance,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: join.protocols,
            assignment,
            joined: false,
            attempt: 1,
        };
        self.members.insert(join.member, member);
    }

    fn wait_in_round(
        &mut self,
        member: String,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) -> Refusal {
        let generation = self.generation;
        self.join_round(&member, now_ms, effects);
        Refusal::Wait { member, generation }
    }

    /// A known member joins again.
    fn rejoin(
        &mut self,
        join: Join,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) -> Result<Joined, Refusal> {
        let member = self.check_member(&join.member, join.instance.as_deref())?;
        let unchanged = member.protocols == join.protocols;
        let leads = self.is_leader(&join.member);
        let id = join.member.clone();
        self.update_member(join);
        match self.phase {
            // Only a leader may ask for new assignments without a change: it saw one elsewhere.
            Phase::Stable if unchanged && !leads => {
                let mut joined = self.view().joined(&id);
                joined.with_members = false;
                Ok(joined)
            }
            // It may not have seen the answer to its last join.
            Phase::Completing if unchanged => Ok(self.view().joined(&id)),
            Phase::Stable | Phase::Completing | Phase::Preparing { .. } => {
                Err(self.wait_in_round(id, now_ms, effects))
            }
            Phase::Empty => Err(GroupError::UnknownMemberId.into()),
        }
    }

    /// Every field that a join carries, so that none is stale.
    fn update_member(&mut self, join: Join) {
        if let Some(member) = self.members.get_mut(&join.member) {
            member.client_id = join.client_id;
            member.client_host = join.client_host;
            member.session_timeout_ms = join.session_timeout_ms;
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
            member.protocols = join.protocols;
            member.attempt = member.attempt.wrapping_add(1);
        }
    }

    /// A static member came back without its id: it gets a new one, and what it had (KIP-345). The
    /// others need not notice unless its protocols change the group's choice.
    fn replace_static(
        &mut self,
        owner: &str,
        join: Join,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) -> Result<Joined, Refusal> {
        let leader_before = self.leader.clone().unwrap_or_default();
        let led = leader_before == owner;
        let skip = join.skip_assignment;
        let id = join.member.clone();
        let gone = self.forget_member(owner, true, effects);
        let assignment = gone.map(|member| member.assignment).unwrap_or_default();
        self.insert_member(join, assignment, effects);
        if led {
            self.leader = Some(id.clone());
        }
        if self.phase != Phase::Stable || self.select_protocol() != self.protocol {
            return Err(self.wait_in_round(id, now_ms, effects));
        }
        let round = self.view();
        let leads = led && skip;
        Ok(Joined {
            member: id,
            leader: if skip {
                round.leader.clone()
            } else {
                leader_before
            },
            with_members: leads,
            skip_assignment: leads,
            round,
        })
    }
}

/// A join that has no answer yet, or a refused one.
enum Refusal {
    Wait { member: String, generation: i32 },
    Error(GroupError),
}

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Self {
        Refusal::Error(error)
    }
}
