//! Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete.

use levada_catalog::State;
use levada_catalog::groups::{
    CommitOffsets, CommittedOffset, GroupCommand, GroupError, GroupReply, OffsetToCommit,
    check_group_id,
};
use levada_model::{Offset, TopicId};

use super::Groups;

/// An OffsetCommit call.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    pub group: String,
    /// -1 from clients that are no members.
    pub generation: i32,
    pub member: String,
    pub instance: Option<String>,
    pub topics: Vec<CommitTopic>,
}

#[derive(Clone, Debug)]
pub struct CommitTopic {
    pub name: String,
    pub partitions: Vec<PartitionCommit>,
}

#[derive(Clone, Debug)]
pub struct PartitionCommit {
    pub partition: i32,
    pub offset: Offset,
    /// -1: not given.
    pub leader_epoch: i32,
    pub metadata: String,
}

/// Partitions of a topic that a call names.
#[derive(Clone, Debug)]
pub struct TopicPartitions {
    pub name: String,
    pub partitions: Vec<i32>,
}

/// What a group has committed in a topic, in the order of the call; `None` where it has nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffsets {
    pub name: String,
    pub partitions: Vec<(i32, Option<CommittedOffset>)>,
}

fn topic_id(state: &State, name: &str) -> TopicId {
    let topic = state.topic_named(name);
    topic.map_or(TopicId::NONE, |topic| topic.id)
}

/// The topic of this name and how many partitions it has; none if there is no such topic.
fn resolve(state: &State, name: &str) -> (TopicId, u32) {
    let topic = state.topic_named(name);
    topic.map_or((TopicId::NONE, 0), |topic| {
        (topic.id, topic.partition_count())
    })
}

fn has_partition(partition: i32, total: u32) -> bool {
    u32::try_from(partition).is_ok_and(|partition| partition < total)
}

/// A refusal as a whole, told for each partition; that a partition is unknown goes before it.
fn refuse_each(known: &[bool], error: GroupError) -> Vec<Result<(), GroupError>> {
    let each = known.iter().map(|known| match known {
        true => Err(error),
        false => Err(GroupError::UnknownTopicOrPartition),
    });
    each.collect()
}

impl Groups {
    /// Commits offsets. One result a partition, topic after topic, in the order of the call.
    pub async fn commit_offsets(&self, request: CommitRequest) -> Vec<Result<(), GroupError>> {
        let names = request.topics.iter().map(|topic| topic.name.as_str());
        let (topics, session_ms) = self.inner.sequencer.read(|state| {
            let topics: Vec<_> = names.map(|name| resolve(state, name)).collect();
            let group = state.groups().get(&request.group);
            let member = group.and_then(|group| group.members().get(&request.member));
            (topics, member.map(|member| member.session_timeout_ms))
        });
        let mut known = Vec::new();
        let mut offsets = Vec::new();
        for (commit, (topic, total)) in request.topics.into_iter().zip(topics) {
            for commit in commit.partitions {
                known.push(has_partition(commit.partition, total));
                offsets.push(OffsetToCommit {
                    topic,
                    partition: commit.partition,
                    offset: commit.offset,
                    leader_epoch: commit.leader_epoch,
                    metadata: commit.metadata,
                });
            }
        }
        if !offsets.is_empty() && !known.contains(&true) {
            return refuse_each(&known, GroupError::UnknownTopicOrPartition);
        }
        let commit = CommitOffsets {
            group: request.group,
            generation: request.generation,
            member: request.member,
            instance: request.instance,
            offsets,
        };
        let (group, member) = (commit.group.clone(), commit.member.clone());
        match self.propose(GroupCommand::CommitOffsets(commit)).await {
            Ok(GroupReply::Offsets(results)) => {
                if let Some(session_ms) = session_ms {
                    self.touch(&group, &member, session_ms);
                }
                results
            }
            Ok(other) => unreachable!("a commit was answered {other:?}"),
            Err(error) => refuse_each(&known, error),
        }
    }

    /// What a group has committed: for these partitions, or (`None`) for all that it has.
    ///
    /// # Errors
    /// [`GroupError::CoordinatorNotAvailable`].
    pub fn fetch_offsets(
        &self,
        group: &str,
        topics: Option<Vec<TopicPartitions>>,
    ) -> Result<Vec<FetchedOffsets>, GroupError> {
        self.check_open()?;
        Ok(self.inner.sequencer.read(|state| {
            let group = state.groups().get(group);
            let Some(topics) = topics else {
                return all_offsets(state, group);
            };
            let fetched = topics.into_iter().map(|topic| {
                let id = topic_id(state, &topic.name);
                let find = |partition: i32| {
                    let committed = group.and_then(|g| g.offsets().get(&(id, partition)));
                    (partition, committed.cloned())
                };
                FetchedOffsets {
                    name: topic.name,
                    partitions: topic.partitions.into_iter().map(find).collect(),
                }
            });
            fetched.collect()
        }))
    }

    /// Deletes committed offsets (KIP-496). One result a partition, in the order of the call.
    ///
    /// # Errors
    /// Why the call was refused as a whole.
    pub async fn delete_offsets(
        &self,
        group: &str,
        topics: Vec<TopicPartitions>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let mut known = Vec::new();
        let mut partitions = Vec::new();
        self.inner.sequencer.read(|state| {
            for topic in topics {
                let (id, total) = resolve(state, &topic.name);
                for partition in topic.partitions {
                    known.push(has_partition(partition, total));
                    partitions.push((id, partition));
                }
            }
        });
        if !partitions.is_empty() && !known.contains(&true) {
            return Ok(refuse_each(&known, GroupError::UnknownTopicOrPartition));
        }
        check_group_id(group)?;
        let command = GroupCommand::DeleteOffsets {
            group: group.to_owned(),
            partitions,
        };
        match self.propose(command).await? {
            GroupReply::Offsets(results) => Ok(results),
            other => unreachable!("a deletion of offsets was answered {other:?}"),
        }
    }
}

fn all_offsets(
    state: &State,
    group: Option<&levada_catalog::groups::Group>,
) -> Vec<FetchedOffsets> {
    let mut fetched: Vec<FetchedOffsets> = Vec::new();
    let mut last = None;
    for ((topic, partition), committed) in group.into_iter().flat_map(|group| group.offsets()) {
        if last != Some(*topic) {
            let Some(known) = state.topic(*topic) else {
                continue;
            };
            last = Some(*topic);
            fetched.push(FetchedOffsets {
                name: known.name.to_string(),
                partitions: Vec::new(),
            });
        }
        if let Some(current) = fetched.last_mut() {
            current
                .partitions
                .push((*partition, Some(committed.clone())));
        }
    }
    fetched
}
