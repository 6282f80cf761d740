//! The rounds of a group: how one begins, when it is complete, what it decides.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::group::{Group, Phase};
use super::reply::GroupEffect;

impl Group {
    /// Asks every member to join again.
    pub(super) fn begin_round(&mut self, now_ms: i64, effects: &mut Vec<GroupEffect>) {
        let initial = self.phase == Phase::Empty;
        for member in self.members.values_mut() {
            member.joined = false;
            if self.phase == Phase::Completing {
                member.assignment = Bytes::new();
            }
        }
        self.enter(Phase::Preparing { initial }, now_ms);
        self.tell_round(initial, effects);
    }

    fn tell_round(&self, initial: bool, effects: &mut Vec<GroupEffect>) {
        effects.push(GroupEffect::RebalanceStarted {
            group: self.name.clone(),
            generation: self.generation,
            initial,
            timeout_ms: self.rebalance_timeout_ms(),
        });
    }

    /// `member` has joined: the round that is on, or a new one.
    pub(super) fn join_round(&mut self, member: &str, now_ms: i64, effects: &mut Vec<GroupEffect>) {
        if !matches!(self.phase, Phase::Preparing { .. }) {
            self.begin_round(now_ms, effects);
        }
        if let Some(member) = self.members.get_mut(member) {
            member.joined = true;
        }
        self.complete_if_all_joined(now_ms, effects);
    }

    /// Ends a round that need not wait for anybody.
    pub(super) fn complete_if_all_joined(&mut self, now_ms: i64, effects: &mut Vec<GroupEffect>) {
        let gathering = self.phase == Phase::Preparing { initial: false };
        if gathering && self.members.values().all(|member| member.joined) {
            self.complete_round(now_ms, effects);
        }
    }

    /// The time to rejoin is over: who did not is removed, except static members, which only their
    /// session timeout removes (KIP-345).
    pub(super) fn end_round(
        &mut self,
        generation: i32,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) {
        if !matches!(self.phase, Phase::Preparing { .. }) || generation != self.generation {
            return;
        }
        let late = self
            .members
            .iter()
            .filter(|(_, m)| !m.joined && m.instance.is_none());
        let late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
        for member in late {
            self.forget_member(&member, false, effects);
        }
        if self.members.is_empty() || self.members.values().any(|member| member.joined) {
            self.complete_round(now_ms, effects);
        } else {
            self.tell_round(false, effects);
        }
    }

    fn complete_round(&mut self, now_ms: i64, effects: &mut Vec<GroupEffect>) {
        self.generation = next_generation(self.generation);
        if self.members.is_empty() {
            self.protocol = None;
            self.leader = None;
            self.enter(Phase::Empty, now_ms);
            effects.push(GroupEffect::Emptied {
                group: self.name.clone(),
            });
            return;
        }
        let leader_is_here = |id: &String| self.members.get(id).is_some_and(|member| member.joined);
        if !self.leader.as_ref().is_some_and(leader_is_here) {
            let joined = self.members.iter().find(|(_, member)| member.joined);
            self.leader = joined.map(|(id, _)| id.clone());
        }
        self.protocol = self.select_protocol();
        for member in self.members.values_mut() {
            member.joined = false;
            member.assignment = Bytes::new();
        }
        self.enter(Phase::Completing, now_ms);
        effects.push(GroupEffect::RoundCompleted {
            group: self.name.clone(),
            round: self.view(),
        });
    }

    /// The protocol that most members prefer among those that all support; the leader's preference
    /// breaks a tie. `None`: no member, or none that all support.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let mut names = member
                .protocols
                .iter()
                .map(|protocol| protocol.name.as_str());
            if let Some(choice) = names.find(|name| self.all_support(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        let preferences = leader.into_iter().flat_map(|leader| &leader.protocols);
        let mut order = preferences.map(|protocol| protocol.name.as_str());
        let chosen = order
            .find(|name| votes.get(name) == Some(&most))
            .or_else(|| {
                votes
                    .iter()
                    .find(|(_, count)| **count == most)
                    .map(|(name, _)| *name)
            });
        chosen.map(str::to_owned)
    }

    pub(super) fn all_support(&self, protocol: &str) -> bool {
        self.members
            .values()
            .all(|member| member.supports(protocol))
    }

    /// Removes a member and lets the others share its work.
    pub(super) fn remove_member(
        &mut self,
        member: &str,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) {
        self.forget_member(member, false, effects);
        if matches!(self.phase, Phase::Stable | Phase::Completing) {
            self.begin_round(now_ms, effects);
        }
        self.complete_if_all_joined(now_ms, effects);
    }

    /// Takes a member out of the group's books; the first of those who stay leads from now on.
    pub(super) fn forget_member(
        &mut self,
        member: &str,
        fenced: bool,
        effects: &mut Vec<GroupEffect>,
    ) -> Option<super::Member> {
        let (id, gone) = self.members.remove_entry(member)?;
        if let Some(instance) = &gone.instance
            && self.instances.get(instance) == Some(&id)
        {
            self.instances.remove(instance);
        }
        if self.is_leader(&id) {
            self.leader = self.members.keys().next().cloned();
        }
        effects.push(GroupEffect::MemberRemoved {
            group: self.name.clone(),
            member: id,
            fenced,
        });
        Some(gone)
    }

    /// Takes every assignment as the leader made it.
    pub(super) fn assign(
        &mut self,
        assignments: Vec<(String, Bytes)>,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) {
        for (id, bytes) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = bytes;
            }
        }
        let given = self.members.iter();
        let given = given.map(|(id, member)| (id.clone(), member.assignment.clone()));
        let given: Vec<_> = given.collect();
        self.enter(Phase::Stable, now_ms);
        effects.push(GroupEffect::Assigned {
            group: self.name.clone(),
            generation: self.generation,
            assignments: given.into(),
        });
    }
}

/// Generations count up and never become negative: -1 means "none" in the protocol.
fn next_generation(generation: i32) -> i32 {
    generation.checked_add(1).unwrap_or(0)
}
