//! SyncGroup and Heartbeat: what a member of a generation may do in each phase.

use bytes::Bytes;
use levada_model::limits::GROUP_ASSIGNMENTS_BYTES_MAX;

use super::command::Sync;
use super::group::{Group, Phase};
use super::reply::{GroupEffect, GroupError, GroupReply};

/// What a SyncGroup call has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncStep {
    /// It is the leader's: propose its assignments.
    Lead,
    /// Wait for the leader's.
    Wait { generation: i32 },
    /// Answer with this.
    Assigned(Bytes),
}

/// A member that is alive and has nothing to be told, or is told to rejoin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub session_timeout_ms: u32,
    /// Answer REBALANCE_IN_PROGRESS; the member lives on all the same.
    pub rebalancing: bool,
}

impl Group {
    pub(super) fn sync_step(&self, sync: &Sync) -> Result<SyncStep, GroupError> {
        let member = self.check_member(&sync.member, sync.instance.as_deref())?;
        if sync.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs = |told: &Option<String>, own: &Option<String>| told.is_some() && told != own;
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, &self.protocol)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::Empty => Err(GroupError::UnknownMemberId),
            Phase::Preparing { .. } => Err(GroupError::RebalanceInProgress),
            Phase::Completing if self.is_leader(&sync.member) => Ok(SyncStep::Lead),
            Phase::Completing => Ok(SyncStep::Wait {
                generation: self.generation,
            }),
            Phase::Stable => Ok(SyncStep::Assigned(member.assignment.clone())),
        }
    }

    pub(super) fn sync(
        &mut self,
        sync: Sync,
        now_ms: i64,
        effects: &mut Vec<GroupEffect>,
    ) -> GroupReply {
        match self.sync_step(&sync) {
            Err(error) => GroupReply::Refused(error),
            Ok(SyncStep::Wait { generation }) => GroupReply::Waiting { generation },
            Ok(SyncStep::Assigned(bytes)) => GroupReply::Assigned(bytes),
            Ok(SyncStep::Lead) => {
                let bytes = sync
                    .assignments
                    .iter()
                    .map(|(id, bytes)| id.len() + bytes.len());
                if bytes.sum::<usize>() > GROUP_ASSIGNMENTS_BYTES_MAX {
                    return GroupReply::Refused(GroupError::TooLarge);
                }
                self.assign(sync.assignments, now_ms, effects);
                let own = self.members.get(&sync.member).map(|m| m.assignment.clone());
                GroupReply::Assigned(own.unwrap_or_default())
            }
        }
    }

    pub(super) fn heartbeat(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<Heartbeat, GroupError> {
        let member = self.check_member(member, instance)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        Ok(Heartbeat {
            session_timeout_ms: member.session_timeout_ms,
            rebalancing: matches!(self.phase, Phase::Preparing { .. }),
        })
    }
}
