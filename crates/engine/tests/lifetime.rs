//! What is left of an engine that has stopped: nothing.

use std::sync::Arc;

use levada_catalog::StateSettings;
use levada_engine::{Engine, EngineSettings, NewTopic};
use levada_env::Env;
use levada_journal::memory::MemoryJournal;
use levada_sequencer::{Sequencer, SequencerSettings, command_log::memory::MemoryLog};

#[tokio::test]
async fn a_stopped_engine_gives_back_its_state() {
    let env = Env::real();
    let log = Arc::new(MemoryLog::new());
    let held = Arc::downgrade(&log);
    let (settings, state) = (SequencerSettings::default(), StateSettings::default());
    let (sequencer, _) = Sequencer::recover(env.clone(), settings, state, log)
        .await
        .unwrap();
    let journal = Arc::new(MemoryJournal::new());
    let engine = Engine::start(env, EngineSettings::default(), journal, sequencer);
    let topic = NewTopic {
        name: "t".into(),
        ..NewTopic::default()
    };
    engine.create_topic(topic).await.unwrap();
    engine.shutdown().await;
    drop(engine);
    // Its tasks have been told; on this one thread each of them runs between two of our turns.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(
        held.upgrade().is_none(),
        "the sequencer, and its log, are still held"
    );
}
