//! An engine over the memory backends: for tests of the engine and of what stands above it.

use std::sync::Arc;

use bytes::Bytes;
use levada_catalog::{IndexEntry, StateSettings};
use levada_env::Env;
use levada_env::port::{PortFuture, PortResult, Ticket, Urgency};
use levada_journal::{Journal, memory::MemoryJournal};
use levada_model::LogPosition;
use levada_model::codec::DecodeError;
use levada_sequencer::command_log::{Appending, CommandLog, Recovered, memory::MemoryLog};
use levada_sequencer::{Sequencer, SequencerSettings};
use tokio::sync::watch;

use crate::{Engine, EngineSettings, index_run};

/// An empty engine with default settings.
///
/// # Panics
/// When an empty log does not recover, which would be a bug.
pub async fn memory_engine(env: Env) -> Engine {
    engine_on(
        env,
        EngineSettings::default(),
        Arc::default(),
        MemoryLog::new(),
    )
    .await
}

/// An engine on backends that the test keeps, so that it can start another one on them.
///
/// # Panics
/// When the log does not recover.
pub async fn engine_on(
    env: Env,
    settings: EngineSettings,
    journal: Arc<MemoryJournal>,
    log: impl CommandLog + 'static,
) -> Engine {
    engine_over(env, settings, journal, log).await
}

/// [`engine_on`] over any journal.
///
/// # Panics
/// When the log does not recover.
pub async fn engine_over(
    env: Env,
    settings: EngineSettings,
    journal: Arc<dyn Journal>,
    log: impl CommandLog + 'static,
) -> Engine {
    let (sequencer, _) = Sequencer::recover(
        env.clone(),
        SequencerSettings::default(),
        StateSettings::default(),
        Arc::new(log),
    )
    .await
    .expect("a memory log recovers");
    Engine::start(env, settings, journal, sequencer)
}

/// A command log whose syncs take until the test lets them end. Clones are the same one.
#[derive(Clone)]
pub struct SlowLog {
    inner: MemoryLog,
    stalled: watch::Sender<bool>,
}

impl Default for SlowLog {
    fn default() -> Self {
        Self {
            inner: MemoryLog::new(),
            stalled: watch::Sender::new(false),
        }
    }
}

impl SlowLog {
    /// Nothing more becomes durable (`true`), or all that waits does.
    pub fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }
}

impl CommandLog for SlowLog {
    fn append(
        &self,
        record: Bytes,
        tickets: Vec<Ticket>,
        urgency: Urgency,
    ) -> PortResult<Appending> {
        let Appending { position, durable } = self.inner.append(record, tickets, urgency)?;
        let mut stalled = self.stalled.subscribe();
        let durable = Ticket::new(async move {
            // The sender is gone only when the test is over.
            let _ = stalled.wait_for(|stalled| !stalled).await;
            durable.await
        });
        Ok(Appending { position, durable })
    }

    fn recover(&self) -> PortFuture<'_, Recovered> {
        self.inner.recover()
    }

    fn save_snapshot(&self, position: LogPosition, pieces: Vec<Bytes>) -> PortFuture<'_, ()> {
        self.inner.save_snapshot(position, pieces)
    }

    fn replay_bytes(&self) -> u64 {
        self.inner.replay_bytes()
    }
}

/// The stored form of an index run.
pub fn encode_index_run(entries: &[IndexEntry]) -> Vec<u8> {
    index_run::encode(entries)
}

/// Reads what [`encode_index_run`] wrote.
///
/// # Errors
/// When the bytes are something else.
pub fn decode_index_run(bytes: &[u8]) -> Result<Vec<IndexEntry>, DecodeError> {
    index_run::decode(bytes)
}
