//! The data folder: locked, identified, its log recovered. The only place that chooses backends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use levada_engine::Engine;
use levada_env::{Env, FsLock, LockResult};
use levada_journal::local::LocalJournal;
use levada_sequencer::Sequencer;
use levada_sequencer::command_log::wal::WalLog;
use levada_wal::Wal;

use crate::config::Settings;
use crate::identity::Identity;
use crate::{StartError, compose, ready};

pub(crate) const LOCK_FILE: &str = "lock";

/// What stands on the data folder, up and recovered.
pub(crate) struct Storage {
    pub dir: PathBuf,
    pub identity: Identity,
    pub wal: Wal,
    pub sequencer: Sequencer,
    pub engine: Engine,
    /// Given up last.
    _lock: FsLock,
}

impl Storage {
    /// Takes the folder, recovers its log and starts the engine on it.
    ///
    /// # Errors
    /// [`StartError`], which says what to do.
    pub async fn open(env: &Env, settings: &Settings) -> Result<Self, StartError> {
        let begun = env.monotonic();
        let dir = settings.storage.data.0.clone();
        let config = compose::wal(settings);
        let (lock, identity, log, recovered) = {
            let (env, dir) = (env.clone(), dir.clone());
            env.clone()
                .blocking(move || {
                    let lock = take(&env, &dir)?;
                    ready::remove(&env, &dir)?;
                    let identity = Identity::load_or_create(&env, &dir)?;
                    let (log, recovered) = WalLog::open(&env, &dir, config)
                        .map_err(|error| StartError::Storage(error.to_string()))?;
                    Ok::<_, StartError>((lock, identity, log, recovered))
                })
                .await?
        };
        tell(&recovered);
        let wal = log.wal().clone();
        let (sequencer, recovery) = Sequencer::recover(
            env.clone(),
            compose::sequencer(settings),
            compose::state(settings),
            Arc::new(log),
        )
        .await
        .map_err(|error| StartError::Storage(error.to_string()))?;
        if !recovered.created {
            tracing::info!(
                clean_stop = recovered.sealed,
                log_end = recovered.end,
                snapshot = recovery.snapshot.map(|position| position.0),
                commands_replayed = recovery.commands_replayed,
                took_ms = (env.monotonic() - begun).as_millis(),
                "recovered the log"
            );
        }
        let engine = Engine::start(
            env.clone(),
            compose::engine(settings, &identity.cluster_id),
            Arc::new(LocalJournal::new(env.clone(), wal.clone())),
            sequencer.clone(),
        );
        Ok(Self {
            dir,
            identity,
            wal,
            sequencer,
            engine,
            _lock: lock,
        })
    }
}

/// Makes the folder if need be and takes its lock. Blocks.
fn take(env: &Env, dir: &Path) -> Result<FsLock, StartError> {
    env.fs().create_dir_all(dir).map_err(|error| {
        StartError::Folder(format!(
            "cannot make the data folder {}: {error}; choose another with --data",
            dir.display()
        ))
    })?;
    match env.fs().lock(&dir.join(LOCK_FILE)) {
        Ok(LockResult::Held(lock)) => Ok(lock),
        Ok(LockResult::Taken { pid }) => Err(StartError::Held {
            dir: dir.to_owned(),
            pid,
        }),
        Err(error) => Err(StartError::Folder(format!(
            "cannot lock the data folder {}: {error}",
            dir.display()
        ))),
    }
}

/// Logs what opening found and a person should know.
fn tell(recovered: &levada_wal::Recovered) {
    if let Some(torn) = &recovered.torn {
        tracing::warn!(
            bytes = torn.bytes,
            position = torn.position,
            kept_in = %torn.quarantine.display(),
            "cut an unfinished write off the end of the log"
        );
    }
    if recovered.commands_mended > 0 {
        tracing::warn!(
            commands = recovered.commands_mended,
            "some commands in the log were damaged and were read from their copies: check the disk"
        );
    }
    for damaged in &recovered.damaged {
        tracing::error!(
            file = %damaged.path.display(),
            offset = damaged.offset,
            bytes = damaged.bytes,
            "records in the log are damaged: reading them gives an error; check the disk"
        );
    }
}
