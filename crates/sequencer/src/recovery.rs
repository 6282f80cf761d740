//! The start: the newest snapshot, then the commands after it, then the task.

use std::sync::Arc;

use levada_catalog::{State, StateSettings, encoding};
use levada_env::{
    Env,
    port::{PortError, Urgency},
};
use levada_model::{LogPosition, codec::DecodeError};

use crate::{
    Proposal, Sequencer, SequencerSettings,
    command_log::{CommandLog, Recovered},
    snapshots,
};

/// Why the state could not be rebuilt. Never answered by an empty start.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error(transparent)]
    Log(#[from] PortError),
    #[error(
        "the snapshot at position {position} cannot be read ({source}): restore the data folder from a backup"
    )]
    Snapshot {
        position: LogPosition,
        source: DecodeError,
    },
    #[error(
        "the command at position {position} cannot be read ({source}): restore the data folder from a backup, or start the version that wrote it"
    )]
    Command {
        position: LogPosition,
        source: DecodeError,
    },
}

/// What a start did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recovery {
    pub snapshot: Option<LogPosition>,
    pub records_replayed: usize,
    pub commands_replayed: usize,
}

impl Sequencer {
    /// Rebuilds the state from `log` and starts the task that owns it.
    ///
    /// # Errors
    /// [`RecoverError`], which says what to do.
    pub async fn recover(
        env: Env,
        settings: SequencerSettings,
        state_settings: StateSettings,
        log: Arc<dyn CommandLog>,
    ) -> Result<(Sequencer, Recovery), RecoverError> {
        let rebuilt = rebuild(state_settings, log.recover().await?)?;
        let Rebuilt {
            state,
            applied,
            last_now_ms,
            recovery,
        } = rebuilt;
        let change = state.settings_change();
        let sequencer = Sequencer::start(env, settings, log, state, applied, last_now_ms);
        if let Some(command) = change {
            // Queued before anything else. Should the disk be full, the next start tries again.
            drop(sequencer.submit(Proposal {
                command,
                tickets: Vec::new(),
                urgency: Urgency::Reserve,
            }));
        }
        Ok((sequencer, recovery))
    }
}

/// The state that a start finds, and where it stands.
pub struct Rebuilt {
    pub state: State,
    pub applied: LogPosition,
    /// The time of the newest command.
    pub last_now_ms: i64,
    pub recovery: Recovery,
}

/// Applies what was found in a log.
///
/// # Errors
/// [`RecoverError`], which says what to do.
pub fn rebuild(settings: StateSettings, found: Recovered) -> Result<Rebuilt, RecoverError> {
    let mut recovery = Recovery::default();
    let mut applied = LogPosition::default();
    let (mut state, mut last_now_ms) = match found.snapshot {
        Some((position, bytes)) => {
            recovery.snapshot = Some(position);
            applied = position;
            snapshots::restore(settings, &bytes)
                .map_err(|source| RecoverError::Snapshot { position, source })?
        }
        None => (State::new(settings), i64::MIN),
    };
    let mut effects = Vec::new();
    for (position, record) in found.records {
        let group = encoding::decode_group(&record)
            .map_err(|source| RecoverError::Command { position, source })?;
        for command in &group.commands {
            state.apply(command, group.now_ms, &mut effects);
            effects.clear();
        }
        last_now_ms = last_now_ms.max(group.now_ms);
        recovery.records_replayed += 1;
        recovery.commands_replayed += group.commands.len();
        applied = position;
    }
    Ok(Rebuilt {
        state,
        applied,
        last_now_ms,
        recovery,
    })
}
