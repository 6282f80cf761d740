//! Groups: joining, syncing, heartbeats, leaving, and every way in which that is refused.

use anyhow::Result;
use bytes::Bytes;
use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::*;

use super::TOPIC;
use super::group_offsets::{admin, commit, delete_refused, simple_commits};
use crate::session::Session;

/// The group of one member.
pub const GROUP: &str = "diff-group";

fn join(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 5_000,
        member_id: member.into(),
        group_instance_id: None,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"meta"),
        }],
        reason: None,
    }
}

fn sync(group: &str, generation_id: i32, member: &str, assign: bool) -> SyncGroupRequest {
    SyncGroupRequest {
        group_id: group.into(),
        generation_id,
        member_id: member.into(),
        group_instance_id: None,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: if assign {
            vec![SyncGroupRequestAssignment {
                member_id: member.into(),
                assignment: Bytes::from_static(b"mine"),
            }]
        } else {
            Vec::new()
        },
    }
}

fn heartbeat(group: &str, generation_id: i32, member: &str) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.into(),
        generation_id,
        member_id: member.into(),
        group_instance_id: None,
    }
}

pub fn run(session: &mut Session) -> Result<()> {
    simple_commits(session);
    one_member(session);
    two_members(session)?;
    refused_joins(session);
    by_version(session);
    static_member(session);
    admin(session);
    Ok(())
}

fn one_member(session: &mut Session) {
    let first = session.call("without a member id", 9, &join(GROUP, ""));
    let Some(first) = first else { return };
    let member = first.member_id.to_string();
    let Some(joined) = session.call("with the id it was given", 9, &join(GROUP, &member)) else {
        return;
    };
    let generation = joined.generation_id;
    session.call("before the sync", 4, &heartbeat(GROUP, generation, &member));
    session.call(
        "before the sync",
        8,
        &commit(GROUP, generation, &member, TOPIC, 1),
    );
    session.call(
        "wrong generation",
        5,
        &sync(GROUP, generation + 1, &member, true),
    );
    session.call(
        "unknown member",
        5,
        &sync(GROUP, generation, "nobody", true),
    );
    let other = SyncGroupRequest {
        protocol_name: Some("other".into()),
        ..sync(GROUP, generation, &member, true)
    };
    session.call("another protocol", 5, &other);
    session.call("the leader's", 5, &sync(GROUP, generation, &member, true));
    session.call("again", 5, &sync(GROUP, generation, &member, true));
    session.every_version("", |_, _| heartbeat(GROUP, generation, &member));
    session.call(
        "wrong generation",
        4,
        &heartbeat(GROUP, generation + 5, &member),
    );
    session.call(
        "old generation",
        4,
        &heartbeat(GROUP, generation - 1, &member),
    );
    session.call("unknown member", 4, &heartbeat(GROUP, generation, "nobody"));
    session.call("unknown group", 4, &heartbeat("never-seen", 1, "nobody"));
    session.call("empty group", 4, &heartbeat("", 1, "nobody"));
    session.every_version("of a member", |_, version| {
        commit(GROUP, generation, &member, TOPIC, 10 + i64::from(version))
    });
    session.call(
        "wrong generation",
        8,
        &commit(GROUP, generation + 1, &member, TOPIC, 1),
    );
    session.call(
        "unknown member",
        8,
        &commit(GROUP, generation, "nobody", TOPIC, 1),
    );
    session.call(
        "no member in a live group",
        8,
        &commit(GROUP, -1, "", TOPIC, 1),
    );
    let again = session.call("the leader again", 9, &join(GROUP, &member));
    let generation = again.map_or(generation, |again| again.generation_id);
    session.call(
        "after rejoining",
        5,
        &sync(GROUP, generation, &member, true),
    );
    describe(session);
    delete_refused(session);
    leave(session, &member);
}

fn describe(session: &mut Session) {
    session.every_version("a live group", |_, _| DescribeGroupsRequest {
        groups: vec![GROUP.into()],
        include_authorized_operations: false,
    });
    for group in ["never-seen", "simple", ""] {
        let request = DescribeGroupsRequest {
            groups: vec![group.into()],
            include_authorized_operations: true,
        };
        session.call(&format!("{group:?}"), 5, &request);
        session.call(&format!("{group:?}"), 6, &request);
    }
    session.every_version("", |_, _| ListGroupsRequest::default());
    for (what, states, types) in [
        ("stable ones", &["Stable"][..], &[][..]),
        ("empty ones", &["Empty"], &[]),
        ("states in another case", &["stable"], &[]),
        ("an unknown state", &["Asleep"], &[]),
        ("classic ones", &[], &["classic"]),
        ("consumer ones", &[], &["consumer"]),
        ("an unknown type", &[], &["odd"]),
    ] {
        let list = |words: &[&str]| words.iter().map(|word| KStr::from(*word)).collect();
        let request = ListGroupsRequest {
            states_filter: list(states),
            types_filter: list(types),
        };
        session.call(what, 5, &request);
    }
}

fn leave(session: &mut Session, member: &str) {
    let request = |group: &str, member: &str| LeaveGroupRequest {
        group_id: group.into(),
        member_id: member.into(),
        members: vec![MemberIdentity {
            member_id: member.into(),
            group_instance_id: None,
            reason: Some("done".into()),
        }],
    };
    session.every_version("unknown member", |_, _| request(GROUP, "nobody"));
    session.call("unknown group", 5, &request("never-seen", "nobody"));
    session.call("empty group", 5, &request("", "nobody"));
    session.call("the member", 5, &request(GROUP, member));
    session.call("the member again", 5, &request(GROUP, member));
    session.call("after leaving", 4, &heartbeat(GROUP, 1, member));
    let nobody = LeaveGroupRequest {
        group_id: GROUP.into(),
        ..LeaveGroupRequest::default()
    };
    session.call("nobody", 5, &nobody);
}

/// Two members on two connections: a rebalance as both of them see it.
fn two_members(session: &mut Session) -> Result<()> {
    let group = "pair";
    let Some(first) = session.call("first, no id", 9, &join(group, "")) else {
        return Ok(());
    };
    let leader = first.member_id.to_string();
    let Some(joined) = session.call("first", 9, &join(group, &leader)) else {
        return Ok(());
    };
    session.call(
        "first",
        5,
        &sync(group, joined.generation_id, &leader, true),
    );
    let Some(second) = session.call("second, no id", 9, &join(group, "")) else {
        return Ok(());
    };
    let follower = second.member_id.to_string();
    let mut other = session.another()?;
    other.send(9, &join(group, &follower))?;
    let beat = heartbeat(group, joined.generation_id, &leader);
    session.until(4, &beat, |answer| answer.error_code != 0);
    session.call("while the other joins", 4, &beat);
    let during = commit(group, joined.generation_id, &leader, TOPIC, 3);
    session.call("while the other joins", 8, &during);
    let again = session.call("first, again", 9, &join(group, &leader));
    let answer = other.receive::<JoinGroupRequest>(9);
    session.keep("JoinGroup v9 second", answer);
    let generation = again.map_or(2, |again| again.generation_id);
    other.send(5, &sync(group, generation, &follower, false))?;
    let mut shares = sync(group, generation, &leader, true);
    shares.assignments.push(SyncGroupRequestAssignment {
        member_id: follower.as_str().into(),
        assignment: Bytes::from_static(b"yours"),
    });
    session.call("shares", 5, &shares);
    let answer = other.receive::<SyncGroupRequest>(5);
    session.keep("SyncGroup v5 second", answer);
    session.call(
        "after the rebalance",
        4,
        &heartbeat(group, generation, &leader),
    );
    Ok(())
}

fn refused_joins(session: &mut Session) {
    let base = join("refusals", "");
    let protocols = |names: &[&str]| {
        names
            .iter()
            .map(|name| JoinGroupRequestProtocol {
                name: KStr::from(*name),
                metadata: Bytes::new(),
            })
            .collect()
    };
    let cases: &[(&str, JoinGroupRequest)] = &[
        ("empty group", join("", "")),
        ("unknown member", join("refusals", "nobody")),
        (
            "session of 1 ms",
            JoinGroupRequest {
                session_timeout_ms: 1,
                ..base.clone()
            },
        ),
        (
            "session of a day",
            JoinGroupRequest {
                session_timeout_ms: 86_400_000,
                ..base.clone()
            },
        ),
        (
            "no protocol",
            JoinGroupRequest {
                protocols: Vec::new(),
                ..base.clone()
            },
        ),
        (
            "no protocol type",
            JoinGroupRequest {
                protocol_type: "".into(),
                ..base
            },
        ),
    ];
    for (what, request) in cases {
        session.call(what, 9, request);
    }
    // `pair` speaks `range` of type `consumer`.
    let base = join("pair", "");
    let inconsistent = [
        (
            "another protocol",
            JoinGroupRequest {
                protocols: protocols(&["odd"]),
                ..base.clone()
            },
        ),
        (
            "another type",
            JoinGroupRequest {
                protocol_type: "connect".into(),
                ..base
            },
        ),
    ];
    for (what, request) in &inconsistent {
        session.call(what, 9, request);
    }
}

/// A group of one in every version, each with a name of its own.
fn by_version(session: &mut Session) {
    for version in 0..=9 {
        let group = format!("joined-by-v{version}");
        let mut answer = session.call("new member", version, &join(&group, ""));
        if let Some(asked) = answer.as_ref().filter(|answer| answer.error_code == 79) {
            let request = join(&group, &asked.member_id);
            answer = session.call("with its id", version, &request);
        }
        let Some(answer) = answer else { continue };
        let request = sync(&group, answer.generation_id, &answer.member_id, true);
        session.call("alone", version.min(5), &request);
    }
}

fn static_member(session: &mut Session) {
    let with = |member: &str, instance: &str| JoinGroupRequest {
        group_instance_id: Some(instance.into()),
        ..join("static", member)
    };
    let Some(first) = session.call("static", 9, &with("", "i1")) else {
        return;
    };
    let member = first.member_id.to_string();
    let request = SyncGroupRequest {
        group_instance_id: Some("i1".into()),
        ..sync("static", first.generation_id, &member, true)
    };
    session.call("static", 5, &request);
    let again = session.call("static, back without its id", 9, &with("", "i1"));
    let Some(again) = again else { return };
    let beat = |member: &str, instance: &str| HeartbeatRequest {
        group_instance_id: Some(instance.into()),
        ..heartbeat("static", again.generation_id, member)
    };
    session.call("static, the old member id", 4, &beat(&member, "i1"));
    session.call(
        "static, the new member id",
        4,
        &beat(&again.member_id, "i1"),
    );
    session.call(
        "static, an unknown instance",
        4,
        &beat(&again.member_id, "i9"),
    );
    let fenced = OffsetCommitRequest {
        group_instance_id: Some("i1".into()),
        ..commit("static", again.generation_id, &member, TOPIC, 5)
    };
    session.call("static, the old member id", 8, &fenced);
    let describe = DescribeGroupsRequest {
        groups: vec!["static".into()],
        include_authorized_operations: false,
    };
    session.call("static", 5, &describe);
    let leave = LeaveGroupRequest {
        group_id: "static".into(),
        members: ["i1", "i9"]
            .map(|instance| MemberIdentity {
                group_instance_id: Some(instance.into()),
                ..MemberIdentity::default()
            })
            .to_vec(),
        ..LeaveGroupRequest::default()
    };
    session.call("static, by instance, one unknown", 5, &leave);
}
