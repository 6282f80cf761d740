//! The command log in the embedded log, with its snapshots beside it.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use levada_env::{
    Env,
    port::{PortError, PortFuture, PortResult, Ticket, Urgency},
};
use levada_model::LogPosition;
use levada_wal::{Appended, FrameKind, Priority, Wal, WalConfig, WalError};

pub use super::snapshot_files::SnapshotFound;
use super::{Appending, CommandLog, Recovered, snapshot_files::SnapshotFiles};

/// Folder of the log's files below the data folder.
const LOG_DIR: &str = "wal";
/// Folder of the snapshots below the data folder.
const SNAPSHOT_DIR: &str = "snapshot";

/// Commands are frames of the log in which the segments lie too: one sync makes both durable.
pub struct WalLog {
    env: Env,
    wal: Wal,
    snapshots: SnapshotFiles,
    snapshot_position: AtomicU64,
    data_dir: PathBuf,
}

/// What [`WalLog::survey`] found.
pub struct LogSurvey {
    pub snapshots: Vec<SnapshotFound>,
    pub wal: levada_wal::Survey,
    /// What a start would rebuild the state from; if one is refused, what comes before that.
    pub found: Recovered,
}

impl WalLog {
    /// Opens the log and its snapshots in `data_dir`. Blocks. The journal shares [`WalLog::wal`].
    ///
    /// # Errors
    /// As [`Wal::open`]: what is damaged and what to do.
    pub fn open(
        env: &Env,
        data_dir: &Path,
        config: WalConfig,
    ) -> Result<(WalLog, levada_wal::Recovered), WalError> {
        let snapshots = SnapshotFiles::open(env, &data_dir.join(SNAPSHOT_DIR))?;
        let position = snapshots.newest_position();
        let config = WalConfig {
            replay_after: position,
            ..config
        };
        let opened = Wal::open(env, &data_dir.join(LOG_DIR), config);
        let (wal, recovered) = opened.map_err(|error| snapshots.explain(error))?;
        // The log does not remember it. Waiting for the next snapshot would be long, and on a full
        // disk for ever.
        wal.truncate_commands_before(snapshots.oldest_position()?);
        let log = WalLog {
            env: env.clone(),
            wal,
            snapshots,
            snapshot_position: AtomicU64::new(position.0),
            data_dir: data_dir.to_owned(),
        };
        Ok((log, recovered))
    }

    /// Looks at the log and the snapshots in `data_dir` and changes nothing. `progress` is told
    /// bytes looked through and bytes in all. Blocks.
    ///
    /// # Errors
    /// [`WalError::Io`] when a folder cannot be listed.
    pub fn survey(
        env: &Env,
        data_dir: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<LogSurvey, WalError> {
        let (snapshots, newest) = SnapshotFiles::survey(env, &data_dir.join(SNAPSHOT_DIR))?;
        let after = newest.as_ref().map_or(LogPosition(0), |newest| newest.0);
        let mut wal = levada_wal::survey(env, &data_dir.join(LOG_DIR), after, progress)?;
        let found = Recovered {
            snapshot: newest,
            records: std::mem::take(&mut wal.commands),
        };
        Ok(LogSurvey {
            snapshots,
            wal,
            found,
        })
    }

    /// The log that the journal shares.
    pub fn wal(&self) -> &Wal {
        &self.wal
    }

    fn needs(tickets: &[Ticket]) -> PortResult<Vec<Appended>> {
        tickets
            .iter()
            .map(|ticket| {
                ticket.place::<Appended>().copied().ok_or_else(|| {
                    PortError::Rejected("this log takes segments of its own journal only".into())
                })
            })
            .collect()
    }
}

impl CommandLog for WalLog {
    fn append(
        &self,
        record: Bytes,
        tickets: Vec<Ticket>,
        urgency: Urgency,
    ) -> PortResult<Appending> {
        // The tickets' bytes lie before the record in the same log, so one sync covers them, and
        // the log refuses the record when one of them has failed.
        let needs = WalLog::needs(&tickets)?;
        let priority = match urgency {
            Urgency::Normal => Priority::Normal,
            Urgency::Reserve => Priority::Reserve,
            Urgency::Reclaim => Priority::Reclaim,
        };
        let appended = self
            .wal
            .append_after(FrameKind::Command, vec![record], priority, &needs)
            .map_err(PortError::from)?;
        let synced = self.wal.sync_to(appended);
        Ok(Appending {
            position: appended.position,
            durable: Ticket::new(async move { synced.await.map_err(PortError::from) }),
        })
    }

    fn recover(&self) -> PortFuture<'_, Recovered> {
        Box::pin(async move {
            let (wal, snapshots) = (self.wal.clone(), self.snapshots.clone());
            let read = move || {
                let snapshot = snapshots.newest()?;
                let after = snapshot
                    .as_ref()
                    .map_or(LogPosition(0), |(position, _)| *position);
                let mut records = Vec::new();
                wal.replay(after, |position, record| {
                    records.push((position, record));
                    Ok::<_, WalError>(())
                })?;
                Ok::<_, WalError>(Recovered { snapshot, records })
            };
            self.env.blocking(read).await.map_err(|error| {
                PortError::Corrupt(format!("{}: {error}", self.data_dir.display()))
            })
        })
    }

    fn save_snapshot(&self, position: LogPosition, pieces: Vec<Bytes>) -> PortFuture<'_, ()> {
        Box::pin(async move {
            let snapshots = self.snapshots.clone();
            let wal = self.wal.clone();
            let save = move || {
                wal.make_safe(position)?;
                let bytes: usize = pieces.iter().map(Bytes::len).sum();
                match snapshots.save(position, &pieces) {
                    // The reserve pays for what makes room.
                    Err(error) if error.is_full() && wal.lend_reserve(2 * bytes as u64) => {
                        snapshots.save(position, &pieces)
                    }
                    saved => saved,
                }
            };
            let oldest = self.env.background(save).await.map_err(PortError::from)?;
            self.snapshot_position.store(position.0, Ordering::Release);
            self.wal.truncate_commands_before(oldest);
            Ok(())
        })
    }

    fn commands_hold_space(&self) -> bool {
        self.wal.commands_hold_space()
    }

    fn replay_bytes(&self) -> u64 {
        let from = self.snapshot_position.load(Ordering::Acquire);
        self.wal.synced().0.saturating_sub(from)
    }
}
