//! Joins and syncs that wait.

use std::time::Duration;

use levada_engine::groups::{GroupError, GroupSizes, JoinRequest};
use tokio::time::Instant;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn two_members_that_start_together_share_the_first_generation() {
    let world = World::new().await;
    let (leader, follower) = world.pair().await;
    assert_eq!(leader.round.generation, 1);
    assert_eq!(follower.round.generation, 1);
    assert_eq!(leader.round.members.len(), 2);
    assert!(!follower.with_members);
    assert_eq!(world.state(), "Stable");
}

#[tokio::test(start_paused = true)]
async fn the_first_round_takes_the_initial_delay_and_is_prolonged_while_members_come() {
    let world = World::new().await;
    let start = Instant::now();
    let first = world.join(newcomer());
    pass(Duration::from_millis(100)).await;
    let second = world.join(newcomer());
    let first = first.await.unwrap().unwrap();
    let second = second.await.unwrap().unwrap();
    assert_eq!(first.round, second.round);
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_millis(400),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_ends_as_soon_as_all_known_members_have_rejoined() {
    let world = World::new().await;
    let first = world.single().await;
    let second = world.join(newcomer());
    pass(Duration::from_millis(10)).await;
    assert_eq!(world.beat(&first), Err(GroupError::RebalanceInProgress));
    let start = Instant::now();
    let first = world.join(again(&first)).await.unwrap().unwrap();
    let second = second.await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_millis(50));
    assert_eq!(first.round.generation, 2);
    assert_eq!(second.round, first.round);
    assert!(first.with_members && !second.with_members);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_rejoin_in_the_rebalance_timeout_is_out() {
    let world = World::new().await;
    let (leader, follower) = world.pair().await;
    let start = Instant::now();
    let joining = world.join(again(&leader));
    // The other one beats on but never joins.
    for _ in 0..8 {
        pass(Duration::from_secs(7)).await;
        assert_eq!(world.beat(&follower), Err(GroupError::RebalanceInProgress));
    }
    let joined = joining.await.unwrap().unwrap();
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(joined.round.members.len(), 1);
    assert_eq!(world.beat(&follower), Err(GroupError::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_new_client_is_given_an_id_to_join_with() {
    let world = World::new().await;
    let asks = JoinRequest {
        requires_member_id: true,
        ..newcomer()
    };
    let refused = world.join(asks.clone()).await.unwrap().unwrap_err();
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    assert!(refused.member.starts_with("client-"));
    assert_eq!(world.state(), "Dead", "an id alone makes no group");
    let joins = JoinRequest {
        member: refused.member.clone(),
        ..asks
    };
    let joined = world.join(joins.clone()).await.unwrap().unwrap();
    assert_eq!(joined.member, refused.member);
    let invented = JoinRequest {
        member: "invented".into(),
        ..joins
    };
    let refused = world.join(invented).await.unwrap().unwrap_err();
    assert_eq!(
        (refused.error, &*refused.member),
        (GroupError::UnknownMemberId, "invented")
    );
}

#[tokio::test(start_paused = true)]
async fn session_timeouts_have_bounds() {
    let world = World::new().await;
    for session_timeout_ms in [-1, 0, 5_999, 1_800_001] {
        let wild = JoinRequest {
            session_timeout_ms,
            ..newcomer()
        };
        let refused = world.join(wild).await.unwrap().unwrap_err();
        assert_eq!(refused.error, GroupError::InvalidSessionTimeout);
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_told_when_a_round_begins_instead_of_its_assignment() {
    let world = World::new().await;
    let (a, b) = (world.join(newcomer()), world.join(newcomer()));
    let (a, b) = (a.await.unwrap().unwrap(), b.await.unwrap().unwrap());
    let follower = if a.with_members { b } else { a };
    let waits = world.sync(&follower, &[]);
    let _third = world.join(newcomer());
    assert_eq!(waits.await.unwrap(), Err(GroupError::RebalanceInProgress));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_never_asks_for_its_assignment_is_out_after_the_rebalance_timeout() {
    let world = World::new().await;
    let (a, b) = (world.join(newcomer()), world.join(newcomer()));
    let (a, b) = (a.await.unwrap().unwrap(), b.await.unwrap().unwrap());
    let (leader, follower) = if a.with_members { (a, b) } else { (b, a) };
    world.sync(&leader, &[]).await.unwrap().unwrap();
    for _ in 0..11 {
        pass(Duration::from_millis(5_400)).await;
        assert_eq!(world.beat(&leader), Ok(()));
        assert_eq!(world.beat(&follower), Ok(()));
    }
    pass(Duration::from_secs(2)).await;
    assert_eq!(world.beat(&leader), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.beat(&follower), Err(GroupError::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_while_it_waits_leaves_nothing_behind() {
    let world = World::new().await;
    let first = world.single().await;
    let gone = world.join(newcomer());
    pass(Duration::from_millis(10)).await;
    assert_eq!(world.engine.groups().sizes().waiting, 1);
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    assert_eq!(world.engine.groups().sizes().waiting, 0);
    // The member itself takes part in this round and then expires like any silent one.
    let first = world.join(again(&first)).await.unwrap().unwrap();
    world.sync(&first, &[]).await.unwrap().unwrap();
    assert_eq!(world.members(), 2);
    for _ in 0..3 {
        pass(Duration::from_secs(4)).await;
        let _ = world.beat(&first);
    }
    assert_eq!(world.members(), 1);
    let leaving = levada_engine::groups::Leaving {
        member: first.member,
        instance: None,
    };
    world
        .engine
        .groups()
        .leave(GROUP, vec![leaving])
        .await
        .unwrap();
    world.join(newcomer()).abort();
    pass(Duration::from_secs(60)).await;
    let sizes = world.engine.groups().sizes();
    let nothing = GroupSizes {
        groups: 1,
        watched: 0,
        waiting: 0,
    };
    assert_eq!(sizes, nothing);
}

#[tokio::test(start_paused = true)]
async fn a_close_answers_who_waits_and_refuses_who_comes() {
    let world = World::new().await;
    let first = world.single().await;
    let waits = world.join(newcomer());
    pass(Duration::from_millis(10)).await;
    world.engine.groups().close();
    let refused = waits.await.unwrap().unwrap_err();
    assert_eq!(refused.error, GroupError::CoordinatorNotAvailable);
    assert_eq!(world.beat(&first), Err(GroupError::CoordinatorNotAvailable));
}
