//! Heartbeat and LeaveGroup.

use levada_catalog::groups::{GroupCommand, GroupError, GroupReply, Leaving, check_group_id};

use super::Groups;

impl Groups {
    /// A sign of life of a member (Heartbeat). It costs a look at the state and no command.
    ///
    /// # Errors
    /// [`GroupError::RebalanceInProgress`] asks it to join again; the others say that it is no
    /// member (any more).
    pub fn heartbeat(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        self.check_open()?;
        check_group_id(group)?;
        let beat = self.inner.sequencer.read(|state| {
            let groups = state.groups();
            groups.heartbeat(group, member, instance, generation)
        })?;
        self.touch(group, member, beat.session_timeout_ms);
        if beat.rebalancing {
            Err(GroupError::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    pub(super) fn touch(&self, group: &str, member: &str, session_timeout_ms: u32) {
        let due_ms = self.now_ms() + u64::from(session_timeout_ms);
        self.inner.desk.lock().touch(group, member, due_ms);
    }

    /// Members leave (LeaveGroup): one result each, in their order.
    ///
    /// # Errors
    /// [`GroupError::InvalidGroupId`], [`GroupError::CoordinatorNotAvailable`].
    pub async fn leave(
        &self,
        group: &str,
        members: Vec<Leaving>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        self.check_open()?;
        check_group_id(group)?;
        // Who was only given an id has nothing to leave but that.
        let now_ms = self.now_ms();
        let (pending, rest): (Vec<bool>, Vec<Leaving>) = {
            let mut desk = self.inner.desk.lock();
            let mut rest = Vec::new();
            let pending = members.into_iter().map(|leaving| {
                let pending = desk.pending.take(group, &leaving.member, now_ms);
                if !pending {
                    rest.push(leaving);
                }
                pending
            });
            (pending.collect(), rest)
        };
        let results = if rest.is_empty() {
            Vec::new()
        } else {
            let command = GroupCommand::Leave {
                group: group.to_owned(),
                members: rest,
            };
            match self.propose(command).await? {
                GroupReply::Left(results) => results,
                other => unreachable!("a leave was answered {other:?}"),
            }
        };
        let mut results = results.into_iter();
        let result = |pending| {
            if pending {
                Some(Ok(()))
            } else {
                results.next()
            }
        };
        Ok(pending.into_iter().filter_map(result).collect())
    }
}
