//! Static membership (KIP-345, KIP-814).

use levada_catalog::groups::{GroupEffect, GroupError, GroupReply, Join, Leaving, Phase, Sync};

use crate::support::*;

/// A stable group of two static members; `a1` of instance `a` leads.
fn pair() -> World {
    let mut world = World::default();
    world.join(fresh_static("a1", "a"));
    world.join(fresh_static("b1", "b"));
    world.settle("a1");
    world
}

#[test]
fn a_follower_that_comes_back_takes_its_place_without_a_rebalance() {
    let mut world = pair();
    let joined = world.joined(fresh_static("b2", "b"));
    assert_eq!(joined.member, "b2");
    assert_eq!(joined.round.generation, 1);
    assert!(!joined.with_members && !joined.skip_assignment);
    assert_eq!(world.phase(), Phase::Stable);
    assert!(world.effects.contains(&GroupEffect::MemberRemoved {
        group: GROUP.into(),
        member: "b1".into(),
        fenced: true,
    }));
    assert_eq!(
        world.sync(sync("b2", 1, &[])),
        GroupReply::Assigned("b1".into()),
        "it keeps what was assigned to it"
    );
}

#[test]
fn a_leader_that_comes_back_leads_but_must_not_assign() {
    let mut world = pair();
    let joined = world.joined(fresh_static("a2", "a"));
    assert_eq!(joined.leader, "a2");
    assert!(joined.with_members && joined.skip_assignment);
    assert_eq!(world.group().leader(), Some("a2"));
}

#[test]
fn an_old_client_that_led_comes_back_as_a_follower() {
    let mut world = pair();
    let old = Join {
        skip_assignment: false,
        ..fresh_static("a2", "a")
    };
    let joined = world.joined(old);
    assert_eq!(joined.leader, "a1");
    assert!(!joined.with_members && !joined.skip_assignment);
}

#[test]
fn the_replaced_member_id_is_fenced_everywhere() {
    let mut world = pair();
    world.join(fresh_static("b2", "b"));
    let fenced = GroupError::FencedInstanceId;
    let old = Join {
        fresh: false,
        ..fresh_static("b1", "b")
    };
    assert_eq!(world.join(old), refused(fenced));
    let old = Sync {
        instance: Some("b".into()),
        ..sync("b1", 1, &[])
    };
    assert_eq!(world.sync(old), refused(fenced));
    assert_eq!(
        world.table.heartbeat(GROUP, "b1", Some("b"), 1),
        Err(fenced)
    );
    assert_eq!(
        world.leave("b1", Some("b")),
        GroupReply::Left(vec![Err(fenced)])
    );
    let old = levada_catalog::groups::CommitOffsets {
        instance: Some("b".into()),
        ..commit("b1", 1)
    };
    assert_eq!(world.commit(old), refused(fenced));
}

#[test]
fn a_return_that_changes_the_choice_of_protocol_begins_a_round() {
    let mut world = World::default();
    let both = |join: Join| Join {
        protocols: protocols(&["range", "sticky"]),
        ..join
    };
    world.join(both(fresh_static("a1", "a")));
    world.settle("a1");
    let changed = Join {
        protocols: protocols(&["range"]),
        ..fresh_static("a2", "a")
    };
    assert!(
        matches!(world.join(changed), GroupReply::Joined(_)),
        "range is still the choice"
    );
    let changed = Join {
        protocols: protocols(&["sticky", "range"]),
        ..fresh_static("a3", "a")
    };
    let joined = world.joined(changed);
    assert_eq!(
        joined.round.generation, 2,
        "alone in the group: the round ends at once"
    );
    assert_eq!(joined.round.protocol, "sticky");
}

#[test]
fn a_return_during_a_round_joins_it() {
    let mut world = pair();
    world.join(Join {
        fresh: false,
        ..fresh_static("a1", "a")
    });
    let joined = world.joined(fresh_static("b2", "b"));
    assert_eq!(joined.round.generation, 2);
    assert!(!joined.round.has("b1"));
}

#[test]
fn a_return_while_assignments_are_awaited_begins_a_round() {
    let mut world = World::default();
    world.join(fresh_static("a1", "a"));
    world.join(fresh_static("b1", "b"));
    world.time_is_up();
    assert_eq!(
        world.join(fresh_static("b2", "b")),
        GroupReply::Waiting { generation: 1 }
    );
    assert!(world.rebalance_started());
}

#[test]
fn only_its_session_timeout_removes_a_static_member_that_did_not_rejoin() {
    let mut world = pair();
    world.join(fresh("c"));
    world.time_is_up();
    assert_eq!(world.completed(), Some(2));
    assert!(world.group().members().contains_key("a1"));
    assert_eq!(world.group().leader(), Some("c"), "one who is here leads");
    world.expire("a1");
    assert!(!world.group().members().contains_key("a1"));
}

#[test]
fn a_round_that_no_static_member_rejoined_goes_on() {
    let mut world = pair();
    world.join(fresh("c"));
    world.leave("c", None);
    world.time_is_up();
    assert!(world.rebalance_started());
    assert!(matches!(world.phase(), Phase::Preparing { .. }));
    assert_eq!(world.group().members().len(), 2);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance() {
    let mut world = pair();
    assert_eq!(world.leave("", Some("b")), GroupReply::Left(vec![Ok(())]));
    assert!(!world.group().members().contains_key("b1"));
    assert_eq!(
        world.leave("", Some("b")),
        GroupReply::Left(vec![Err(GroupError::UnknownMemberId)])
    );
    let leaving = Leaving {
        member: "a1".into(),
        instance: Some("unknown".into()),
    };
    assert_eq!(
        world.leave(&leaving.member, leaving.instance.as_deref()),
        GroupReply::Left(vec![Err(GroupError::UnknownMemberId)])
    );
}

#[test]
fn a_static_member_takes_its_place_in_a_full_group() {
    let mut world = pair();
    let back = Join {
        members_max: 2,
        ..fresh_static("b2", "b")
    };
    assert!(matches!(world.join(back), GroupReply::Joined(_)));
}
