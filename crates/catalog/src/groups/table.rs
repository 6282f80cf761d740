//! All groups of the cell, and the one door by which they change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use levada_model::TopicId;
use levada_model::limits::{GROUPS_MAX, NAME_BYTES_MAX};

use super::command::{CommitOffsets, GroupCommand, Join, Sync};
use super::group::Group;
use super::reply::{GroupEffect, GroupError, GroupReply};
use super::sync::{Heartbeat, SyncStep};

/// What the group rules have to know of topics.
pub trait TopicLookup {
    /// How many partitions the topic has; `None` if there is no such topic.
    fn partition_count(&self, topic: TopicId) -> Option<u32>;
    /// The topic's name; `None` if there is no such topic.
    fn topic_name(&self, topic: TopicId) -> Option<&str>;
}

/// Every consumer group, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupTable {
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    /// Which groups hold offsets of a topic, so that its deletion finds them.
    by_topic: BTreeSet<(TopicId, Arc<str>)>,
}

impl GroupTable {
    /// Decides and changes. `now_ms` is the commit's time; `effects` gets what waiters must know.
    pub fn apply(
        &mut self,
        command: GroupCommand,
        now_ms: i64,
        topics: &impl TopicLookup,
        effects: &mut Vec<GroupEffect>,
    ) -> GroupReply {
        match command {
            GroupCommand::Join(join) => self.join(join, now_ms, effects),
            GroupCommand::Sync(sync) => match self.groups.get_mut(&*sync.group) {
                Some(group) => group.sync(sync, now_ms, effects),
                None => GroupReply::Refused(GroupError::UnknownMemberId),
            },
            GroupCommand::Leave { group, members } => match self.groups.get_mut(&*group) {
                Some(group) => group.leave(&members, now_ms, effects),
                None => GroupReply::Left(vec![Err(GroupError::UnknownMemberId); members.len()]),
            },
            GroupCommand::ExpireMember {
                group,
                member,
                generation,
                attempt,
            } => match self.groups.get_mut(&*group) {
                Some(group) => group.expire_member(&member, generation, attempt, now_ms, effects),
                None => GroupReply::Done,
            },
            GroupCommand::CompleteRebalance { group, generation } => {
                if let Some(group) = self.groups.get_mut(&*group) {
                    group.end_round(generation, now_ms, effects);
                }
                GroupReply::Done
            }
            GroupCommand::CommitOffsets(commit) => self.commit(commit, now_ms, topics),
            GroupCommand::DeleteOffsets { group, partitions } => {
                self.delete_offsets(&group, &partitions, topics)
            }
            GroupCommand::DeleteGroup { group } => self.delete_group(&group, effects),
            GroupCommand::ExpireOffsets {
                group,
                retention_ms,
            } => self.expire_offsets(&group, retention_ms, now_ms, topics, effects),
        }
    }

    fn join(&mut self, join: Join, now_ms: i64, effects: &mut Vec<GroupEffect>) -> GroupReply {
        if let Err(error) = join.check() {
            return GroupReply::Refused(error);
        }
        if let Some(group) = self.groups.get_mut(&*join.group) {
            return group.join(join, now_ms, effects);
        }
        if !join.fresh {
            return GroupReply::Refused(GroupError::UnknownMemberId);
        }
        self.create(&join.group.clone(), now_ms, |group| {
            let reply = group.join(join, now_ms, effects);
            let refused = matches!(reply, GroupReply::Refused(_));
            (reply, !refused)
        })
    }

    /// Whether a newcomer may have a member id: it joins with it in its next call (KIP-394).
    ///
    /// # Errors
    /// Why its join would be refused.
    pub fn check_newcomer(&self, join: &Join) -> Result<(), GroupError> {
        join.check()?;
        match self.get(&join.group) {
            Some(group) => group.check_newcomer(join),
            None => Group::new(&join.group, 0).check_newcomer(join),
        }
    }

    fn commit(
        &mut self,
        commit: CommitOffsets,
        now_ms: i64,
        topics: &impl TopicLookup,
    ) -> GroupReply {
        let names = [&commit.group, &commit.member];
        if names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return GroupReply::Refused(GroupError::InvalidGroupId);
        }
        if let Some(group) = self.groups.get_mut(&*commit.group) {
            if let Err(error) = group.check_commit(&commit) {
                return GroupReply::Refused(error);
            }
            let (results, stored) = commit_all(group, commit, now_ms, topics);
            self.by_topic.extend(stored);
            return GroupReply::Offsets(results);
        }
        if commit.generation >= 0 {
            return GroupReply::Refused(GroupError::GroupIdNotFound);
        }
        let mut indexed = Vec::new();
        let reply = self.create(&commit.group.clone(), now_ms, |group| {
            let (results, stored) = commit_all(group, commit, now_ms, topics);
            indexed = stored;
            (GroupReply::Offsets(results), !indexed.is_empty())
        });
        self.by_topic.extend(indexed);
        reply
    }

    /// Makes a group that stays only if `fill` says so.
    fn create(
        &mut self,
        name: &str,
        now_ms: i64,
        fill: impl FnOnce(&mut Group) -> (GroupReply, bool),
    ) -> GroupReply {
        if self.groups.len() >= GROUPS_MAX {
            return GroupReply::Refused(GroupError::TooManyGroups);
        }
        let mut group = Group::new(name, now_ms);
        let (reply, keep) = fill(&mut group);
        if keep {
            self.groups.insert(group.name.clone(), group);
        }
        reply
    }

    pub(super) fn remove(&mut self, name: &str, effects: &mut Vec<GroupEffect>) {
        if let Some(group) = self.groups.remove(name) {
            self.unindex_group(&group);
            effects.push(GroupEffect::Removed { group: group.name });
        }
    }

    fn unindex_group(&mut self, group: &Group) {
        for (topic, _) in group.offsets.keys() {
            self.by_topic.remove(&(*topic, group.name.clone()));
        }
    }

    /// Corrects the index for topics of which the group may hold no offset any more.
    pub(super) fn unindex(&mut self, name: &str, topics: impl Iterator<Item = TopicId>) {
        let Some(group) = self.groups.get(name) else {
            return;
        };
        for topic in topics.filter(|topic| !group.has_offsets_of(*topic)) {
            self.by_topic.remove(&(topic, group.name.clone()));
        }
    }

    /// A topic is gone: its offsets go. Returns the groups that changed.
    pub fn forget_topic(&mut self, topic: TopicId) -> Vec<Arc<str>> {
        let empty: Arc<str> = Arc::from("");
        let from = self.by_topic.range((topic, empty)..);
        let names: Vec<Arc<str>> = from
            .take_while(|(of, _)| *of == topic)
            .map(|(_, name)| name.clone())
            .collect();
        for name in &names {
            self.by_topic.remove(&(topic, name.clone()));
            if let Some(group) = self.groups.get_mut(name) {
                group.offsets.retain(|(of, _), _| *of != topic);
            }
        }
        names
    }

    /// Groups that hold offsets of the topic: those that [`GroupTable::forget_topic`] will change.
    pub fn groups_of_topic(&self, topic: TopicId) -> impl Iterator<Item = &Arc<str>> {
        let from = self.by_topic.range((topic, Arc::from(""))..);
        from.take_while(move |(of, _)| *of == topic)
            .map(|(_, name)| name)
    }

    pub fn get(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// All groups, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Groups whose name comes after `name`, in order; all for `None`. For walks in slices.
    pub fn after(&self, name: Option<&str>) -> impl Iterator<Item = &Group> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.groups.range::<str, _>((from, Bound::Unbounded));
        range.map(|(_, group)| group)
    }

    /// Takes a group in as a snapshot has it.
    pub(super) fn insert(&mut self, group: Group) {
        if let Some(old) = self.groups.remove(&group.name) {
            self.unindex_group(&old);
        }
        let topics = group
            .offsets
            .keys()
            .map(|(topic, _)| (*topic, group.name.clone()));
        self.by_topic.extend(topics);
        self.groups.insert(group.name.clone(), group);
    }

    /// Drops a group without telling anybody: a row that a later snapshot does not have.
    pub fn drop_row(&mut self, name: &str) {
        if let Some(group) = self.groups.remove(name) {
            self.unindex_group(&group);
        }
    }

    /// What a SyncGroup call has to do now.
    ///
    /// # Errors
    /// Why the member may not sync (UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, ...).
    pub fn sync_step(&self, sync: &Sync) -> Result<SyncStep, GroupError> {
        let group = self.get(&sync.group).ok_or(GroupError::UnknownMemberId)?;
        group.sync_step(sync)
    }

    /// What a heartbeat of a member finds.
    ///
    /// # Errors
    /// Why the member is not one (any more) of this generation.
    pub fn heartbeat(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<Heartbeat, GroupError> {
        let group = self.get(group).ok_or(GroupError::UnknownMemberId)?;
        group.heartbeat(member, instance, generation)
    }
}

type Stored = Vec<(TopicId, Arc<str>)>;

fn commit_all(
    group: &mut Group,
    commit: CommitOffsets,
    now_ms: i64,
    topics: &impl TopicLookup,
) -> (Vec<Result<(), GroupError>>, Stored) {
    let mut stored = Vec::new();
    let results = commit.offsets.into_iter().map(|offset| {
        let topic = offset.topic;
        group.commit_offset(offset, now_ms, topics)?;
        if stored.last().is_none_or(|(last, _)| *last != topic) {
            stored.push((topic, group.name.clone()));
        }
        Ok(())
    });
    (results.collect(), stored)
}
