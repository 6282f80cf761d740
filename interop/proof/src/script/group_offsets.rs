//! Committed offsets: by a client without a group, by its members, deleted with their groups.

use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::*;

use super::groups::GROUP;
use super::{TOPIC, UNKNOWN};
use crate::session::Session;

/// A commit for partition 0.
pub fn commit(
    group: &str,
    generation: i32,
    member: &str,
    topic: &str,
    offset: i64,
) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: generation,
        member_id: member.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: offset,
                committed_leader_epoch: 0,
                committed_metadata: Some("note".into()),
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

fn fetch(session: &Session, group: &str, topic: Option<&str>) -> OffsetFetchRequest {
    OffsetFetchRequest {
        group_id: group.into(),
        topics: topic.map(|topic| {
            vec![OffsetFetchRequestTopic {
                name: topic.into(),
                partition_indexes: vec![0, 1],
            }]
        }),
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: topic.map(|topic| {
                vec![OffsetFetchRequestTopics {
                    name: topic.into(),
                    topic_id: session.topic_id(topic),
                    partition_indexes: vec![0, 1],
                }]
            }),
            ..OffsetFetchRequestGroup::default()
        }],
        require_stable: false,
    }
}

/// Commits by a client that only keeps its offsets here.
pub fn simple_commits(session: &mut Session) {
    session.every_version("of a simple group", |_, version| {
        commit("simple", -1, "", TOPIC, i64::from(version))
    });
    session.every_version("of a simple group", |session, _| {
        fetch(session, "simple", Some(TOPIC))
    });
    session.every_version("all of a simple group", |session, version| {
        fetch(
            session,
            "simple",
            if version < 2 { Some(TOPIC) } else { None },
        )
    });
    for (what, generation, member, topic, offset) in [
        ("unknown topic", -1, "", UNKNOWN, 5),
        ("negative offset", -1, "", TOPIC, -1),
        ("a very negative offset", -1, "", TOPIC, -7),
        ("a generation without a group", 5, "", TOPIC, 5),
        ("a member without a group", -1, "nobody", TOPIC, 5),
    ] {
        session.call(
            what,
            8,
            &commit("simple2", generation, member, topic, offset),
        );
    }
    let long = "x".repeat(5000);
    let mut request = commit("simple", -1, "", TOPIC, 1);
    request.topics[0].partitions[0].committed_metadata = Some(long.as_str().into());
    session.call("metadata of 5000 bytes", 8, &request);
    let mut request = commit("simple", -1, "", TOPIC, 1);
    request.topics[0].partitions[0].committed_metadata = None;
    session.call("null metadata", 8, &request);
    request.topics[0].partitions[0].partition_index = 99;
    session.call("unknown partition", 8, &request);
    session.call("empty group id", 8, &commit("", -1, "", TOPIC, 1));
    for group in ["simple", "never-seen", ""] {
        let request = fetch(session, group, Some(TOPIC));
        session.call(&format!("of {group:?}"), 7, &request);
        session.call(&format!("of {group:?}"), 9, &request);
    }
    let request = fetch(session, "simple", Some(UNKNOWN));
    session.call("of an unknown topic", 7, &request);
}

/// Deleting groups and their offsets.
pub fn admin(session: &mut Session) {
    let offsets = |group: &str, topic: &str| OffsetDeleteRequest {
        group_id: group.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: topic.into(),
            partitions: [0, 1]
                .map(|partition_index| OffsetDeleteRequestPartition { partition_index })
                .to_vec(),
        }],
    };
    session.call("of a simple group", 0, &offsets("simple", TOPIC));
    session.call("unknown topic", 0, &offsets("simple", UNKNOWN));
    session.call("unknown group", 0, &offsets("never-seen", TOPIC));
    session.call("empty group id", 0, &offsets("", TOPIC));
    let request = fetch(session, "simple", Some(TOPIC));
    session.call("after OffsetDelete", 7, &request);
    let delete = |names: &[&str]| DeleteGroupsRequest {
        groups_names: names.iter().map(|name| KStr::from(*name)).collect(),
    };
    session.call("empty and unknown", 2, &delete(&[GROUP, "never-seen"]));
    session.call("again", 2, &delete(&[GROUP]));
    session.call("empty group id", 2, &delete(&[""]));
    session.call("none", 2, &delete(&[]));
}

/// What a group with members does not allow.
pub fn delete_refused(session: &mut Session) {
    let offsets = OffsetDeleteRequest {
        group_id: GROUP.into(),
        topics: vec![OffsetDeleteRequestTopic {
            name: TOPIC.into(),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
        }],
    };
    session.call("of a live group", 0, &offsets);
    session.every_version("a live group", |_, _| DeleteGroupsRequest {
        groups_names: vec![GROUP.into()],
    });
}
