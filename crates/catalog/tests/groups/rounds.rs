//! How rounds begin and end.

use levada_catalog::groups::{GroupEffect, GroupError, GroupReply, Join, Phase};

use crate::support::*;

#[test]
fn the_first_round_waits_for_more_members_until_its_time_is_up() {
    let mut world = World::default();
    assert_eq!(
        world.join(fresh("a")),
        GroupReply::Waiting { generation: 0 }
    );
    assert!(matches!(
        world.effects[..],
        [
            GroupEffect::MemberAdded { .. },
            GroupEffect::RebalanceStarted {
                generation: 0,
                initial: true,
                timeout_ms: 60_000,
                ..
            }
        ]
    ));
    assert_eq!(
        world.join(fresh("b")),
        GroupReply::Waiting { generation: 0 }
    );
    assert!(!world.rebalance_started());
    world.time_is_up();
    assert_eq!(world.completed(), Some(1));
    assert_eq!(world.phase(), Phase::Completing);
    assert_eq!(world.group().leader(), Some("a"));
}

#[test]
fn a_later_round_ends_as_soon_as_all_have_rejoined() {
    let mut world = World::stable(&["a"]);
    assert_eq!(
        world.join(fresh("b")),
        GroupReply::Waiting { generation: 1 }
    );
    let joined = world.joined(join("a"));
    assert_eq!(world.completed(), Some(2));
    assert_eq!(joined.round.generation, 2);
    assert!(joined.with_members);
    assert_eq!(joined.round.members.len(), 2);
    assert!(joined.round.has("b"));
    let follower = joined.round.joined("b");
    assert!(!follower.with_members);
    assert_eq!(follower.leader, "a");
}

#[test]
fn a_round_is_told_once_to_all_who_joined_it() {
    let mut world = World::stable(&["a", "b", "c"]);
    world.join(join("a"));
    world.join(join("c"));
    assert_eq!(world.completed(), None);
    world.join(join("b"));
    assert_eq!(world.completed(), Some(2));
}

#[test]
fn who_did_not_rejoin_in_time_is_removed() {
    let mut world = World::stable(&["a", "b", "c"]);
    world.join(join("a"));
    world.join(join("b"));
    world.time_is_up();
    assert_eq!(world.completed(), Some(2));
    let members: Vec<_> = world.group().members().keys().collect();
    assert_eq!(members, ["a", "b"]);
    assert!(world.effects.contains(&GroupEffect::MemberRemoved {
        group: GROUP.into(),
        member: "c".into(),
        fenced: false,
    }));
}

#[test]
fn a_leader_that_did_not_rejoin_is_replaced() {
    let mut world = World::stable(&["a", "b"]);
    world.join(fresh("c"));
    world.join(join("b"));
    world.time_is_up();
    assert_eq!(world.group().leader(), Some("b"));
}

#[test]
fn a_timer_of_an_earlier_round_does_nothing() {
    let mut world = World::stable(&["a", "b"]);
    world.join(join("a"));
    let late = levada_catalog::groups::GroupCommand::CompleteRebalance {
        group: GROUP.into(),
        generation: 0,
    };
    world.apply(late);
    assert_eq!(world.group().members().len(), 2);
    assert!(matches!(world.phase(), Phase::Preparing { .. }));
}

#[test]
fn a_round_that_nobody_joins_empties_the_group() {
    let mut world = World::default();
    world.join(fresh("a"));
    world.leave("a", None);
    assert!(matches!(world.phase(), Phase::Preparing { .. }));
    world.time_is_up();
    assert_eq!(world.phase(), Phase::Empty);
    assert_eq!(world.group().generation(), 1);
}

#[test]
fn a_follower_that_rejoins_unchanged_gets_the_current_generation() {
    let mut world = World::stable(&["a", "b"]);
    let joined = world.joined(join("b"));
    assert_eq!(joined.round.generation, 1);
    assert!(!joined.with_members);
    assert_eq!(world.phase(), Phase::Stable);
}

#[test]
fn a_follower_that_changes_its_protocols_begins_a_round() {
    let mut world = World::stable(&["a", "b"]);
    let changed = Join {
        protocols: protocols(&["range", "sticky"]),
        ..join("b")
    };
    assert_eq!(world.join(changed), GroupReply::Waiting { generation: 1 });
    assert!(world.rebalance_started());
}

#[test]
fn a_leader_that_rejoins_begins_a_round() {
    let mut world = World::stable(&["a", "b"]);
    assert_eq!(world.join(join("a")), GroupReply::Waiting { generation: 1 });
    assert!(world.rebalance_started());
}

#[test]
fn a_retried_join_after_the_round_gets_the_same_answer() {
    let mut world = World::default();
    world.join(fresh("a"));
    world.join(fresh("b"));
    world.time_is_up();
    let leader = world.joined(join("a"));
    assert!(leader.with_members);
    assert_eq!(leader.round.generation, 1);
    let follower = world.joined(join("b"));
    assert_eq!(follower.round.generation, 1);
    assert_eq!(world.phase(), Phase::Completing);
}

#[test]
fn a_changed_join_after_the_round_begins_another() {
    let mut world = World::default();
    world.join(fresh("a"));
    world.join(fresh("b"));
    world.time_is_up();
    let changed = Join {
        protocols: protocols(&["range", "sticky"]),
        ..join("b")
    };
    assert_eq!(world.join(changed), GroupReply::Waiting { generation: 1 });
    assert!(world.rebalance_started());
    assert_eq!(
        world.sync(sync("a", 1, &[])),
        refused(GroupError::RebalanceInProgress)
    );
}

#[test]
fn the_protocol_that_most_prefer_among_those_of_all_is_chosen() {
    let prefers = |member: &str, names: &[&str]| Join {
        protocols: protocols(names),
        ..fresh(member)
    };
    let mut world = World::default();
    world.join(prefers("a", &["range", "sticky", "own"]));
    world.join(prefers("b", &["sticky", "range"]));
    world.join(prefers("c", &["other", "sticky", "range"]));
    world.time_is_up();
    assert_eq!(world.group().protocol(), Some("sticky"));
    let mut world = World::default();
    world.join(prefers("a", &["range", "sticky"]));
    world.join(prefers("b", &["sticky", "range"]));
    world.time_is_up();
    assert_eq!(
        world.group().protocol(),
        Some("range"),
        "the leader breaks a tie"
    );
}

#[test]
fn a_rejoin_updates_every_field_of_the_member() {
    let mut world = World::stable(&["a", "b"]);
    let moved = Join {
        client_id: "other".into(),
        client_host: "/10.0.0.1".into(),
        session_timeout_ms: 7,
        rebalance_timeout_ms: 8,
        ..join("b")
    };
    world.join(moved);
    let member = &world.group().members()["b"];
    assert_eq!(member.client_id, "other");
    assert_eq!(member.client_host, "/10.0.0.1");
    assert_eq!(member.session_timeout_ms, 7);
    assert_eq!(member.rebalance_timeout_ms, 8);
    let timeout = |world: &World| match world.effects[0] {
        GroupEffect::RebalanceStarted { timeout_ms, .. } => timeout_ms,
        ref other => panic!("{other:?}"),
    };
    world.join(join("a"));
    assert_eq!(timeout(&world), 60_000, "the longest of all members");
}

#[test]
fn a_member_removed_while_all_wait_for_assignments_begins_a_round() {
    let mut world = World::default();
    world.join(fresh("a"));
    world.join(fresh("b"));
    world.time_is_up();
    world.expire("a");
    assert!(world.rebalance_started());
    assert_eq!(world.group().leader(), Some("b"));
    assert_eq!(world.joined(join("b")).round.generation, 2);
}
