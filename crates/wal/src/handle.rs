//! The handle that everybody above holds.

mod read;
mod room;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use levada_env::Env;
use levada_model::{LogPosition, SegmentId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::config::{Durability, WalConfig};
use crate::error::{WalError, io_error};
use crate::files::{FileInfo, Files};
use crate::format::{FrameKind, checksum};
use crate::group::Chain;
use crate::metrics::WalMetrics;
use crate::pool::Pool;
use crate::recovery::{Recovered, Tail, recover};
use crate::shared::{Shared, drive_task, drive_thread};
use crate::state::{Appended, Frame, Outcome, Priority, State, Stopping, Waiter};
use crate::walk::{Step, Walk};
use crate::writer::{Current, Writer};

/// The log. Clones are the same log; when the last one is dropped the writer stops without a seal,
/// and what nobody waited for may be lost.
#[derive(Clone)]
pub struct Wal {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    files: Arc<Files>,
    pool: Arc<Pool>,
    config: WalConfig,
    simulated: bool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wal")
            .field("dir", &self.inner.files.dir())
            .finish_non_exhaustive()
    }
}

impl Wal {
    /// Opens the log in `dir`, or makes one. Everything after `config.replay_after` is checked,
    /// an unfinished write at the end is cut off and put aside, and what is kept is on stable
    /// storage before this returns. Blocks; in a simulated world a tokio runtime must be entered.
    ///
    /// # Errors
    /// [`WalError::Damaged`] when something acknowledged is lost that cannot be told apart from
    /// the rest: then nothing was changed. [`WalError::Io`] when the system refuses.
    pub fn open(env: &Env, dir: &Path, config: WalConfig) -> Result<(Self, Recovered), WalError> {
        env.fs()
            .create_dir_all(dir)
            .map_err(io_error("make", dir))?;
        let parent = dir.parent().unwrap_or(dir);
        env.fs()
            .sync_dir(parent)
            .map_err(io_error("sync", parent))?;
        let names = env.fs().read_dir(dir).map_err(io_error("list", dir))?;
        let files = Arc::new(Files::new(env.clone(), dir.to_owned()));
        let tail = recover(env, &files, &names, &config)?;
        let recovered = tail.recovered.clone();
        let pool = Arc::new(Pool::new(env.clone(), files.clone(), &config));
        let mut state = State::new(
            tail.position,
            tail.file,
            env.random_u64(),
            tail.commands.clone(),
        );
        state.reserve_ready = pool.adopt(&names);
        if state.reserve_ready == 0 {
            state.adopt_reserve_in_use(&config, tail.prepared_bytes(), pool.available_bytes());
        }
        let reserve_limit = state.reserve_limit;
        let shared = Arc::new(Shared::new(state, env.is_simulated()));
        shared.metrics.record_opening(&recovered);
        let unclosed = tail.unclosed;
        let mut writer = writer_at(env, &config, &shared, &files, &pool, tail);
        if let Some(current) = &mut writer.current {
            current.reserve_limit = reserve_limit;
        }
        if unclosed {
            writer.write_marker().map_err(io_error("write to", dir))?;
        }
        let threads = start(env, &shared, &pool, writer).map_err(io_error("start", dir))?;
        let simulated = env.is_simulated();
        let threads = Mutex::new(threads);
        let inner = Inner {
            shared,
            files,
            pool,
            config,
            simulated,
            threads,
        };
        Ok((
            Self {
                inner: Arc::new(inner),
            },
            recovered,
        ))
    }

    /// Queues a frame made of `pieces`, which are not copied, and gives its place. Appends are
    /// stored in the order of these calls. Nothing is written until somebody waits in
    /// [`Wal::sync_to`] or enough has gathered, so bound what you have not waited for.
    ///
    /// # Errors
    /// [`WalError::Full`], [`WalError::Fatal`], [`WalError::Closed`], [`WalError::TooLarge`].
    pub fn append(&self, kind: FrameKind, pieces: Vec<Bytes>) -> Result<Appended, WalError> {
        self.append_after(kind, pieces, Priority::Normal, &[])
    }

    /// [`Wal::append`] with a priority, and only if none of the appends in `needs` has failed: a
    /// command must not outlive the data that it names.
    ///
    /// # Errors
    /// As [`Wal::append`]; [`WalError::Full`] also when one of `needs` failed.
    pub fn append_after(
        &self,
        kind: FrameKind,
        pieces: Vec<Bytes>,
        priority: Priority,
        needs: &[Appended],
    ) -> Result<Appended, WalError> {
        let bytes: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let payload_bytes = u32::try_from(bytes).map_err(|_| WalError::TooLarge(bytes))?;
        // The caller's core pays for the checksum, outside the lock.
        let checksum = checksum(pieces.iter().map(|piece| &piece[..]));
        let shared = &self.inner.shared;
        let mut state = shared.state.lock();
        state.check_usable()?;
        let failed = |need: &Appended| state.outcome(*need) == Outcome::Failed;
        if needs.iter().any(failed) {
            return Err(WalError::Full);
        }
        let frame = Frame {
            kind,
            pieces,
            payload_bytes,
            checksum,
        };
        let (appended, closed) = state.append(&self.inner.config, frame, priority)?;
        if closed {
            shared.wake(&mut state);
        }
        Ok(appended)
    }

    /// Resolves when everything up to and including `appended` is on stable storage (with
    /// `Durability::Os`: handed to the system). The sync is asked for by this call, not when the
    /// future is polled.
    ///
    /// # Errors
    /// [`WalError::Full`]: it did not happen, nor did anything queued after it. [`WalError::Fatal`]
    /// and [`WalError::Closed`]: it may or may not be found after a restart.
    pub fn sync_to(
        &self,
        appended: Appended,
    ) -> impl Future<Output = Result<(), WalError>> + Send + 'static + use<> {
        let shared = &self.inner.shared;
        let mut state = shared.state.lock();
        let settled = state.settled(appended);
        let (done, wait) = oneshot::channel();
        if settled.is_none() {
            state.waiters.push(Waiter { appended, done });
            state.wanted = state.wanted.max(appended.position.0 + 1);
            shared.wake(&mut state);
        }
        drop(state);
        async move {
            match settled {
                Some(result) => result,
                None => wait.await.unwrap_or(Err(WalError::Closed)),
            }
        }
    }

    /// What became of an append, if that is known by now; asks for nothing.
    #[must_use]
    pub fn settled(&self, appended: Appended) -> Option<Result<(), WalError>> {
        self.inner.shared.state.lock().settled(appended)
    }

    /// Everything below this position is safe.
    #[must_use]
    pub fn synced(&self) -> LogPosition {
        LogPosition(self.inner.shared.state.lock().durable)
    }

    /// Calls `each` with the commands after `after` that are safe now, in order. Blocks.
    ///
    /// # Errors
    /// What `each` gives, or an error of the log.
    pub fn replay<E: From<WalError>>(
        &self,
        after: LogPosition,
        mut each: impl FnMut(LogPosition, Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = self.inner.shared.state.lock().durable;
        let spans = self.inner.files.spans();
        if spans.first().is_none_or(|(start, _)| *start > after.0) && end > 0 {
            let reason = format!("commands after {after} are not in the log any more");
            let path = self.inner.files.dir().to_owned();
            return Err(WalError::Damaged { path, reason }.into());
        }
        let mut walk = Walk::new(self.inner.files.clone(), spans, after.0, true);
        loop {
            let commands = match walk.step()? {
                Step::Group(group) if group.header.position < end => group.commands,
                Step::Hole { commands, .. } => commands,
                Step::Group(_) | Step::End { .. } => return Ok(()),
            };
            for command in commands.into_iter().filter(|c| c.position > after.0) {
                each(LogPosition(command.position), command.payload)?;
            }
        }
    }

    /// Puts everything up to and including `position`, which was confirmed, on stable storage with
    /// `Durability::Os` too: what is derived from the log must not outlive it. Blocks.
    ///
    /// # Errors
    /// [`WalError::Fatal`]: the sync failed and the process must stop.
    pub fn make_safe(&self, position: LogPosition) -> Result<(), WalError> {
        if self.inner.config.durability == Durability::Disk {
            return Ok(());
        }
        let spans = self.inner.files.spans();
        let files = spans.iter().filter(|(start, bytes)| {
            // Files before the last one were synced when it was begun.
            *start <= position.0 && start + bytes > position.0
        });
        for (start, _) in files {
            let handle = self.inner.files.handle(*start)?;
            if let Err(error) = handle.sync_data() {
                let reason = format!("{}: {error}", self.inner.files.path(*start).display());
                self.inner.shared.fail(&reason);
                return Err(WalError::Fatal(reason.into()));
            }
        }
        Ok(())
    }

    /// The files, oldest first.
    #[must_use]
    pub fn files(&self) -> Vec<FileInfo> {
        self.inner.files.list()
    }

    /// Says that nobody reads data from `file` any more. It is deleted, in the background, once
    /// its commands are not needed either. Not remembered over a restart: say it again.
    ///
    /// The file that is being written is never released: what is appended next may lie in it.
    pub fn release(&self, file: SegmentId) {
        {
            // Under the state's lock, so that no append chooses the file meanwhile.
            let state = self.inner.shared.state.lock();
            if file.0 >= state.written_file {
                return;
            }
            self.inner.files.release(file.0);
        }
        self.wake_maintenance();
    }

    /// Says that replay will never begin before `position`.
    pub fn truncate_commands_before(&self, position: LogPosition) {
        self.inner.files.truncate_commands_before(position);
        self.wake_maintenance();
    }

    fn wake_maintenance(&self) {
        let shared = &self.inner.shared;
        shared.wake_maintenance();
        if self.inner.simulated {
            self.inner.pool.maintain(shared);
        }
    }

    /// Writes what is queued, then the seal that marks a clean stop, and ends the log: appends
    /// from now on fail with [`WalError::Closed`].
    ///
    /// # Errors
    /// [`WalError::Fatal`] when that could not be made safe.
    pub async fn seal(&self) -> Result<(), WalError> {
        let shared = &self.inner.shared;
        let stopped = shared.stopped.notified();
        tokio::pin!(stopped);
        stopped.as_mut().enable();
        {
            let mut state = shared.state.lock();
            if state.stopping == Stopping::No {
                state.stopping = Stopping::Seal;
            }
            shared.wake(&mut state);
        }
        if !shared.state.lock().stopped {
            stopped.await;
        }
        match &shared.state.lock().fatal {
            Some(reason) => Err(WalError::Fatal(reason.clone())),
            None => Ok(()),
        }
    }

    /// Resolves with the reason if the log ever fails for good. The process must stop then.
    pub fn failed(&self) -> impl Future<Output = WalError> + Send + 'static + use<> {
        let mut failed = self.inner.shared.failed.subscribe();
        async move {
            let reason = failed
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|r| r.clone());
            match reason {
                Some(reason) => WalError::Fatal(reason),
                // The log was dropped: it cannot fail any more.
                None => std::future::pending().await,
            }
        }
    }

    /// What the log counts.
    #[must_use]
    pub fn metrics(&self) -> &WalMetrics {
        &self.inner.shared.metrics
    }
}

fn writer_at(
    env: &Env,
    config: &WalConfig,
    shared: &Arc<Shared>,
    files: &Arc<Files>,
    pool: &Arc<Pool>,
    tail: Tail,
) -> Writer {
    let current = tail.handle.map(|file| Current {
        start: tail.file,
        file,
        reserve_limit: None,
    });
    Writer {
        env: env.clone(),
        config: config.clone(),
        shared: shared.clone(),
        files: files.clone(),
        pool: pool.clone(),
        current,
        chain: Chain {
            log_id: tail.log_id,
            synced: tail.position,
            previous_position: tail.previous.0,
            previous_checksum: tail.previous.1,
        },
        commands: tail.commands,
        unclosed: tail.unclosed,
        probed: Duration::ZERO,
    }
}

fn start(
    env: &Env,
    shared: &Arc<Shared>,
    pool: &Arc<Pool>,
    writer: Writer,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    if env.is_simulated() {
        pool.maintain(shared);
        env.spawn("wal", drive_task(env.clone(), writer));
        return Ok(Vec::new());
    }
    let (shared, pool) = (shared.clone(), pool.clone());
    Ok(vec![
        env.thread("levada-wal", move || drive_thread(writer))?,
        env.thread("levada-wal-pool", move || pool.run(&shared))?,
    ])
}

impl Drop for Inner {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state.lock();
            if state.stopping == Stopping::No {
                state.stopping = Stopping::Drop;
            }
            self.shared.wake(&mut state);
        }
        self.shared.wake_maintenance();
        // Short: at most the write under way. Whoever opens the folder again finds it quiet.
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}
