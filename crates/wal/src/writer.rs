//! The one writer: takes a group, writes it, syncs it, wakes who waits.
//!
//! It is a state machine without a thread of its own, so that a simulated world can run it as a
//! task: [`Writer::step`] does one thing and says what to wait for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use levada_env::{Env, File, OpenMode};

use crate::config::{Durability, UNPOOLED_BYTES_MIN, WalConfig};
use crate::error::is_full;
use crate::files::Files;
use crate::format::GroupKind;
use crate::group::{Chain, CommandCopy, FileSource, Group};
use crate::metrics::WalMetrics;
use crate::pool::{Pool, reserve_path};
use crate::shared::Shared;
use crate::state::{Priority, State, Stopping};

/// What the writer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: call again.
    Again,
    /// A wake-up, or that much time.
    Wait(Option<Duration>),
    /// Never call again.
    Stop,
}

/// The file being written.
pub(crate) struct Current {
    pub(crate) start: u64,
    pub(crate) file: Arc<dyn File>,
    /// Set when it is the reserve.
    pub(crate) reserve_limit: Option<u64>,
}

pub(crate) struct Writer {
    pub(crate) env: Env,
    pub(crate) config: WalConfig,
    pub(crate) shared: Arc<Shared>,
    pub(crate) files: Arc<Files>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) current: Option<Current>,
    pub(crate) chain: Chain,
    /// Commands of the last group that was written.
    pub(crate) commands: Vec<CommandCopy>,
    /// The last group written carries appends and no marker has closed it.
    pub(crate) unclosed: bool,
    /// When a full disk was met or looked at last.
    pub(crate) probed: Duration,
}

enum Job {
    Group(Group),
    Probe,
    Next(Next),
}

impl Writer {
    /// Does one thing. `idle` says that the time of the last [`Next::Wait`] passed.
    pub(crate) fn step(&mut self, idle: bool) -> Next {
        let job = self.next_job(&mut self.shared.state.lock(), idle);
        match job {
            Job::Group(group) => {
                let seal = group.kind == GroupKind::Seal;
                match self.write(&group) {
                    Ok(()) => self.finish(&group),
                    Err(error) => self.give_up(&group, &error),
                }
                if seal { self.stop() } else { Next::Again }
            }
            Job::Probe => {
                self.probe_space();
                Next::Again
            }
            Job::Next(Next::Stop) => self.stop(),
            Job::Next(next) => next,
        }
    }

    fn next_job(&self, state: &mut State, idle: bool) -> Job {
        state.signal = false;
        if state.fatal.is_some() || state.stopping == Stopping::Drop {
            return Job::Next(Next::Stop);
        }
        // By the time, not by idleness: the reserve may be in steady use.
        if state.full
            && state.stopping == Stopping::No
            && self.env.monotonic().saturating_sub(self.probed) >= self.config.full_retry
        {
            return Job::Probe;
        }
        let open_position = state.open.as_ref().map(|open| open.position);
        let wanted = open_position.is_some_and(|position| state.wanted > position);
        if state.closed.is_empty() && (wanted || idle || state.stopping == Stopping::Seal) {
            state.close();
        }
        if let Some(group) = state.closed.pop_front() {
            return Job::Group(group);
        }
        if state.stopping == Stopping::Seal {
            return self
                .special_group(state, GroupKind::Seal)
                .map_or(Job::Next(Next::Stop), Job::Group);
        }
        if state.full {
            return Job::Next(Next::Wait(Some(self.config.full_retry)));
        }
        if !self.unclosed {
            return Job::Next(Next::Wait(None));
        }
        if idle && let Some(group) = self.special_group(state, GroupKind::Marker) {
            return Job::Group(group);
        }
        Job::Next(Next::Wait(Some(self.config.close_after)))
    }

    fn special_group(&self, state: &mut State, kind: GroupKind) -> Option<Group> {
        let group = state
            .start_group(&self.config, kind, 0, Priority::Reclaim)
            .ok()?;
        state.open = Some(group);
        state.close();
        state.closed.pop_front()
    }

    /// Writes a marker now: opening a log closes what the last run left.
    pub(crate) fn write_marker(&mut self) -> io::Result<()> {
        let group = self.special_group(&mut self.shared.state.lock(), GroupKind::Marker);
        let Some(group) = group else { return Ok(()) };
        match self.write(&group) {
            Ok(()) => {
                self.finish(&group);
                Ok(())
            }
            Err(Trouble::Full) => {
                self.give_up(&group, &Trouble::Full);
                Ok(())
            }
            Err(Trouble::Broken(error)) => Err(error),
        }
    }

    fn write(&mut self, group: &Group) -> Result<(), Trouble> {
        let file = self.file_for(group)?;
        let header = group.header(self.chain);
        let head = header.encode();
        let trailer = group.trailer(&head);
        let mut slices = group.slices(&head, &trailer);
        file.write_vectored_all_at(&mut slices, group.position - group.file)
            .map_err(Trouble::of_write)?;
        if self.config.durability == Durability::Disk {
            self.sync(&*file)?;
            self.chain.synced = header.end();
        }
        self.chain.previous_position = header.position;
        self.chain.previous_checksum =
            u64::from_le_bytes(*head.last_chunk::<8>().unwrap_or(&[0; 8]));
        let metrics = &self.shared.metrics;
        WalMetrics::add(&metrics.groups, 1);
        WalMetrics::add(&metrics.frames, group.appended_count() as u64);
        WalMetrics::add(&metrics.appended_bytes, group.payload_bytes);
        WalMetrics::add(&metrics.written_bytes, header.total_bytes);
        Ok(())
    }

    fn sync(&self, file: &dyn File) -> Result<(), Trouble> {
        let before = self.env.monotonic();
        file.sync_data().map_err(Trouble::Broken)?;
        self.shared
            .metrics
            .record_sync(self.env.monotonic().saturating_sub(before));
        Ok(())
    }

    /// The file that the group goes to; made if the group starts one.
    fn file_for(&mut self, group: &Group) -> Result<Arc<dyn File>, Trouble> {
        if let Some(current) = &self.current
            && current.start == group.file
        {
            return Ok(current.file.clone());
        }
        if let Some(old) = &self.current {
            if self.config.durability == Durability::Os {
                // Nothing older than one file is ever in doubt.
                self.sync(&*old.file)?;
                self.chain.synced = group.file;
            }
            // Zeros that were prepared and not used: give them back. Losing this is harmless.
            if let Err(error) = old.file.set_len(group.file - old.start) {
                tracing::debug!(%error, "the rest of a full log file could not be cut");
            }
        }
        let (file, prepared_bytes) = self.create(group)?;
        let reserve = (group.source == FileSource::Reserve).then_some(prepared_bytes);
        self.current = Some(Current {
            start: group.file,
            file: file.clone(),
            reserve_limit: reserve,
        });
        let mut state = self.shared.state.lock();
        if state.file == group.file {
            state.file_soft_bytes = prepared_bytes.max(UNPOOLED_BYTES_MIN);
        }
        state.pool_ready = self.pool.ready();
        Ok(file)
    }

    /// Makes the group's file, durably. Gives how many bytes of it are pre-zeroed.
    fn create(&self, group: &Group) -> Result<(Arc<dyn File>, u64), Trouble> {
        let (fs, path) = (self.env.fs(), self.files.path(group.file));
        let prepared = match group.source {
            FileSource::Reserve => Some(reserve_path(self.files.dir())),
            _ => self.pool.take(),
        };
        let file = match prepared {
            Some(prepared) => {
                fs.rename(&prepared, &path).map_err(Trouble::of_write)?;
                fs.open(&path, OpenMode::ReadWrite)
            }
            None => fs.open(&path, OpenMode::CreateNew),
        };
        let file = file.map_err(Trouble::of_write)?;
        let bytes = file.len().map_err(Trouble::Broken)?;
        fs.sync_dir(self.files.dir()).map_err(Trouble::Broken)?;
        Ok((file, bytes))
    }

    /// The group is safe: tell everybody.
    fn finish(&mut self, group: &Group) {
        self.files.set_bytes(group.file, group.end() - group.file);
        self.commands.clone_from(&group.commands);
        self.unclosed = group.kind == GroupKind::Frames;
        let settled = {
            let mut state = self.shared.state.lock();
            state.durable = group.end();
            state.written_file = group.file;
            if self
                .current
                .as_ref()
                .is_some_and(|current| current.reserve_limit.is_none())
            {
                state.reserve_limit = None;
            }
            state.settled_waiters()
        };
        Shared::answer(settled);
        let written = self.shared.metrics.written_bytes.load(Relaxed);
        let before = written.saturating_sub(group.total_bytes());
        if group.source != FileSource::Same
            || written / UNPOOLED_BYTES_MIN != before / UNPOOLED_BYTES_MIN
        {
            self.shared.wake_maintenance();
        }
    }

    /// The group is not safe.
    fn give_up(&mut self, group: &Group, trouble: &Trouble) {
        let error = match trouble {
            Trouble::Broken(error) => error.to_string(),
            Trouble::Full => match self.take_back(group) {
                Ok(()) => return,
                Err(error) => format!("taking back a write on a full disk: {error}"),
            },
        };
        self.shared.fail(&format!(
            "{}: {error}",
            self.files.path(group.file).display()
        ));
    }

    /// Undoes a write that the disk had no room for, so that nobody, after a crash either, ever
    /// sees a part of it, and only then says so.
    fn take_back(&mut self, group: &Group) -> io::Result<()> {
        WalMetrics::add(&self.shared.metrics.full_events, 1);
        self.probed = self.env.monotonic();
        let path = self.files.path(group.file);
        if group.position > group.file {
            if let Some(current) = &self.current {
                current.file.set_len(group.position - group.file)?;
                current.file.sync_data()?;
            }
        } else {
            self.current = self
                .current
                .take()
                .filter(|current| current.start != group.file);
            if self.env.fs().exists(&path) {
                self.env.fs().remove_file(&path)?;
                self.env.fs().sync_dir(self.files.dir())?;
            }
            self.files.forget(group.file);
        }
        self.reopen_previous(group)?;
        let incarnation = self.env.random_u64();
        let current = self.current.as_ref();
        let (start, limit) = (
            current.map_or(group.position, |c| c.start),
            current.and_then(|c| c.reserve_limit),
        );
        let settled = {
            let mut state = self.shared.state.lock();
            state.roll_back(group.position, start, &self.commands, incarnation);
            state.reserve_limit = limit;
            state.pool_ready = self.pool.ready();
            state.settled_waiters()
        };
        tracing::warn!(
            position = group.position,
            "the disk is full: appends fail until space returns"
        );
        Shared::answer(settled);
        Ok(())
    }

    /// Goes back to the file before one that could not be started.
    fn reopen_previous(&mut self, group: &Group) -> io::Result<()> {
        if self.current.is_some() {
            return Ok(());
        }
        let Some((start, _)) = self.files.spans().last().copied() else {
            return Ok(());
        };
        debug_assert!(start < group.position);
        let file = self
            .env
            .fs()
            .open(&self.files.path(start), OpenMode::ReadWrite)?;
        self.current = Some(Current {
            start,
            file,
            reserve_limit: None,
        });
        Ok(())
    }

    /// Looks whether the full disk has room again.
    fn probe_space(&mut self) {
        self.probed = self.env.monotonic();
        let available = self.pool.available_bytes();
        // The next reserve comes first: without one nothing could be deleted the next time.
        let ready = self.shared.state.lock().reserve_ready;
        let missing = self.config.reserve_bytes.saturating_sub(ready);
        let has_room = self.config.has_room(available.saturating_sub(missing));
        if has_room && (missing == 0 || self.make_reserve()) {
            tracing::info!(available, "the disk has room again: appends go on");
            // What is left of the reserve is space like any other now.
            if let Some(current) = &mut self.current {
                current.reserve_limit = None;
            }
            {
                let mut state = self.shared.state.lock();
                state.full = false;
                state.reserve_limit = None;
            }
            self.shared.wake_maintenance();
        } else if self.shared.state.lock().reserve_is_spent() {
            // Some was freed, or a crash took the reserve: the next steps need it.
            let rest = self.pool.rest_as_reserve();
            self.shared.state.lock().reserve_ready = rest;
        }
    }

    /// The next reserve, before producers may use the room that was freed.
    fn make_reserve(&self) -> bool {
        let bytes = self.config.reserve_bytes;
        let made = self.pool.make_reserve(bytes);
        match &made {
            Ok(()) => self.shared.state.lock().reserve_ready = bytes,
            Err(error) => tracing::debug!(%error, "no reserve yet: the disk counts as full"),
        }
        made.is_ok()
    }

    fn stop(&mut self) -> Next {
        if self.config.durability == Durability::Os
            && self.shared.state.lock().fatal.is_none()
            && let Some(current) = &self.current
            && let Err(error) = current.file.sync_data()
        {
            self.shared.fail(&format!("sync at the end: {error}"));
        }
        self.current = None;
        let settled = {
            let mut state = self.shared.state.lock();
            state.stopped = true;
            state.settled_waiters()
        };
        Shared::answer(settled);
        self.shared.stopped.notify_waiters();
        self.shared.wake_maintenance();
        Next::Stop
    }
}

/// Why a group could not be made safe.
#[derive(Debug)]
enum Trouble {
    /// No space; nothing is lost and it may pass.
    Full,
    /// Nothing can be promised any more.
    Broken(io::Error),
}

impl Trouble {
    fn of_write(error: io::Error) -> Self {
        if is_full(&error) {
            Self::Full
        } else {
            Self::Broken(error)
        }
    }
}
