//! Who is alive, across restarts too.

use std::time::Duration;

use levada_engine::groups::{GroupError, GroupFilter, JoinRequest, Leaving};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_member_that_beats_stays_and_a_silent_one_goes() {
    let world = World::new().await;
    let (leader, follower) = world.pair().await;
    for _ in 0..5 {
        pass(Duration::from_secs(3)).await;
        let _ = world.beat(&leader);
    }
    assert_eq!(world.members(), 1);
    assert_eq!(world.beat(&follower), Err(GroupError::UnknownMemberId));
    assert_eq!(world.beat(&leader), Err(GroupError::RebalanceInProgress));
    pass(Duration::from_secs(11)).await;
    assert_eq!(world.state(), "Empty");
}

#[tokio::test(start_paused = true)]
async fn commits_are_signs_of_life() {
    let world = World::new().await;
    let member = world.single().await;
    for offset in 0..5 {
        pass(Duration::from_secs(7)).await;
        let request = commit(&member.member, 1, offset);
        let results = world.engine.groups().commit_offsets(request).await;
        assert_eq!(results, [Ok(())]);
    }
    assert_eq!(world.members(), 1);
}

#[tokio::test(start_paused = true)]
async fn leaving_members_make_room_at_once() {
    let world = World::new().await;
    let (leader, follower) = world.pair().await;
    let leaving = |member: &str| Leaving {
        member: member.into(),
        instance: None,
    };
    let members = vec![leaving(&follower.member), leaving("stranger")];
    let results = world.engine.groups().leave(GROUP, members).await.unwrap();
    assert_eq!(results, [Ok(()), Err(GroupError::UnknownMemberId)]);
    assert_eq!(world.beat(&leader), Err(GroupError::RebalanceInProgress));
    let joined = world.join(again(&leader)).await.unwrap().unwrap();
    assert_eq!(joined.round.generation, 2);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_only_given_out_can_leave() {
    let world = World::new().await;
    let asks = JoinRequest {
        requires_member_id: true,
        ..newcomer()
    };
    let given = world.join(asks).await.unwrap().unwrap_err().member;
    let leaving = |member: &str| {
        vec![Leaving {
            member: member.into(),
            instance: None,
        }]
    };
    let groups = world.engine.groups();
    assert_eq!(groups.leave(GROUP, leaving(&given)).await, Ok(vec![Ok(())]));
    let unknown = Ok(vec![Err(GroupError::UnknownMemberId)]);
    assert_eq!(groups.leave(GROUP, leaving(&given)).await, unknown);
}

#[tokio::test(start_paused = true)]
async fn a_static_member_that_comes_back_finds_its_assignment_and_fences_its_old_self() {
    let world = World::new().await;
    let member = JoinRequest {
        instance: Some("one".into()),
        requires_member_id: true,
        ..newcomer()
    };
    let before = world.join(member.clone()).await.unwrap().unwrap();
    let ids = [(before.member.as_str(), "mine")];
    assert_eq!(world.sync(&before, &ids).await.unwrap().unwrap(), "mine");
    let after = world.join(member).await.unwrap().unwrap();
    assert!(after.skip_assignment);
    assert_eq!(after.round.generation, 1);
    assert_ne!(after.member, before.member);
    assert_eq!(world.sync(&after, &[]).await.unwrap().unwrap(), "mine");
    let beat = world
        .engine
        .groups()
        .heartbeat(GROUP, &before.member, Some("one"), 1);
    assert_eq!(beat, Err(GroupError::FencedInstanceId));
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_members_and_gives_each_its_full_session_timeout() {
    let mut world = World::new().await;
    let (leader, follower) = world.pair().await;
    pass(Duration::from_secs(9)).await;
    world.restart().await;
    pass(Duration::from_secs(9)).await;
    assert_eq!(world.beat(&leader), Ok(()));
    assert_eq!(world.sync(&follower, &[]).await.unwrap().unwrap(), "F");
    pass(Duration::from_secs(9)).await;
    assert_eq!(world.beat(&leader), Ok(()));
    pass(Duration::from_secs(2)).await;
    assert_eq!(world.beat(&leader), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.members(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_round_that_a_restart_cut_off_goes_on() {
    let mut world = World::new().await;
    let first = world.single().await;
    let cut = world.join(newcomer());
    pass(Duration::from_millis(10)).await;
    world.restart().await;
    assert_eq!(
        cut.await.unwrap().unwrap_err().error,
        GroupError::CoordinatorNotAvailable
    );
    assert_eq!(world.beat(&first), Err(GroupError::RebalanceInProgress));
    let joined = world.join(again(&first)).await.unwrap().unwrap();
    assert_eq!(joined.round.generation, 2);
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_by_state_and_type_and_deleted_when_empty() {
    let world = World::new().await;
    let member = world.single().await;
    let groups = world.engine.groups();
    let named = |states: &[&str], types: &[&str]| {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let filter = GroupFilter {
            states: texts(states),
            types: texts(types),
        };
        groups.list(&filter).unwrap().len()
    };
    assert_eq!(named(&[], &[]), 1);
    assert_eq!(named(&["stable", "Empty"], &["Classic"]), 1);
    assert_eq!(named(&["Empty"], &[]), 0);
    assert_eq!(named(&[], &["consumer"]), 0);
    assert_eq!(groups.delete(GROUP).await, Err(GroupError::NonEmptyGroup));
    let leaving = Leaving {
        member: member.member,
        instance: None,
    };
    groups.leave(GROUP, vec![leaving]).await.unwrap();
    assert_eq!(groups.delete(GROUP).await, Ok(()));
    assert_eq!(groups.delete(GROUP).await, Err(GroupError::GroupIdNotFound));
}
