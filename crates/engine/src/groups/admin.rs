//! Groups as administrators see them: list, describe, delete.

use bytes::Bytes;
use levada_catalog::groups::{Group, GroupCommand, GroupError, GroupReply, Phase};

use super::Groups;

/// Kafka's name of the only type of group that there is so far.
const CLASSIC: &str = "classic";

/// Which groups to list; an empty list means all.
#[derive(Clone, Debug, Default)]
pub struct GroupFilter {
    /// Kafka's names of states, in any case.
    pub states: Vec<String>,
    /// Kafka's names of group types, in any case.
    pub types: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSummary {
    pub name: String,
    /// Empty for a group that never had members.
    pub protocol_type: String,
    /// Kafka's name of the state.
    pub state: &'static str,
    /// Kafka's name of the group type.
    pub group_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    pub summary: GroupSummary,
    /// Of the current generation while the group is stable; else empty, as are the members'
    /// metadata and assignments.
    pub protocol: String,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub member: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

fn summarise(group: &Group) -> GroupSummary {
    GroupSummary {
        name: group.name().to_string(),
        protocol_type: group.protocol_type().unwrap_or_default().to_owned(),
        state: group.phase().name(),
        group_type: CLASSIC,
    }
}

fn describe(group: &Group) -> DescribedGroup {
    let stable = group.phase() == Phase::Stable;
    let protocol = group.protocol().filter(|_| stable).unwrap_or_default();
    let members = group.members().iter().map(|(id, member)| DescribedMember {
        member: id.clone(),
        instance: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: member.metadata(protocol),
        assignment: if stable {
            member.assignment.clone()
        } else {
            Bytes::new()
        },
    });
    DescribedGroup {
        summary: summarise(group),
        members: members.collect(),
        protocol: protocol.to_owned(),
    }
}

impl Groups {
    /// All groups that pass the filter, by name (ListGroups).
    ///
    /// # Errors
    /// [`GroupError::CoordinatorNotAvailable`].
    pub fn list(&self, filter: &GroupFilter) -> Result<Vec<GroupSummary>, GroupError> {
        self.check_open()?;
        let wanted = |names: &[String], own: &str| {
            names.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case(own))
        };
        if !wanted(&filter.types, CLASSIC) {
            return Ok(Vec::new());
        }
        Ok(self.inner.sequencer.read(|state| {
            let groups = state.groups().iter();
            let chosen = groups.filter(|group| wanted(&filter.states, group.phase().name()));
            chosen.map(summarise).collect()
        }))
    }

    /// A group with its members; `None`: there is no such group (DescribeGroups).
    ///
    /// # Errors
    /// [`GroupError::CoordinatorNotAvailable`].
    pub fn describe(&self, group: &str) -> Result<Option<DescribedGroup>, GroupError> {
        self.check_open()?;
        Ok(self
            .inner
            .sequencer
            .read(|state| state.groups().get(group).map(describe)))
    }

    /// Deletes an empty group and its offsets (DeleteGroups).
    ///
    /// # Errors
    /// [`GroupError::NonEmptyGroup`], [`GroupError::GroupIdNotFound`],
    /// [`GroupError::CoordinatorNotAvailable`].
    pub async fn delete(&self, group: &str) -> Result<(), GroupError> {
        let command = GroupCommand::DeleteGroup {
            group: group.to_owned(),
        };
        self.propose(command).await.map(|_: GroupReply| ())
    }
}
