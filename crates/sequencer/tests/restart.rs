//! What a restart rebuilds is what stood before it, and its time does not go back.
#![allow(clippy::disallowed_methods)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use levada_catalog::{
    Command, StateSettings,
    command::{Commit, CommitBatch, CreateTopic},
};
use levada_env::{Clock, Env, fault::FaultFs, port::Urgency};
use levada_model::{PartitionId, SegmentId, TopicId};
use levada_sequencer::{Sequencer, SequencerSettings, command_log::memory::MemoryLog};

/// A wall clock that shows what it is set to.
#[derive(Default)]
struct SetClock(AtomicI64);

impl SetClock {
    fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::Release);
    }
}

impl Clock for SetClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

async fn recover(clock: &Arc<SetClock>, log: &MemoryLog) -> Sequencer {
    let env = Env::simulated(1, Arc::new(FaultFs::new(1))).with_clock(clock.clone());
    let (settings, state) = (SequencerSettings::default(), StateSettings::default());
    let recovered = Sequencer::recover(env, settings, state, Arc::new(log.clone())).await;
    recovered.unwrap().0
}

fn topic(number: u8) -> TopicId {
    TopicId([number; 16])
}

async fn create(sequencer: &Sequencer, number: u8) {
    let command = Command::CreateTopic(CreateTopic {
        name: format!("topic-{number}"),
        id: topic(number),
        partitions: 1,
        configs: Vec::new(),
    });
    sequencer.propose(command, Urgency::Normal).await.unwrap();
}

/// When the sequencer says that the topic was made.
async fn created_ms(sequencer: &Sequencer, number: u8) -> i64 {
    create(sequencer, number).await;
    sequencer.read(|state| state.topic(topic(number)).unwrap().created_ms)
}

fn first_partition(sequencer: &Sequencer, number: u8) -> PartitionId {
    sequencer.read(|state| state.topic(topic(number)).unwrap().partition(0).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_restart_applies_every_command_once() {
    let (clock, log) = (Arc::new(SetClock::default()), MemoryLog::new());
    let sequencer = recover(&clock, &log).await;
    create(&sequencer, 1).await;
    let partition = first_partition(&sequencer, 1);
    let batch = CommitBatch {
        partition,
        position: 0,
        length: 100,
        offset_count: 3,
        max_timestamp_ms: 5,
        crc: 1,
        producer: None,
    };
    let commit = Command::Commit(Commit {
        segment: SegmentId(0),
        batches: vec![batch],
        queued: Vec::new(),
    });
    sequencer.propose(commit, Urgency::Normal).await.unwrap();
    let stands = |sequencer: &Sequencer| {
        let end = |partition| sequencer.read(|s| s.partition(partition).unwrap().high_watermark());
        let live = sequencer.read(|s| s.segment(SegmentId(0)));
        (end(partition), live)
    };
    let before = stands(&sequencer);
    sequencer.close().await;
    let sequencer = recover(&clock, &log).await;
    assert_eq!(stands(&sequencer), before);
}

#[tokio::test(start_paused = true)]
async fn time_does_not_go_back_with_the_clock() {
    let (clock, log) = (Arc::new(SetClock::default()), MemoryLog::new());
    clock.set(5000);
    let sequencer = recover(&clock, &log).await;
    assert_eq!(created_ms(&sequencer, 1).await, 5000);
    clock.set(1000);
    assert_eq!(created_ms(&sequencer, 2).await, 5000);
    sequencer.close().await;
    // Over a restart neither.
    let sequencer = recover(&clock, &log).await;
    assert_eq!(created_ms(&sequencer, 3).await, 5000);
    clock.set(6000);
    assert_eq!(created_ms(&sequencer, 4).await, 6000);
}
