//! An engine over the memory backends: for tests of the engine and of what stands above it.

use std::sync::Arc;

use levada_catalog::StateSettings;
use levada_env::Env;
use levada_journal::memory::MemoryJournal;
use levada_sequencer::{Sequencer, SequencerSettings, command_log::memory::MemoryLog};

use crate::{Engine, EngineSettings};

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
    log: MemoryLog,
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
