//! A sequencer whose log fails answers everybody and can still be closed; what the log refuses never
//! happened.
#![allow(clippy::disallowed_methods)]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use levada_catalog::{Command, Reply, StateSettings, command::CreateTopic};
use levada_env::{
    Env,
    port::{PortError, PortFuture, PortResult, Ticket, Urgency},
};
use levada_model::{LogPosition, TopicId};
use levada_sequencer::{
    Proposal, ProposeError, Sequencer, SequencerSettings,
    command_log::{Appending, CommandLog, Recovered, memory::MemoryLog},
};

/// A log that never knows what became of an append.
struct Failing;

impl CommandLog for Failing {
    fn append(&self, _: Bytes, _: Vec<Ticket>, _: Urgency) -> PortResult<Appending> {
        Ok(Appending {
            position: LogPosition(1),
            durable: Ticket::new(async { Err(PortError::Indeterminate("sync".into())) }),
        })
    }

    fn recover(&self) -> PortFuture<'_, Recovered> {
        Box::pin(async {
            Ok(Recovered {
                snapshot: None,
                records: Vec::new(),
            })
        })
    }

    fn save_snapshot(&self, _: LogPosition, _: Vec<Bytes>) -> PortFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn replay_bytes(&self) -> u64 {
        0
    }
}

async fn recover(settings: StateSettings, log: Arc<dyn CommandLog>) -> Sequencer {
    let (env, sequencer) = (Env::real(), SequencerSettings::default());
    let recovered = Sequencer::recover(env, sequencer, settings, log).await;
    recovered.unwrap().0
}

#[tokio::test(start_paused = true)]
async fn closing_returns_after_the_log_has_failed_and_for_everybody_who_asks() {
    let sequencer = recover(StateSettings::default(), Arc::new(Failing)).await;
    let answer = sequencer
        .propose(Command::AllocateProducer, Urgency::Normal)
        .await;
    assert!(
        matches!(answer, Err(ProposeError::Stopped(_))),
        "{answer:?}"
    );
    sequencer.failed().await;
    for _ in 0..2 {
        tokio::time::timeout(Duration::from_secs(1), sequencer.close())
            .await
            .expect("close returns");
    }
}

#[tokio::test]
async fn settings_of_the_state_act_once_it_is_recovered_with_others() {
    let log = MemoryLog::new();
    let wanted = StateSettings {
        producer_expiration_ms: 1234,
        ..StateSettings::default()
    };
    for _ in 0..2 {
        let sequencer = recover(wanted, Arc::new(log.clone())).await;
        let reply = sequencer
            .propose(Command::AllocateProducer, Urgency::Normal)
            .await;
        assert!(matches!(reply, Ok(Reply::Producer { .. })), "{reply:?}");
        assert_eq!(sequencer.read(|state| state.settings()), wanted);
        sequencer.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_log_refused_is_told_as_refused_and_changes_nothing() {
    let sequencer = recover(StateSettings::default(), Arc::new(MemoryLog::new())).await;
    let applied = sequencer.applied();
    let failed = Ticket::new(async { Err(PortError::Rejected("the segment is lost".into())) });
    let refused = sequencer.submit(Proposal {
        command: Command::CreateTopic(CreateTopic {
            name: "refused".into(),
            id: TopicId([1; 16]),
            partitions: 1,
            configs: Vec::new(),
        }),
        tickets: vec![failed],
        urgency: Urgency::Normal,
    });
    let answer = refused.await;
    assert!(
        matches!(answer, Err(ProposeError::Rejected(_))),
        "{answer:?}"
    );
    assert_eq!(sequencer.read(|state| state.topic_count()), 0);
    assert_eq!(sequencer.applied(), applied);
    // A refusal is no failure: the next command is taken.
    let next = sequencer.propose(Command::AllocateProducer, Urgency::Normal);
    assert!(matches!(next.await, Ok(Reply::Producer { .. })));
}
