//! Committed offsets and the administration of groups.

use levada_catalog::groups::{CommitOffsets, GroupCommand, GroupError, GroupReply, Phase};
use levada_model::TopicId;

use crate::support::*;

const DAY_MS: i64 = 86_400_000;

fn expire(world: &mut World) {
    world.apply(GroupCommand::ExpireOffsets {
        group: GROUP.into(),
        retention_ms: 7 * DAY_MS as u64,
    });
}

fn delete_offsets(world: &mut World, partitions: &[(TopicId, i32)]) -> GroupReply {
    world.apply(GroupCommand::DeleteOffsets {
        group: GROUP.into(),
        partitions: partitions.to_vec(),
    })
}

#[test]
fn a_simple_commit_makes_a_group_and_keeps_all_it_says() {
    let mut world = World {
        now_ms: 5,
        ..World::default()
    };
    assert_eq!(
        world.commit(commit("", -1)),
        GroupReply::Offsets(vec![Ok(())])
    );
    let kept = &world.group().offsets()[&(ORDERS, 0)];
    assert_eq!(
        (kept.offset.0, &*kept.metadata, kept.commit_ms),
        (7, "note", 5)
    );
    assert_eq!(world.phase(), Phase::Empty);
    assert_eq!(world.group().protocol_type(), None);
}

#[test]
fn a_commit_of_a_generation_to_a_group_that_is_gone_is_refused() {
    let mut world = World::default();
    assert_eq!(
        world.commit(commit("a", 3)),
        refused(GroupError::GroupIdNotFound)
    );
    assert!(world.table.is_empty());
}

#[test]
fn members_commit_in_their_generation_only() {
    let mut world = World::stable(&["a"]);
    assert_eq!(
        world.commit(commit("a", 1)),
        GroupReply::Offsets(vec![Ok(())])
    );
    assert_eq!(
        world.commit(commit("a", 0)),
        refused(GroupError::IllegalGeneration)
    );
    assert_eq!(
        world.commit(commit("a", -1)),
        refused(GroupError::IllegalGeneration)
    );
    assert_eq!(
        world.commit(commit("x", 1)),
        refused(GroupError::UnknownMemberId)
    );
    assert_eq!(
        world.commit(commit("", -1)),
        refused(GroupError::UnknownMemberId)
    );
}

#[test]
fn members_may_commit_while_a_round_gathers_but_not_while_it_assigns() {
    let mut world = World::stable(&["a"]);
    world.join(fresh("b"));
    assert_eq!(
        world.commit(commit("a", 1)),
        GroupReply::Offsets(vec![Ok(())])
    );
    world.join(join("a"));
    assert_eq!(
        world.commit(commit("a", 2)),
        refused(GroupError::RebalanceInProgress)
    );
}

#[test]
fn each_offset_has_its_own_result() {
    let mut world = World::default();
    let mut long = offset(ORDERS, 3, 1);
    long.metadata = "x".repeat(4097);
    let many = CommitOffsets {
        offsets: vec![
            offset(ORDERS, 0, 1),
            offset(ORDERS, 4, 1),
            offset(ORDERS, -1, 1),
            offset(TopicId::NONE, 0, 1),
            long,
            offset(CLICKS, 3, 9),
        ],
        ..commit("", -1)
    };
    let unknown = Err(GroupError::UnknownTopicOrPartition);
    let results = vec![
        Ok(()),
        unknown,
        unknown,
        unknown,
        Err(GroupError::OffsetMetadataTooLarge),
        Ok(()),
    ];
    assert_eq!(world.commit(many), GroupReply::Offsets(results));
    assert_eq!(world.group().offsets().len(), 2);
}

#[test]
fn a_commit_of_nothing_valid_makes_no_group() {
    let mut world = World::default();
    let lost = CommitOffsets {
        offsets: vec![offset(TopicId::NONE, 0, 1)],
        ..commit("", -1)
    };
    world.commit(lost);
    assert!(world.table.is_empty());
}

#[test]
fn the_offsets_of_a_deleted_topic_go_with_it() {
    let mut world = World::default();
    world.commit(commit("", -1));
    let clicks = CommitOffsets {
        offsets: vec![offset(CLICKS, 0, 1), offset(CLICKS, 1, 1)],
        ..commit("", -1)
    };
    world.commit(clicks);
    assert_eq!(world.table.groups_of_topic(CLICKS).count(), 1);
    assert_eq!(world.table.forget_topic(CLICKS), [GROUP.into()]);
    assert_eq!(world.group().offsets().len(), 1);
    assert!(world.table.forget_topic(CLICKS).is_empty());
}

#[test]
fn only_an_empty_group_is_deleted() {
    let mut world = World::stable(&["a"]);
    let delete = || GroupCommand::DeleteGroup {
        group: GROUP.into(),
    };
    assert_eq!(world.apply(delete()), refused(GroupError::NonEmptyGroup));
    world.commit(commit("a", 1));
    world.leave("a", None);
    assert_eq!(world.apply(delete()), GroupReply::Done);
    assert_eq!(world.apply(delete()), refused(GroupError::GroupIdNotFound));
    assert_eq!(world.table.groups_of_topic(ORDERS).count(), 0);
}

#[test]
fn offsets_of_a_topic_that_a_member_reads_are_not_deleted() {
    let mut world = World::stable(&["a"]);
    world.commit(CommitOffsets {
        offsets: vec![offset(ORDERS, 0, 1), offset(CLICKS, 0, 1)],
        ..commit("a", 1)
    });
    assert_eq!(
        delete_offsets(&mut world, &[(ORDERS, 0), (CLICKS, 0), (TopicId::NONE, 0)]),
        GroupReply::Offsets(vec![
            Err(GroupError::GroupSubscribedToTopic),
            Ok(()),
            Err(GroupError::UnknownTopicOrPartition),
        ])
    );
    world.leave("a", None);
    assert_eq!(
        delete_offsets(&mut world, &[(ORDERS, 0)]),
        GroupReply::Offsets(vec![Ok(())])
    );
    assert!(world.group().offsets().is_empty());
}

#[test]
fn members_that_do_not_say_what_they_read_keep_all_offsets() {
    let mut world = World::default();
    let mut mute = fresh("a");
    mute.protocols[0].metadata = Default::default();
    world.join(mute);
    world.settle("a");
    assert_eq!(
        delete_offsets(&mut world, &[(ORDERS, 0)]),
        GroupReply::Offsets(vec![Err(GroupError::GroupSubscribedToTopic)])
    );
}

#[test]
fn offset_deletion_needs_a_known_group() {
    let mut world = World::default();
    assert_eq!(
        delete_offsets(&mut world, &[(ORDERS, 0)]),
        refused(GroupError::GroupIdNotFound)
    );
}

#[test]
fn offsets_expire_only_after_the_group_was_empty_for_the_retention() {
    let mut world = World::stable(&["a"]);
    world.commit(commit("a", 1));
    world.now_ms = 100 * DAY_MS;
    expire(&mut world);
    assert_eq!(world.group().offsets().len(), 1, "a member reads it");
    world.leave("a", None);
    world.now_ms += 7 * DAY_MS - 1;
    expire(&mut world);
    assert_eq!(
        world.group().offsets().len(),
        1,
        "not empty for long enough"
    );
    world.now_ms += 1;
    let found = world
        .table
        .expirable(None, 10, 7 * DAY_MS as u64, world.now_ms, &Topics);
    assert_eq!(found, (vec![GROUP.to_owned()], None));
    expire(&mut world);
    assert!(
        world.table.is_empty(),
        "the group goes with its last offset"
    );
}

#[test]
fn a_simple_group_expires_by_the_age_of_its_commits() {
    let mut world = World::default();
    world.commit(commit("", -1));
    world.now_ms = 6 * DAY_MS;
    world.commit(CommitOffsets {
        offsets: vec![offset(CLICKS, 0, 1)],
        ..commit("", -1)
    });
    world.now_ms = 7 * DAY_MS;
    expire(&mut world);
    let left: Vec<_> = world.group().offsets().keys().collect();
    assert_eq!(left, [&(CLICKS, 0)]);
}

#[test]
fn offsets_of_topics_that_no_member_reads_expire_by_age() {
    let mut world = World::stable(&["a"]);
    world.commit(CommitOffsets {
        offsets: vec![offset(ORDERS, 0, 1), offset(CLICKS, 0, 1)],
        ..commit("a", 1)
    });
    world.now_ms = 7 * DAY_MS;
    expire(&mut world);
    let left: Vec<_> = world.group().offsets().keys().collect();
    assert_eq!(left, [&(ORDERS, 0)]);
}

#[test]
fn a_walk_over_groups_to_expire_goes_on_where_it_stopped() {
    let mut world = World::default();
    for name in ["a", "b", "c"] {
        world.commit(CommitOffsets {
            group: name.into(),
            ..commit("", -1)
        });
    }
    let now_ms = 8 * DAY_MS;
    let (names, next) = world
        .table
        .expirable(None, 2, DAY_MS as u64, now_ms, &Topics);
    assert_eq!(names, ["a", "b"]);
    let (names, next) = world
        .table
        .expirable(next.as_deref(), 2, DAY_MS as u64, now_ms, &Topics);
    assert_eq!((names, next), (vec!["c".to_owned()], None));
}
