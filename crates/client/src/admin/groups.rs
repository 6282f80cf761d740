//! Groups: list, describe, delete, their committed offsets.

use std::collections::BTreeMap;

use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, DescribedGroup, ListGroupsRequest,
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};

use crate::cluster::{Client, Lane};
use crate::connection::Connection;
use crate::error::{ClientResult, check};
use crate::group::protocol;

/// Greatest versions of OffsetFetch and OffsetCommit that name topics by name.
const OFFSETS_BY_NAME_MAX: i16 = 9;
/// First version of OffsetFetch that asks for several groups at once.
const OFFSET_FETCH_GROUPS_FROM: i16 = 8;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub id: String,
    pub protocol_type: String,
    /// Empty if the broker is too old to tell.
    pub state: String,
    /// `classic`, `consumer`, `share`; empty if the broker is too old to tell.
    pub kind: String,
    /// The broker that coordinates it.
    pub coordinator: i32,
}

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub id: String,
    pub state: String,
    pub protocol_type: String,
    /// The assignor's name.
    pub protocol: String,
    pub coordinator: i32,
    pub members: Vec<GroupMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    /// Topic and partition, sorted; empty if the assignment is not a consumer's.
    pub assigned: Vec<(String, i32)>,
}

/// Where a group stands in a partition: the next offset it will read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

impl Client {
    /// All groups of all brokers, by id.
    ///
    /// # Errors
    /// Those of the connections, and the servers' refusals.
    pub async fn list_groups(&self) -> ClientResult<Vec<ListedGroup>> {
        let mut groups = BTreeMap::new();
        for broker in self.brokers() {
            let connection = self.node(broker.id, Lane::Control).await?;
            let answer = connection.call(&ListGroupsRequest::default()).await?;
            check(answer.error_code, None, || {
                format!("the groups of broker {}", broker.id)
            })?;
            groups.extend(answer.groups.iter().map(|group| {
                let listed = ListedGroup {
                    id: group.group_id.to_string(),
                    protocol_type: group.protocol_type.to_string(),
                    state: group.group_state.to_string(),
                    kind: group.group_type.to_string(),
                    coordinator: broker.id,
                };
                (listed.id.clone(), listed)
            }));
        }
        Ok(groups.into_values().collect())
    }

    /// A group with its members. A group that nobody knows has the state `Dead`.
    ///
    /// # Errors
    /// Those of the coordinator, and its refusal.
    pub async fn describe_group(&self, group: &str) -> ClientResult<GroupDescription> {
        let mut retries = self.retries();
        loop {
            match self.describe_group_once(group).await {
                Err(error) if retries.again(&error).await => {}
                done => return done,
            }
        }
    }

    async fn describe_group_once(&self, group: &str) -> ClientResult<GroupDescription> {
        let (coordinator, connection) = self.coordinator(group).await?;
        let request = DescribeGroupsRequest {
            groups: vec![KStr::from(group)],
            include_authorized_operations: false,
        };
        let answer = connection.call(&request).await?;
        let mut description = GroupDescription {
            id: group.to_owned(),
            state: "Dead".to_owned(),
            protocol_type: String::new(),
            protocol: String::new(),
            coordinator,
            members: Vec::new(),
        };
        for described in &answer.groups {
            // From version 6 on an unknown group is refused; before, it was called dead.
            if described.error_code == levada_wire_kafka::ErrorCode::GroupIdNotFound.code() {
                continue;
            }
            check(
                described.error_code,
                described.error_message.as_deref(),
                || format!("group '{group}'"),
            )?;
            description.state = described.group_state.to_string();
            description.protocol_type = described.protocol_type.to_string();
            description.protocol = described.protocol_data.to_string();
            description.members = members_of(described);
        }
        Ok(description)
    }

    /// Deletes a group with its offsets.
    ///
    /// # Errors
    /// The server's refusal, such as NON_EMPTY_GROUP.
    pub async fn delete_group(&self, group: &str) -> ClientResult<()> {
        let (_, connection) = self.coordinator(group).await?;
        let request = DeleteGroupsRequest {
            groups_names: vec![KStr::from(group)],
        };
        let answer = connection.call(&request).await?;
        for result in &answer.results {
            check(result.error_code, None, || {
                format!("group '{group}' was not deleted")
            })?;
        }
        Ok(())
    }

    /// Where a group stands in each partition for which it has committed, by topic and partition;
    /// `topics` limits it to these partitions.
    ///
    /// # Errors
    /// Those of the coordinator, and its refusal.
    pub async fn committed_offsets(
        &self,
        group: &str,
        topics: Option<&BTreeMap<String, Vec<i32>>>,
    ) -> ClientResult<BTreeMap<(String, i32), CommittedOffset>> {
        let mut retries = self.retries();
        loop {
            let committed = match self.coordinator(group).await {
                Ok((_, connection)) => fetch_offsets(&connection, group, topics).await,
                Err(error) => Err(error),
            };
            match committed {
                Err(error) if retries.again(&error).await => {}
                done => return done,
            }
        }
    }

    /// Commits offsets for a group that has no members (as an administrator).
    ///
    /// # Errors
    /// The server's refusal: UNKNOWN_MEMBER_ID while the group has members.
    pub async fn commit_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> ClientResult<()> {
        let (_, connection) = self.coordinator(group).await?;
        let request = OffsetCommitRequest {
            group_id: KStr::from(group),
            topics: commit_topics(offsets),
            ..Default::default()
        };
        commit(&connection, &request).await
    }
}

/// The topics of an OffsetCommit request.
pub(crate) fn commit_topics(
    offsets: &BTreeMap<(String, i32), i64>,
) -> Vec<OffsetCommitRequestTopic> {
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for ((topic, partition), offset) in offsets {
        if topics.last().is_none_or(|last| *last.name != **topic) {
            topics.push(OffsetCommitRequestTopic {
                name: KStr::from(topic.as_str()),
                ..Default::default()
            });
        }
        if let Some(last) = topics.last_mut() {
            last.partitions.push(OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                ..Default::default()
            });
        }
    }
    topics
}

/// Sends a commit and reads each partition's result.
pub(crate) async fn commit(
    connection: &Connection,
    request: &OffsetCommitRequest,
) -> ClientResult<()> {
    let version = connection.version_up_to::<OffsetCommitRequest>(OFFSETS_BY_NAME_MAX)?;
    let answer = connection.call_version(request, version).await?;
    for topic in &answer.topics {
        for partition in &topic.partitions {
            check(partition.error_code, None, || {
                format!(
                    "the offset of partition {} of '{}' was not committed for group '{}'",
                    partition.partition_index, topic.name, request.group_id
                )
            })?;
        }
    }
    Ok(())
}

pub(crate) async fn fetch_offsets(
    connection: &Connection,
    group: &str,
    topics: Option<&BTreeMap<String, Vec<i32>>>,
) -> ClientResult<BTreeMap<(String, i32), CommittedOffset>> {
    let version = connection.version_up_to::<OffsetFetchRequest>(OFFSETS_BY_NAME_MAX)?;
    let mut request = OffsetFetchRequest::default();
    if version >= OFFSET_FETCH_GROUPS_FROM {
        request.groups = vec![OffsetFetchRequestGroup {
            group_id: KStr::from(group),
            topics: topics.map(|topics| {
                topics
                    .iter()
                    .map(|(name, partitions)| OffsetFetchRequestTopics {
                        name: KStr::from(name.as_str()),
                        partition_indexes: partitions.clone(),
                        ..Default::default()
                    })
                    .collect()
            }),
            ..Default::default()
        }];
    } else {
        request.group_id = KStr::from(group);
        request.topics = topics.map(|topics| {
            topics
                .iter()
                .map(|(name, partitions)| OffsetFetchRequestTopic {
                    name: KStr::from(name.as_str()),
                    partition_indexes: partitions.clone(),
                })
                .collect()
        });
    }
    let answer = connection.call_version(&request, version).await?;
    read_offsets(&answer, group)
}

fn read_offsets(
    answer: &OffsetFetchResponse,
    group: &str,
) -> ClientResult<BTreeMap<(String, i32), CommittedOffset>> {
    let what = || format!("the committed offsets of group '{group}'");
    check(answer.error_code, None, what)?;
    let mut found = BTreeMap::new();
    let mut add = |topic: &str, partition, code, offset, leader_epoch, metadata: Option<&str>| {
        check(code, None, what)?;
        // -1: nothing is committed.
        if offset >= 0 {
            let committed = CommittedOffset {
                offset,
                leader_epoch,
                metadata: metadata.unwrap_or_default().to_owned(),
            };
            found.insert((topic.to_owned(), partition), committed);
        }
        ClientResult::Ok(())
    };
    for topic in &answer.topics {
        for p in &topic.partitions {
            let metadata = p.metadata.as_deref();
            let epoch = p.committed_leader_epoch;
            add(
                &topic.name,
                p.partition_index,
                p.error_code,
                p.committed_offset,
                epoch,
                metadata,
            )?;
        }
    }
    for group in &answer.groups {
        check(group.error_code, None, what)?;
        for topic in &group.topics {
            for p in &topic.partitions {
                let metadata = p.metadata.as_deref();
                let epoch = p.committed_leader_epoch;
                let offset = p.committed_offset;
                add(
                    &topic.name,
                    p.partition_index,
                    p.error_code,
                    offset,
                    epoch,
                    metadata,
                )?;
            }
        }
    }
    Ok(found)
}

fn members_of(group: &DescribedGroup) -> Vec<GroupMember> {
    let members = group.members.iter().map(|member| {
        let mut assigned = match &*group.protocol_type {
            "consumer" => protocol::read_assignment(&member.member_assignment).unwrap_or_default(),
            _ => Vec::new(),
        };
        assigned.sort();
        GroupMember {
            id: member.member_id.to_string(),
            instance_id: member.group_instance_id.as_deref().map(str::to_owned),
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assigned,
        }
    });
    members.collect()
}
