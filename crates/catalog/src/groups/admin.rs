//! What administrators ask of groups: deletion and expiry of offsets and of groups.

use levada_model::TopicId;

use super::group::Phase;
use super::reply::{GroupEffect, GroupError, GroupReply};
use super::table::{GroupTable, TopicLookup};

impl GroupTable {
    pub(super) fn delete_group(
        &mut self,
        name: &str,
        effects: &mut Vec<GroupEffect>,
    ) -> GroupReply {
        match self.get(name) {
            None => GroupReply::Refused(GroupError::GroupIdNotFound),
            Some(group) if group.phase != Phase::Empty => {
                GroupReply::Refused(GroupError::NonEmptyGroup)
            }
            Some(_) => {
                self.remove(name, effects);
                GroupReply::Done
            }
        }
    }

    pub(super) fn delete_offsets(
        &mut self,
        name: &str,
        partitions: &[(TopicId, i32)],
        topics: &impl TopicLookup,
    ) -> GroupReply {
        let Some(group) = self.groups.get_mut(name) else {
            return GroupReply::Refused(GroupError::GroupIdNotFound);
        };
        if let Err(error) = group.check_delete_offsets() {
            return GroupReply::Refused(error);
        }
        let delete =
            |&(topic, partition): &(TopicId, i32)| group.delete_offset(topic, partition, topics);
        let results = partitions.iter().map(delete).collect();
        self.unindex(name, partitions.iter().map(|(topic, _)| *topic));
        GroupReply::Offsets(results)
    }

    pub(super) fn expire_offsets(
        &mut self,
        name: &str,
        retention_ms: u64,
        now_ms: i64,
        topics: &impl TopicLookup,
        effects: &mut Vec<GroupEffect>,
    ) -> GroupReply {
        let Some(group) = self.groups.get_mut(name) else {
            return GroupReply::Done;
        };
        let expired = group.expired_offsets(retention_ms, now_ms, topics);
        for key in &expired {
            group.offsets.remove(key);
        }
        let unused = group.is_unused();
        self.unindex(name, expired.iter().map(|(topic, _)| *topic));
        if unused {
            self.remove(name, effects);
        }
        GroupReply::Done
    }

    /// Names among the `scan_max` groups after `after` for which `ExpireOffsets` would do
    /// something, and where to go on (`None`: that was the last group).
    pub fn expirable(
        &self,
        after: Option<&str>,
        scan_max: usize,
        retention_ms: u64,
        now_ms: i64,
        topics: &impl TopicLookup,
    ) -> (Vec<String>, Option<String>) {
        let mut last = None;
        let mut scanned = 0;
        let mut names = Vec::new();
        for group in self.after(after).take(scan_max) {
            scanned += 1;
            last = Some(&group.name);
            let expired = || {
                !group
                    .expired_offsets(retention_ms, now_ms, topics)
                    .is_empty()
            };
            if group.is_unused() || expired() {
                names.push(group.name.to_string());
            }
        }
        let next = if scanned < scan_max { None } else { last };
        (names, next.map(ToString::to_string))
    }
}
