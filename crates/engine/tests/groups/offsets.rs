//! Committed offsets through the engine.

use std::time::Duration;

use levada_engine::TopicRef;
use levada_engine::groups::{CommitTopic, GroupError, PartitionCommit, TopicPartitions};
use levada_model::Offset;

use crate::support::*;

/// Longer than the pause between two looks for groups that nobody needs.
const EXPIRY_ROUND: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn committed_offsets_survive_a_restart_with_their_metadata() {
    let mut world = World::new().await;
    let mut request = commit("", -1, 42);
    request.topics.push(CommitTopic {
        name: "no such topic".into(),
        partitions: vec![PartitionCommit {
            partition: 0,
            offset: Offset(1),
            leader_epoch: -1,
            metadata: String::new(),
        }],
    });
    let results = world.engine.groups().commit_offsets(request).await;
    assert_eq!(
        results,
        vec![Ok(()), Err(GroupError::UnknownTopicOrPartition)]
    );
    world.restart().await;
    assert_eq!(world.committed(1).await, Some(42));
    assert_eq!(world.committed(0).await, None);
    let all = world.engine.groups().fetch_offsets(GROUP, None).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].name, "orders");
    let (partition, committed) = &all[0].partitions[0];
    assert_eq!(*partition, 1);
    assert_eq!(&*committed.as_ref().unwrap().metadata, "note");
}

#[tokio::test(start_paused = true)]
async fn a_group_without_offsets_fetches_none() {
    let world = World::new().await;
    assert_eq!(world.committed(0).await, None);
    assert_eq!(world.engine.groups().fetch_offsets(GROUP, None), Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn the_offsets_of_a_deleted_topic_are_not_those_of_its_successor() {
    let world = World::new().await;
    let groups = world.engine.groups();
    groups.commit_offsets(commit("", -1, 42)).await;
    world
        .engine
        .delete_topic(&TopicRef::Name("orders".into()))
        .await
        .unwrap();
    assert_eq!(world.committed(1).await, None);
    assert_eq!(groups.fetch_offsets(GROUP, None), Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_only_had_offsets_of_a_deleted_topic_goes_with_it() {
    let world = World::new().await;
    let groups = world.engine.groups();
    groups.commit_offsets(commit("", -1, 42)).await;
    pass(EXPIRY_ROUND).await;
    assert_eq!(world.state(), "Empty", "its offsets are still wanted");
    let orders = TopicRef::Name("orders".into());
    world.engine.delete_topic(&orders).await.unwrap();
    pass(EXPIRY_ROUND).await;
    assert_eq!(world.state(), "Dead");
}

#[tokio::test(start_paused = true)]
async fn offsets_are_deleted_on_request() {
    let world = World::new().await;
    let groups = world.engine.groups();
    groups.commit_offsets(commit("", -1, 42)).await;
    let partitions = vec![TopicPartitions {
        name: "orders".into(),
        partitions: vec![1, 7],
    }];
    let results = groups.delete_offsets(GROUP, partitions).await;
    assert_eq!(
        results,
        Ok(vec![Ok(()), Err(GroupError::UnknownTopicOrPartition)])
    );
    assert_eq!(world.committed(1).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_cannot_commit_for_a_living_group() {
    let world = World::new().await;
    let member = world.single().await;
    let groups = world.engine.groups();
    let stranger = groups.commit_offsets(commit("", -1, 1)).await;
    assert_eq!(stranger, [Err(GroupError::UnknownMemberId)]);
    let zombie = groups.commit_offsets(commit(&member.member, 0, 1)).await;
    assert_eq!(zombie, [Err(GroupError::IllegalGeneration)]);
    pass(Duration::from_millis(1)).await;
}
