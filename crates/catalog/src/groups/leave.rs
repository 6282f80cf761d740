//! LeaveGroup and expiry: how members go.

use super::command::Leaving;
use super::group::{Group, Phase};
use super::reply::{GroupEffect, GroupError, GroupReply};

impl Group {
    /// Each member on its own; the round that follows begins once, after the last of them.
    pub(super) fn leave(
        &mut self,
        members: &[Leaving],
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) -> GroupReply {
        let mut left = false;
        let results = members.iter().map(|leaving| {
            let id = self.leaving_id(leaving)?;
            self.forget_member(&id, false, effects);
            left = true;
            Ok(())
        });
        let results = results.collect();
        if left {
            if matches!(self.phase, Phase::Stable | Phase::Completing) {
                self.begin_round(now_ms, effects);
            }
            self.complete_if_all_joined(now_ms, effects);
        }
        GroupReply::Left(results)
    }

    fn leaving_id(&self, leaving: &Leaving) -> Result<String, GroupError> {
        match &leaving.instance {
            Some(instance) if leaving.member.is_empty() => {
                let owner = self.instances.get(instance);
                owner.cloned().ok_or(GroupError::UnknownMemberId)
            }
            instance => self
                .check_member(&leaving.member, instance.as_deref())
                .map(|_| leaving.member.clone()),
        }
    }

    /// Removes a member that was silent, unless it did something since the caller looked, or waits
    /// in a round.
    pub(super) fn expire_member(
        &mut self,
        member: &str,
        generation: i32,
        attempt: u32,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) -> GroupReply {
        let Some(known) = self.members.get(member) else {
            return GroupReply::Done;
        };
        let waits = known.joined && matches!(self.phase, Phase::Preparing { .. });
        if known.attempt == attempt && self.generation == generation && !waits {
            self.remove_member(member, now_ms, effects);
        }
        GroupReply::Done
    }
}
