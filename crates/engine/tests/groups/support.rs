//! An engine with one topic, and short ways to say what clients do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use levada_engine::groups::{
    CommitRequest, CommitTopic, GroupError, JoinProtocol, JoinRefused, JoinRequest, Joined,
    PartitionCommit, SyncRequest, TopicPartitions,
};
use levada_engine::{Engine, EngineSettings, NewTopic, testing};
use levada_env::Env;
use levada_journal::memory::MemoryJournal;
use levada_model::Offset;
use levada_sequencer::command_log::memory::MemoryLog;
use tokio::task::JoinHandle;

pub const GROUP: &str = "g";

pub struct World {
    pub engine: Engine,
    journal: Arc<MemoryJournal>,
    log: MemoryLog,
}

async fn start(journal: &Arc<MemoryJournal>, log: &MemoryLog) -> Engine {
    let settings = EngineSettings::default();
    testing::engine_on(Env::real(), settings, journal.clone(), log.clone()).await
}

impl World {
    pub async fn new() -> World {
        let (journal, log) = (Arc::default(), MemoryLog::new());
        let engine = start(&journal, &log).await;
        let topic = NewTopic {
            name: "orders".into(),
            partitions: Some(2),
            configs: Vec::new(),
            validate_only: false,
        };
        engine.create_topic(topic).await.unwrap();
        World {
            engine,
            journal,
            log,
        }
    }

    /// Stops the engine and starts another one on what is durable.
    pub async fn restart(&mut self) {
        self.engine.shutdown().await;
        self.engine = start(&self.journal, &self.log).await;
    }

    /// Joins in the background, as a client on its own connection.
    pub fn join(&self, request: JoinRequest) -> JoinHandle<Result<Joined, JoinRefused>> {
        let groups = self.engine.groups().clone();
        tokio::spawn(async move { groups.join(request).await })
    }

    pub fn sync(
        &self,
        joined: &Joined,
        assignments: &[(&str, &'static str)],
    ) -> JoinHandle<Result<Bytes, GroupError>> {
        let groups = self.engine.groups().clone();
        let request = sync(joined, assignments);
        tokio::spawn(async move { groups.sync(request).await.map(|synced| synced.assignment) })
    }

    /// A stable group of one old-style member; returns it.
    pub async fn single(&self) -> Joined {
        let joined = self.join(newcomer()).await.unwrap().unwrap();
        self.sync(&joined, &[]).await.unwrap().unwrap();
        joined
    }

    /// A stable group of two members, the leader first.
    pub async fn pair(&self) -> (Joined, Joined) {
        let (a, b) = (self.join(newcomer()), self.join(newcomer()));
        let (a, b) = (a.await.unwrap().unwrap(), b.await.unwrap().unwrap());
        let (leader, follower) = if a.with_members { (a, b) } else { (b, a) };
        let waits = self.sync(&follower, &[]);
        let ids = [
            (leader.member.as_str(), "L"),
            (follower.member.as_str(), "F"),
        ];
        assert_eq!(self.sync(&leader, &ids).await.unwrap().unwrap(), "L");
        assert_eq!(waits.await.unwrap().unwrap(), "F");
        (leader, follower)
    }

    pub fn beat(&self, joined: &Joined) -> Result<(), GroupError> {
        let generation = joined.round.generation;
        self.engine
            .groups()
            .heartbeat(GROUP, &joined.member, None, generation)
    }

    pub fn members(&self) -> usize {
        let group = self.engine.groups().describe(GROUP).unwrap();
        group.map_or(0, |group| group.members.len())
    }

    pub fn state(&self) -> &'static str {
        let group = self.engine.groups().describe(GROUP).unwrap();
        group.map_or("Dead", |group| group.summary.state)
    }

    pub async fn committed(&self, partition: i32) -> Option<i64> {
        let topics = vec![TopicPartitions {
            name: "orders".into(),
            partitions: vec![partition],
        }];
        let fetched = self
            .engine
            .groups()
            .fetch_offsets(GROUP, Some(topics))
            .unwrap();
        fetched[0].partitions[0]
            .1
            .as_ref()
            .map(|committed| committed.offset.0)
    }
}

/// A client from before KIP-394, which joins at once.
pub fn newcomer() -> JoinRequest {
    JoinRequest {
        group: GROUP.into(),
        member: String::new(),
        instance: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinProtocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"what I read"),
        }],
        requires_member_id: false,
        skip_assignment: true,
    }
}

pub fn again(joined: &Joined) -> JoinRequest {
    JoinRequest {
        member: joined.member.clone(),
        ..newcomer()
    }
}

pub fn sync(joined: &Joined, assignments: &[(&str, &'static str)]) -> SyncRequest {
    let one = |(member, bytes): &(&str, &'static str)| ((*member).to_owned(), Bytes::from(*bytes));
    SyncRequest {
        group: GROUP.into(),
        member: joined.member.clone(),
        instance: None,
        generation: joined.round.generation,
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        assignments: assignments.iter().map(one).collect(),
    }
}

pub fn commit(member: &str, generation: i32, offset: i64) -> CommitRequest {
    CommitRequest {
        group: GROUP.into(),
        generation,
        member: member.into(),
        instance: None,
        topics: vec![CommitTopic {
            name: "orders".into(),
            partitions: vec![PartitionCommit {
                partition: 1,
                offset: Offset(offset),
                leader_epoch: 0,
                metadata: "note".into(),
            }],
        }],
    }
}

/// Lets this much time pass. It is paused time: the runtime moves the clock on when every task
/// rests, so what happens meanwhile does not depend on the machine.
pub async fn pass(duration: Duration) {
    let nothing = std::future::pending::<()>();
    assert!(Env::real().timeout(duration, nothing).await.is_err());
}
