//! Committed offsets: who may commit, and when an offset goes.

use levada_model::TopicId;
use levada_model::limits::OFFSET_METADATA_BYTES_MAX;

use super::command::{CommitOffsets, OffsetToCommit};
use super::group::{CommittedOffset, Group, Phase};
use super::reply::GroupError;
use super::table::TopicLookup;

impl Group {
    /// Whether the committer speaks for the group now.
    pub(super) fn check_commit(&self, commit: &CommitOffsets) -> Result<(), GroupError> {
        let empty = self.phase == Phase::Empty;
        if commit.generation < 0 && empty {
            // An administrator, or a client that keeps its offsets here without being a member.
            return Ok(());
        }
        if commit.generation >= 0 || !commit.member.is_empty() || commit.instance.is_some() {
            self.check_member(&commit.member, commit.instance.as_deref())?;
            if commit.generation != self.generation {
                return Err(GroupError::IllegalGeneration);
            }
        } else if !empty {
            return Err(GroupError::UnknownMemberId);
        }
        // What the members work on is about to be assigned anew.
        if self.phase == Phase::Completing {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    pub(super) fn commit_offset(
        &mut self,
        commit: OffsetToCommit,
        now_ms: i64,
        topics: &impl TopicLookup,
    ) -> Result<(), GroupError> {
        let total = topics.partition_count(commit.topic).unwrap_or(0);
        if !u32::try_from(commit.partition).is_ok_and(|partition| partition < total) {
            return Err(GroupError::UnknownTopicOrPartition);
        }
        if commit.metadata.len() > OFFSET_METADATA_BYTES_MAX {
            return Err(GroupError::OffsetMetadataTooLarge);
        }
        let committed = CommittedOffset {
            offset: commit.offset,
            leader_epoch: commit.leader_epoch,
            metadata: commit.metadata.into_boxed_str(),
            commit_ms: now_ms,
        };
        self.offsets
            .insert((commit.topic, commit.partition), committed);
        Ok(())
    }

    /// OffsetDelete (KIP-496): not below the hands of a member that reads the topic.
    pub(super) fn check_delete_offsets(&self) -> Result<(), GroupError> {
        if self.members.is_empty() || self.protocol_type.as_deref() == Some("consumer") {
            Ok(())
        } else {
            Err(GroupError::NonEmptyGroup)
        }
    }

    pub(super) fn delete_offset(
        &mut self,
        topic: TopicId,
        partition: i32,
        topics: &impl TopicLookup,
    ) -> Result<(), GroupError> {
        let name = topics.topic_name(topic);
        let name = name.ok_or(GroupError::UnknownTopicOrPartition)?;
        // Members that do not say what they read may read anything.
        let subscribed = self.subscribed_topics();
        if !self.members.is_empty() && subscribed.is_none_or(|read| read.contains(name)) {
            return Err(GroupError::GroupSubscribedToTopic);
        }
        let total = topics.partition_count(topic).unwrap_or(0);
        if !u32::try_from(partition).is_ok_and(|partition| partition < total) {
            return Err(GroupError::UnknownTopicOrPartition);
        }
        self.offsets.remove(&(topic, partition));
        Ok(())
    }

    /// Offsets that have been of no use for `retention_ms` (KIP-211): those of an empty group
    /// since it became empty, those of a topic that no member reads since they were committed.
    pub(super) fn expired_offsets(
        &self,
        retention_ms: u64,
        now_ms: i64,
        topics: &impl TopicLookup,
    ) -> Vec<(TopicId, i32)> {
        let old = |base_ms: i64| now_ms.saturating_sub_unsigned(retention_ms) >= base_ms;
        let subscribed = match self.phase {
            Phase::Empty if self.protocol_type.is_some() && !old(self.since_ms) => return vec![],
            Phase::Empty => None,
            Phase::Stable => match self.subscribed_topics() {
                Some(subscribed) => Some(subscribed),
                None => return vec![],
            },
            Phase::Preparing { .. } | Phase::Completing => return vec![],
        };
        let unread = |topic: TopicId| match (&subscribed, topics.topic_name(topic)) {
            (Some(subscribed), Some(name)) => !subscribed.contains(name),
            _ => true,
        };
        let offsets = self.offsets.iter();
        let expired = offsets.filter(|((topic, _), c)| old(c.commit_ms) && unread(*topic));
        expired.map(|(key, _)| *key).collect()
    }

    pub(super) fn has_offsets_of(&self, topic: TopicId) -> bool {
        let of_topic = (topic, i32::MIN)..=(topic, i32::MAX);
        self.offsets.range(of_topic).next().is_some()
    }

    /// Whether nothing would be lost with the group.
    pub(super) fn is_unused(&self) -> bool {
        self.phase == Phase::Empty && self.offsets.is_empty()
    }
}
