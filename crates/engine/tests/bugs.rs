//! A bug of ours must end the service, not leave its clients waiting.

use std::sync::Arc;

use bytes::Bytes;
use levada_catalog::StateSettings;
use levada_engine::{AppendEntry, AppendError, Engine, EngineSettings, NewTopic, TopicRef};
use levada_env::{
    Env,
    port::{PortFuture, PortResult, Urgency},
};
use levada_journal::{Journal, Staged, StoredSegment};
use levada_model::{Extent, SegmentId};
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};
use levada_sequencer::{Sequencer, SequencerSettings, command_log::memory::MemoryLog};

/// Stands for a bug on the committer's path.
struct Broken;

impl Journal for Broken {
    fn stage(&self, _: Vec<Bytes>, _: Urgency) -> PortResult<Staged> {
        panic!("this is the bug that the test needs")
    }

    fn read(&self, _: Extent) -> PortFuture<'_, Bytes> {
        Box::pin(std::future::pending())
    }

    fn delete(&self, _: SegmentId) -> PortFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn list(&self) -> PortFuture<'_, Vec<StoredSegment>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[tokio::test]
async fn a_panic_of_the_committer_is_told_to_producers_and_to_the_process() {
    let env = Env::real();
    let log = Arc::new(MemoryLog::new());
    let (sequencer, _) = Sequencer::recover(
        env.clone(),
        SequencerSettings::default(),
        StateSettings::default(),
        log,
    )
    .await
    .unwrap();
    let journal = Arc::new(Broken);
    let engine = Engine::start(env, EngineSettings::default(), journal, sequencer.clone());
    let topic = NewTopic {
        name: "t".into(),
        ..NewTopic::default()
    };
    engine.create_topic(topic).await.unwrap();
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord {
        timestamp_ms: 1,
        value: Some(b"a"),
        ..NewRecord::default()
    });
    let entry = AppendEntry {
        topic: TopicRef::Name("t".into()),
        partition: 0,
        records: builder.finish(Producer::NONE).unwrap(),
    };
    for _ in 0..2 {
        let results = engine.submit(vec![entry.clone()]).await.await;
        assert!(
            matches!(results[0], Err(AppendError::Storage(_))),
            "{results:?}"
        );
    }
    assert!(sequencer.failed().await.contains("committer"));
}
