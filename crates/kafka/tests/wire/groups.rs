//! Group members over loopback: every version of every group API.

use bytes::Bytes;
use levada_kafka::NODE_ID;
use levada_wire_kafka::messages::*;
use levada_wire_kafka::{ErrorCode, KStr};

use crate::support::*;

const NONE: i16 = 0;

fn name(text: &str) -> KStr {
    KStr::from(text)
}

fn join(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: name(group),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 20_000,
        member_id: name(member),
        protocol_type: name("consumer"),
        protocols: vec![JoinGroupRequestProtocol {
            name: name("range"),
            metadata: Bytes::from_static(b"\x00\x00\0\0\0\x01\0\x01t\xff\xff\xff\xff"),
        }],
        ..Default::default()
    }
}

fn sync(group: &str, joined: &JoinGroupResponse) -> SyncGroupRequest {
    let assignments = joined
        .members
        .iter()
        .map(|member| SyncGroupRequestAssignment {
            member_id: member.member_id.clone(),
            assignment: Bytes::copy_from_slice(member.member_id.as_bytes()),
        });
    SyncGroupRequest {
        group_id: name(group),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some(name("consumer")),
        protocol_name: Some(name("range")),
        assignments: assignments.collect(),
        ..Default::default()
    }
}

fn beat(group: &str, joined: &JoinGroupResponse) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: name(group),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        ..Default::default()
    }
}

fn commit(group: &str, partitions: &[i32]) -> OffsetCommitRequest {
    let partition = |index: &i32| OffsetCommitRequestPartition {
        partition_index: *index,
        committed_offset: 40 + i64::from(*index),
        committed_leader_epoch: 0,
        committed_metadata: Some(name("note")),
    };
    OffsetCommitRequest {
        group_id: name(group),
        topics: vec![OffsetCommitRequestTopic {
            name: name("t"),
            partitions: partitions.iter().map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Joins as a client of any version does: where it is told so, again with the id that it got.
async fn enter(client: &mut Client, group: &str, version: i16) -> JoinGroupResponse {
    let answer = client.call(&join(group, ""), version).await;
    if answer.error_code != ErrorCode::MemberIdRequired.code() {
        return answer;
    }
    assert!(version >= 4);
    assert!(answer.member_id.starts_with("test-"), "{answer:?}");
    client.call(&join(group, &answer.member_id), version).await
}

#[tokio::test]
async fn a_member_lives_through_its_group_in_every_version() {
    let service = start().await;
    let mut client = service.connect().await;
    for version in 0..=9 {
        let group = format!("g{version}");
        let joined = enter(&mut client, &group, version).await;
        assert_eq!(
            (joined.error_code, joined.generation_id),
            (NONE, 1),
            "{joined:?}"
        );
        assert_eq!(joined.leader, joined.member_id);
        assert_eq!(joined.protocol_name.as_deref(), Some("range"));
        assert_eq!(joined.members.len(), 1);
        let synced = client.call(&sync(&group, &joined), version.min(5)).await;
        assert_eq!(synced.error_code, NONE);
        assert_eq!(synced.assignment, joined.member_id.as_bytes());
        let beaten = client.call(&beat(&group, &joined), version.min(4)).await;
        assert_eq!(beaten.error_code, NONE);
        let leave = LeaveGroupRequest {
            group_id: name(&group),
            member_id: joined.member_id.clone(),
            members: vec![MemberIdentity {
                member_id: joined.member_id.clone(),
                ..Default::default()
            }],
        };
        let left = client.call(&leave, version.min(5)).await;
        assert_eq!(left.error_code, NONE);
        assert!(left.members.iter().all(|member| member.error_code == NONE));
        let again = client.call(&leave, version.min(5)).await;
        let unknown = ErrorCode::UnknownMemberId.code();
        if version < 3 {
            assert_eq!(again.error_code, unknown);
        } else {
            assert_eq!(
                (again.error_code, again.members[0].error_code),
                (NONE, unknown)
            );
        }
    }
}

#[tokio::test]
async fn two_members_share_a_group_and_wait_for_each_other() {
    let service = start().await;
    let (mut a, mut b) = (service.connect().await, service.connect().await);
    let joined_a = enter(&mut a, "pair", 9).await;
    a.call(&sync("pair", &joined_a), 5).await;
    let first = b.call(&join("pair", ""), 9).await;
    b.send(&join("pair", &first.member_id), 9).await;
    // The first member learns of it by its heartbeat.
    let rebalancing = ErrorCode::RebalanceInProgress.code();
    while a.call(&beat("pair", &joined_a), 4).await.error_code != rebalancing {
        tokio::task::yield_now().await;
    }
    let joined_a = a.call(&join("pair", &joined_a.member_id), 9).await;
    let joined_b = b.receive::<JoinGroupRequest>(9, 2).await;
    assert_eq!((joined_a.generation_id, joined_b.generation_id), (2, 2));
    assert_eq!((joined_a.members.len(), joined_b.members.len()), (2, 0));
    assert_eq!(joined_b.leader, joined_a.member_id);
    b.send(&sync("pair", &joined_b), 5).await;
    let synced = a.call(&sync("pair", &joined_a), 5).await;
    assert_eq!(synced.assignment, joined_a.member_id.as_bytes());
    let synced = b.receive::<SyncGroupRequest>(5, 3).await;
    assert_eq!(synced.assignment, joined_b.member_id.as_bytes());

    for version in 0..=6 {
        let request = DescribeGroupsRequest {
            groups: vec![name("pair"), name("nobody")],
            include_authorized_operations: true,
        };
        let answer = a.call(&request, version).await;
        let [pair, nobody] = &answer.groups[..] else {
            panic!("{answer:?}")
        };
        assert_eq!(
            (&*pair.group_state, &*pair.protocol_data),
            ("Stable", "range")
        );
        assert_eq!(pair.members.len(), 2);
        assert_eq!(pair.members[0].client_id, "test");
        assert_eq!(pair.members[0].client_host, "/127.0.0.1");
        assert_eq!(nobody.group_state, "Dead");
        let not_found = ErrorCode::GroupIdNotFound.code();
        assert_eq!(
            nobody.error_code,
            if version < 6 { NONE } else { not_found }
        );
    }
    for version in 0..=5 {
        let request = ListGroupsRequest {
            states_filter: vec![name("Stable")],
            types_filter: vec![name("classic")],
        };
        let answer = a.call(&request, version).await;
        assert_eq!(answer.groups.len(), 1, "{answer:?}");
        assert_eq!(answer.groups[0].protocol_type, "consumer");
    }
    let delete = DeleteGroupsRequest {
        groups_names: vec![name("pair"), name("nobody")],
    };
    let answer = a.call(&delete, 2).await;
    let codes: Vec<_> = answer
        .results
        .iter()
        .map(|result| result.error_code)
        .collect();
    let expected = [
        ErrorCode::NonEmptyGroup.code(),
        ErrorCode::GroupIdNotFound.code(),
    ];
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn offsets_are_committed_and_fetched_in_every_version() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    for version in 2..=9 {
        let answer = client.call(&commit("g", &[0, 7]), version).await;
        let partitions = &answer.topics[0].partitions;
        let unknown = ErrorCode::UnknownTopicOrPartition.code();
        assert_eq!(partitions[0].error_code, NONE, "{version}");
        assert_eq!(partitions[1].error_code, unknown, "{version}");
    }
    for version in 1..=7 {
        let request = OffsetFetchRequest {
            group_id: name("g"),
            topics: Some(vec![OffsetFetchRequestTopic {
                name: name("t"),
                partition_indexes: vec![0, 7],
            }]),
            ..Default::default()
        };
        let answer = client.call(&request, version).await;
        let [kept, none] = &answer.topics[0].partitions[..] else {
            panic!("{answer:?}")
        };
        assert_eq!(
            (kept.committed_offset, kept.metadata.as_deref()),
            (40, Some("note"))
        );
        assert_eq!(
            (none.committed_offset, none.metadata.as_deref()),
            (-1, Some(""))
        );
        assert_eq!((kept.error_code, none.error_code), (NONE, NONE));
        if version >= 2 {
            let all = OffsetFetchRequest {
                topics: None,
                ..request
            };
            let answer = client.call(&all, version).await;
            assert_eq!(answer.topics[0].partitions.len(), 1);
        }
    }
    for version in 8..=9 {
        let of = |group: &str| OffsetFetchRequestGroup {
            group_id: name(group),
            topics: None,
            ..Default::default()
        };
        let request = OffsetFetchRequest {
            groups: vec![of("g"), of("nobody")],
            require_stable: true,
            ..Default::default()
        };
        let answer = client.call(&request, version).await;
        assert_eq!(
            answer.groups[0].topics[0].partitions[0].committed_offset,
            40
        );
        assert_eq!(
            (answer.groups[1].topics.len(), answer.groups[1].error_code),
            (0, NONE)
        );
    }
    let delete = OffsetDeleteRequest {
        group_id: name("g"),
        topics: vec![OffsetDeleteRequestTopic {
            name: name("t"),
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
        }],
    };
    let answer = client.call(&delete, 0).await;
    assert_eq!(
        (answer.error_code, answer.topics[0].partitions[0].error_code),
        (NONE, NONE)
    );
}

#[tokio::test]
async fn a_commit_for_a_group_that_is_gone_is_refused_by_version() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    for version in 2..=9 {
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: 3,
            member_id: name("m"),
            ..commit("gone", &[0])
        };
        let answer = client.call(&request, version).await;
        let expected = if version < 9 {
            ErrorCode::IllegalGeneration
        } else {
            ErrorCode::GroupIdNotFound
        };
        assert_eq!(answer.topics[0].partitions[0].error_code, expected.code());
    }
}

#[tokio::test]
async fn commits_act_before_the_fetch_behind_them_on_the_same_connection() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    let fetch = OffsetFetchRequest {
        group_id: name("g"),
        topics: None,
        ..Default::default()
    };
    client.send(&commit("g", &[0]), 8).await;
    client.send(&fetch, 7).await;
    client.receive::<OffsetCommitRequest>(8, 2).await;
    let answer = client.receive::<OffsetFetchRequest>(7, 3).await;
    assert_eq!(answer.topics[0].partitions[0].committed_offset, 40);
}

#[tokio::test]
async fn this_node_coordinates_everything() {
    let service = start().await;
    let mut client = service.connect().await;
    let port = i32::from(service.address.port());
    for version in 0..=6 {
        let request = FindCoordinatorRequest {
            key: name("g"),
            coordinator_keys: vec![name("g"), name("h")],
            ..Default::default()
        };
        let answer = client.call(&request, version).await;
        if version < 4 {
            assert_eq!((answer.node_id, &*answer.host), (NODE_ID, "127.0.0.1"));
            assert_eq!((answer.error_code, answer.port), (NONE, port));
        } else {
            assert_eq!(answer.coordinators.len(), 2);
            let second = &answer.coordinators[1];
            assert_eq!(
                (second.node_id, second.port, &*second.key),
                (NODE_ID, port, "h")
            );
            assert_eq!(second.error_code, NONE);
        }
    }
}

#[tokio::test]
async fn what_a_member_may_not_do_has_kafkas_codes() {
    let service = start().await;
    let mut client = service.connect().await;
    let answer = client.call(&join("", ""), 9).await;
    assert_eq!(answer.error_code, ErrorCode::InvalidGroupId.code());
    let answer = client.call(&join("g", "stranger"), 9).await;
    assert_eq!(answer.error_code, ErrorCode::UnknownMemberId.code());
    assert_eq!((&*answer.member_id, answer.generation_id), ("stranger", -1));
    let hasty = JoinGroupRequest {
        session_timeout_ms: 1,
        ..join("g", "")
    };
    let answer = client.call(&hasty, 9).await;
    assert_eq!(answer.error_code, ErrorCode::InvalidSessionTimeout.code());
    let joined = enter(&mut client, "g", 9).await;
    let vague = SyncGroupRequest {
        protocol_type: None,
        ..sync("g", &joined)
    };
    let answer = client.call(&vague, 5).await;
    assert_eq!(
        answer.error_code,
        ErrorCode::InconsistentGroupProtocol.code()
    );
    let late = HeartbeatRequest {
        generation_id: 7,
        ..beat("g", &joined)
    };
    let answer = client.call(&late, 4).await;
    assert_eq!(answer.error_code, ErrorCode::IllegalGeneration.code());
}

#[tokio::test]
async fn members_that_wait_are_answered_when_the_service_drains() {
    let service = start().await;
    let (mut a, mut b) = (service.connect().await, service.connect().await);
    let joined = enter(&mut a, "g", 9).await;
    a.call(&sync("g", &joined), 5).await;
    let first = b.call(&join("g", ""), 9).await;
    b.send(&join("g", &first.member_id), 9).await;
    while service.engine.groups().sizes().waiting == 0 {
        tokio::task::yield_now().await;
    }
    let answered = async {
        let answer = b.receive::<JoinGroupRequest>(9, 2).await;
        b.assert_closed().await;
        answer
    };
    let (late, answer) = tokio::join!(service.listener.drain(PATIENCE), answered);
    assert_eq!(late, 0);
    let expected = ErrorCode::CoordinatorNotAvailable.code();
    assert_eq!(
        (answer.error_code, answer.member_id),
        (expected, first.member_id)
    );
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_waits_leaves_no_call_behind() {
    let service = start().await;
    let (mut a, mut b) = (service.connect().await, service.connect().await);
    let joined = enter(&mut a, "g", 9).await;
    a.call(&sync("g", &joined), 5).await;
    let first = b.call(&join("g", ""), 9).await;
    b.send(&join("g", &first.member_id), 9).await;
    while service.engine.groups().sizes().waiting == 0 {
        tokio::task::yield_now().await;
    }
    drop(b);
    let gone = async {
        while service.engine.groups().sizes().waiting > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE / 2, gone)
        .await
        .expect("long before the rebalance timeout");
}
