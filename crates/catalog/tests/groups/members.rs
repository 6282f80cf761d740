//! Who may join, sync, beat and leave.

use levada_catalog::groups::{
    GroupCommand, GroupEffect, GroupError, GroupReply, Join, Leaving, Phase, Sync, SyncStep,
};

use crate::support::*;

#[test]
fn a_group_id_must_not_be_empty() {
    let nameless = Join {
        group: String::new(),
        ..fresh("a")
    };
    assert_eq!(
        World::default().join(nameless),
        refused(GroupError::InvalidGroupId)
    );
}

#[test]
fn an_unknown_member_id_is_refused_and_leaves_no_group_behind() {
    let mut world = World::default();
    assert_eq!(
        world.join(join("ghost")),
        refused(GroupError::UnknownMemberId)
    );
    assert!(world.table.is_empty());
    let mut world = World::stable(&["a"]);
    assert_eq!(
        world.join(join("ghost")),
        refused(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_refused_first_join_leaves_no_group_behind() {
    let mut world = World::default();
    let mute = Join {
        protocols: vec![],
        ..fresh("a")
    };
    assert_eq!(
        world.join(mute),
        refused(GroupError::InconsistentGroupProtocol)
    );
    assert!(world.table.is_empty());
}

#[test]
fn protocol_type_and_protocols_must_fit_the_other_members() {
    let mut world = World::stable(&["a"]);
    let connect = Join {
        protocol_type: "connect".into(),
        ..fresh("b")
    };
    assert_eq!(
        world.join(connect),
        refused(GroupError::InconsistentGroupProtocol)
    );
    let alien = Join {
        protocols: protocols(&["sticky"]),
        ..fresh("b")
    };
    assert_eq!(
        world.join(alien),
        refused(GroupError::InconsistentGroupProtocol)
    );
}

#[test]
fn a_full_group_takes_nobody_new_but_keeps_its_members() {
    let full = |join: Join| Join {
        members_max: 2,
        ..join
    };
    let mut world = World::stable(&["a", "b"]);
    assert_eq!(
        world.join(full(fresh("c"))),
        refused(GroupError::GroupMaxSizeReached)
    );
    assert_eq!(world.phase(), Phase::Stable);
    assert!(matches!(world.join(full(join("b"))), GroupReply::Joined(_)));
}

#[test]
fn while_a_round_gathers_the_first_to_come_get_the_places() {
    let full = |join: Join| Join {
        members_max: 2,
        ..join
    };
    let mut world = World::stable(&["a", "b"]);
    world.join(full(join("a")));
    world.join(full(fresh("c")));
    assert_eq!(
        world.join(full(join("b"))),
        refused(GroupError::GroupMaxSizeReached)
    );
    assert_eq!(world.completed(), Some(2));
    let members: Vec<_> = world.group().members().keys().collect();
    assert_eq!(members, ["a", "c"]);
}

#[test]
fn a_name_or_metadata_over_the_limit_is_refused() {
    let long = Join {
        client_id: "x".repeat(5000),
        ..fresh("a")
    };
    assert_eq!(World::default().join(long), refused(GroupError::TooLarge));
}

#[test]
fn sync_is_refused_for_strangers_old_generations_and_other_protocols() {
    let mut world = World::stable(&["a"]);
    assert_eq!(
        world.sync(sync("x", 1, &[])),
        refused(GroupError::UnknownMemberId)
    );
    assert_eq!(
        world.sync(sync("a", 0, &[])),
        refused(GroupError::IllegalGeneration)
    );
    let other = Sync {
        protocol: Some("sticky".into()),
        ..sync("a", 1, &[])
    };
    assert_eq!(
        world.sync(other),
        refused(GroupError::InconsistentGroupProtocol)
    );
    let same = Sync {
        protocol: Some("range".into()),
        protocol_type: Some("consumer".into()),
        ..sync("a", 1, &[])
    };
    assert_eq!(world.sync(same), GroupReply::Assigned("a".into()));
}

#[test]
fn a_follower_waits_for_the_leader_and_then_finds_its_assignment() {
    let mut world = World::default();
    world.join(fresh("a"));
    world.join(fresh("b"));
    world.time_is_up();
    let step = world.table.sync_step(&sync("b", 1, &[]));
    assert_eq!(step, Ok(SyncStep::Wait { generation: 1 }));
    assert_eq!(
        world.table.sync_step(&sync("a", 1, &[])),
        Ok(SyncStep::Lead)
    );
    world.sync(sync("a", 1, &[("b", "for b"), ("stranger", "lost")]));
    let told = &world.effects[..];
    let [GroupEffect::Assigned { assignments, .. }] = told else {
        panic!("{told:?}")
    };
    let given = [
        ("a".to_owned(), "".into()),
        ("b".to_owned(), "for b".into()),
    ];
    assert_eq!(assignments[..], given);
    assert_eq!(
        world.table.sync_step(&sync("b", 1, &[])),
        Ok(SyncStep::Assigned("for b".into()))
    );
    // The leader gave itself nothing.
    assert_eq!(
        world.table.sync_step(&sync("a", 1, &[])),
        Ok(SyncStep::Assigned(Default::default()))
    );
}

#[test]
fn sync_during_a_rebalance_says_so() {
    let mut world = World::stable(&["a"]);
    world.join(fresh("b"));
    assert_eq!(
        world.sync(sync("a", 1, &[])),
        refused(GroupError::RebalanceInProgress)
    );
}

#[test]
fn a_heartbeat_tells_of_a_rebalance_and_refuses_strangers() {
    let mut world = World::stable(&["a"]);
    let beat = |world: &World, member, generation| {
        world
            .table
            .heartbeat(GROUP, member, None, generation)
            .map(|beat| beat.rebalancing)
    };
    assert_eq!(beat(&world, "a", 1), Ok(false));
    assert_eq!(beat(&world, "a", 0), Err(GroupError::IllegalGeneration));
    assert_eq!(beat(&world, "x", 1), Err(GroupError::UnknownMemberId));
    world.join(fresh("b"));
    assert_eq!(beat(&world, "a", 1), Ok(true));
    assert_eq!(
        world.table.heartbeat("no such group", "a", None, 1),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn each_leaving_member_has_its_own_result() {
    let mut world = World::stable(&["a", "b"]);
    let leaving = |member: &str| Leaving {
        member: member.into(),
        instance: None,
    };
    let reply = world.apply(GroupCommand::Leave {
        group: GROUP.into(),
        members: vec![leaving("b"), leaving("x")],
    });
    assert_eq!(
        reply,
        GroupReply::Left(vec![Ok(()), Err(GroupError::UnknownMemberId)])
    );
    assert!(world.rebalance_started());
    let reply = world.apply(GroupCommand::Leave {
        group: "no such group".into(),
        members: vec![leaving("b")],
    });
    assert_eq!(
        reply,
        GroupReply::Left(vec![Err(GroupError::UnknownMemberId)])
    );
}

#[test]
fn the_last_member_that_leaves_empties_the_group_at_once() {
    let mut world = World::stable(&["a"]);
    world.leave("a", None);
    assert_eq!(world.phase(), Phase::Empty);
    assert_eq!(world.group().generation(), 2);
    assert_eq!(world.group().protocol_type(), Some("consumer"));
    assert_eq!(world.group().protocol(), None);
    assert!(world.effects.contains(&GroupEffect::Emptied {
        group: GROUP.into()
    }));
}

#[test]
fn an_expiry_that_came_too_late_is_refused() {
    let mut world = World::stable(&["a", "b"]);
    let expire = |generation, attempt| GroupCommand::ExpireMember {
        group: GROUP.into(),
        member: "b".into(),
        generation,
        attempt,
    };
    world.apply(expire(0, 1));
    assert!(
        world.group().members().contains_key("b"),
        "another generation"
    );
    world.join(join("b"));
    world.apply(expire(1, 1));
    assert!(
        world.group().members().contains_key("b"),
        "it has joined since"
    );
    world.apply(expire(1, 2));
    assert!(!world.group().members().contains_key("b"));
    assert!(world.rebalance_started());
}

#[test]
fn a_member_that_waits_in_a_round_does_not_expire() {
    let mut world = World::stable(&["a"]);
    world.join(fresh("b"));
    world.expire("b");
    assert!(world.group().members().contains_key("b"));
    world.expire("a");
    assert!(!world.group().members().contains_key("a"));
    assert_eq!(world.completed(), Some(2), "nobody else was awaited");
}
