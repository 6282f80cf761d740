//! What appenders and the writer share, behind one short lock: no I/O happens under it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use levada_model::{LogPosition, SegmentId};
use tokio::sync::oneshot;

use crate::config::{UNPOOLED_BYTES_MIN, WalConfig};
use crate::error::WalError;
use crate::format::{BLOCK_BYTES, FRAME_HEADER_BYTES, FrameKind, GroupKind};
use crate::group::{CommandCopy, FileSource, Group};

/// Where an append will lie. It is durable only after `sync_to` said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position of the frame in the log: grows with every append.
    pub position: LogPosition,
    /// The file.
    pub file: SegmentId,
    /// Where in the file the payload starts.
    pub offset_in_file: u64,
    /// Which stretch between two full disks it belongs to: after a full disk positions are used
    /// again, and the position alone would not tell the append that failed from a later one.
    pub(crate) generation: u64,
}

/// What may use the space set aside for a full disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Fails while the disk is full.
    #[default]
    Normal,
    /// Small and needed to keep readers going: offset commits, groups. May use half of the reserve.
    Reserve,
    /// Makes room: deletes, retention, rewriting of sparse files. May use all of it.
    Reclaim,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Durable,
    Failed,
    Pending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopping {
    No,
    /// Write what waits, then a seal.
    Seal,
    /// The last handle is gone.
    Drop,
}

pub(crate) struct Waiter {
    pub(crate) appended: Appended,
    pub(crate) done: oneshot::Sender<Result<(), WalError>>,
}

/// Which reserve is to be made shorter, outside the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lent {
    /// The one that lies ready; until it is said to be ready again, nobody takes it.
    Ready { left: u64 },
    /// The file that is being written: nothing is appended beyond what is left.
    InUse { file: u64, left: u64 },
}

/// One frame to append.
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) payload_bytes: u32,
    pub(crate) checksum: u64,
}

pub(crate) struct State {
    pub(crate) incarnation: u64,
    pub(crate) generation: u64,
    /// Where the next group starts; `file` is the start of the file that holds it.
    pub(crate) tail: u64,
    pub(crate) file: u64,
    /// From this length on, the file gives way to a pooled one.
    pub(crate) file_soft_bytes: u64,
    /// Set while the file is the reserve: it cannot grow beyond this on a full disk.
    pub(crate) reserve_limit: Option<u64>,
    pub(crate) open: Option<Group>,
    pub(crate) closed: VecDeque<Group>,
    /// Commands of the last closed group, to be repeated by the next.
    pub(crate) last_commands: Vec<CommandCopy>,
    /// Everything below is as safe as the configured durability makes it.
    pub(crate) durable: u64,
    /// The file of the last group that was written: no earlier one is ever written again, not even
    /// after a rollback.
    pub(crate) written_file: u64,
    /// For each full disk: the generation that it ended and the position it fell back to, kept
    /// rising so that the list stays short.
    rollbacks: Vec<(u64, u64)>,
    pub(crate) waiters: Vec<Waiter>,
    /// Somebody waits for everything below this.
    pub(crate) wanted: u64,
    pub(crate) full: bool,
    /// Length of the reserve that lies ready; zero without one.
    pub(crate) reserve_ready: u64,
    pub(crate) pool_ready: usize,
    pub(crate) stopping: Stopping,
    pub(crate) stopped: bool,
    pub(crate) fatal: Option<Arc<str>>,
    /// The writer was woken; it may not sleep before it has looked.
    pub(crate) signal: bool,
}

impl State {
    /// A state whose next group starts at `tail`, in the file that starts at `file`.
    pub(crate) fn new(tail: u64, file: u64, incarnation: u64, commands: Vec<CommandCopy>) -> Self {
        Self {
            incarnation,
            generation: 0,
            tail,
            file,
            file_soft_bytes: UNPOOLED_BYTES_MIN,
            reserve_limit: None,
            open: None,
            closed: VecDeque::new(),
            last_commands: commands,
            durable: tail,
            written_file: file,
            rollbacks: Vec::new(),
            waiters: Vec::new(),
            wanted: 0,
            full: false,
            reserve_ready: 0,
            pool_ready: 0,
            stopping: Stopping::No,
            stopped: false,
            fatal: None,
            signal: false,
        }
    }

    /// # Errors
    /// When nothing can be appended at all.
    pub(crate) fn check_usable(&self) -> Result<(), WalError> {
        match &self.fatal {
            Some(reason) => Err(WalError::Fatal(reason.clone())),
            None if self.stopping != Stopping::No => Err(WalError::Closed),
            None => Ok(()),
        }
    }

    /// What became of an append.
    pub(crate) fn outcome(&self, appended: Appended) -> Outcome {
        let position = appended.position.0;
        let undone = |&(ended, to): &(u64, u64)| ended >= appended.generation && to <= position;
        if self.rollbacks.iter().any(undone) {
            Outcome::Failed
        } else if position < self.durable {
            Outcome::Durable
        } else {
            Outcome::Pending
        }
    }

    /// Queues a frame and gives its place. The flag says that a group was closed: the writer has
    /// work.
    pub(crate) fn append(
        &mut self,
        config: &WalConfig,
        frame: Frame,
        priority: Priority,
    ) -> Result<(Appended, bool), WalError> {
        if self.full && priority == Priority::Normal {
            return Err(WalError::Full);
        }
        let payload_bytes = u64::from(frame.payload_bytes);
        let mut closed = false;
        if self
            .open
            .as_ref()
            .is_some_and(|open| !self.fits(config, open, payload_bytes, priority))
        {
            self.close();
            closed = true;
        }
        if self.open.is_none() {
            let group = self.start_group(config, GroupKind::Frames, payload_bytes, priority)?;
            self.open = Some(group);
        }
        let Some(open) = &mut self.open else {
            unreachable!("a group was just opened")
        };
        let position = open.push(
            frame.kind,
            frame.payload_bytes,
            frame.checksum,
            frame.pieces,
        );
        let appended = Appended {
            position: LogPosition(position),
            file: SegmentId(open.file),
            offset_in_file: position - open.file + FRAME_HEADER_BYTES as u64,
            generation: self.generation,
        };
        Ok((appended, closed))
    }

    fn fits(
        &self,
        config: &WalConfig,
        open: &Group,
        payload_bytes: u64,
        priority: Priority,
    ) -> bool {
        let total = open.total_bytes_with(payload_bytes);
        open.appended_count() == 0
            || (total <= config.group_bytes_max
                && open.position - open.file + total <= self.file_limit(config, priority))
    }

    fn file_limit(&self, config: &WalConfig, priority: Priority) -> u64 {
        match self.reserve_limit {
            Some(limit) if self.full => share(limit, priority),
            _ => config.file_bytes_max,
        }
    }

    /// A group at the tail, in the next file if this one has no room for it.
    ///
    /// # Errors
    /// [`WalError::Full`] when the disk is full and the reserve cannot take it.
    pub(crate) fn start_group(
        &mut self,
        config: &WalConfig,
        kind: GroupKind,
        payload_bytes: u64,
        priority: Priority,
    ) -> Result<Group, WalError> {
        let make = |state: &Self, file, source| {
            let commands = &state.last_commands;
            Group::new(kind, state.tail, file, source, state.incarnation, commands)
        };
        let group = make(self, self.file, FileSource::Same);
        let offset = self.tail - self.file;
        let total_bytes = group.total_bytes_with(payload_bytes);
        let too_long = offset + total_bytes > self.file_limit(config, priority);
        if self.full {
            if self.reserve_limit.is_some() && !too_long {
                return Ok(group);
            }
            if total_bytes > share(self.reserve_ready, priority) {
                return Err(WalError::Full);
            }
            self.reserve_limit = Some(std::mem::take(&mut self.reserve_ready));
            self.file = self.tail;
            return Ok(make(self, self.tail, FileSource::Reserve));
        }
        let better = offset >= self.file_soft_bytes && self.pool_ready > 0;
        if offset > 0 && (too_long || better) {
            self.file = self.tail;
            self.file_soft_bytes = UNPOOLED_BYTES_MIN;
            self.reserve_limit = None;
            return Ok(make(self, self.tail, FileSource::New));
        }
        Ok(group)
    }

    /// How much may be appended with [`Priority::Reclaim`].
    pub(crate) fn reclaim_bytes_max(&self) -> u64 {
        if !self.full {
            return u64::MAX;
        }
        self.reserve_left().max(self.reserve_ready)
    }

    /// What the reserve that is in use has left.
    fn reserve_left(&self) -> u64 {
        let tail = self.open.as_ref().map_or(self.tail, Group::end);
        let limit = self.reserve_limit.unwrap_or(0);
        limit.saturating_sub(tail - self.file)
    }

    /// So little is left that another reserve should be made from what was freed meanwhile.
    pub(crate) fn reserve_is_spent(&self) -> bool {
        let limit = self.reserve_limit.unwrap_or(0);
        self.reserve_ready == 0 && self.reserve_left() <= limit / 2
    }

    /// A crash on a full disk has left the reserve as the last file: what was prepared of it goes on
    /// being the reserve, until there is room again.
    pub(crate) fn adopt_reserve_in_use(
        &mut self,
        config: &WalConfig,
        prepared_bytes: u64,
        available_bytes: u64,
    ) {
        let is_reserve = config.reserve_bytes > 0 && prepared_bytes > self.tail - self.file;
        // The next reserve would have to come from what is available.
        let room = available_bytes.saturating_sub(config.reserve_bytes);
        if is_reserve && !config.has_room(room) {
            self.full = true;
            self.reserve_limit = Some(prepared_bytes);
        }
    }

    /// Takes so many bytes off the reserve, but never more than half of what it has left.
    pub(crate) fn lend_reserve(&mut self, bytes: u64) -> Option<Lent> {
        if !self.full {
            return None;
        }
        let bytes = bytes.next_multiple_of(BLOCK_BYTES);
        if let Some(limit) = self.reserve_limit {
            if bytes > self.reserve_left() / 2 {
                return None;
            }
            let left = limit - bytes;
            self.reserve_limit = Some(left);
            let file = self.file;
            return Some(Lent::InUse { file, left });
        }
        if bytes > self.reserve_ready / 2 {
            return None;
        }
        let left = std::mem::take(&mut self.reserve_ready) - bytes;
        Some(Lent::Ready { left })
    }

    /// Ends the open group: nothing more goes into it.
    pub(crate) fn close(&mut self) {
        if let Some(group) = self.open.take() {
            self.tail = group.end();
            self.last_commands.clone_from(&group.commands);
            self.closed.push_back(group);
        }
    }

    /// Takes back everything from `position` on: none of it happened.
    pub(crate) fn roll_back(
        &mut self,
        position: u64,
        file: u64,
        commands: &[CommandCopy],
        incarnation: u64,
    ) {
        self.closed.clear();
        self.open = None;
        self.tail = position;
        self.file = file;
        self.last_commands = commands.to_vec();
        self.incarnation = incarnation;
        self.rollbacks.retain(|&(_, to)| to < position);
        self.rollbacks.push((self.generation, position));
        self.generation += 1;
        self.wanted = self.wanted.min(position);
        self.full = true;
    }

    /// What became of an append, if it is known.
    pub(crate) fn settled(&self, appended: Appended) -> Option<Result<(), WalError>> {
        match (self.outcome(appended), &self.fatal) {
            (Outcome::Durable, _) => Some(Ok(())),
            (Outcome::Failed, _) => Some(Err(WalError::Full)),
            (Outcome::Pending, Some(reason)) => Some(Err(WalError::Fatal(reason.clone()))),
            (Outcome::Pending, None) => self.stopped.then_some(Err(WalError::Closed)),
        }
    }

    /// Takes out the waiters whose fate is known.
    pub(crate) fn settled_waiters(&mut self) -> Vec<(Waiter, Result<(), WalError>)> {
        let mut settled = Vec::new();
        for waiter in std::mem::take(&mut self.waiters) {
            match self.settled(waiter.appended) {
                Some(result) => settled.push((waiter, result)),
                None => self.waiters.push(waiter),
            }
        }
        settled
    }
}

/// The part of a reserve that may be used.
fn share(reserve_bytes: u64, priority: Priority) -> u64 {
    match priority {
        Priority::Reclaim => reserve_bytes,
        Priority::Normal | Priority::Reserve => reserve_bytes / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_before_a_rollback_stays_failed_when_its_position_is_used_again() {
        let mut state = State::new(4096, 0, 1, Vec::new());
        let at = |position, generation| Appended {
            position: LogPosition(position),
            file: SegmentId(0),
            offset_in_file: 0,
            generation,
        };
        state.roll_back(8192, 0, &[], 2);
        state.durable = 100_000;
        assert_eq!(state.outcome(at(9000, 0)), Outcome::Failed);
        assert_eq!(state.outcome(at(9000, 1)), Outcome::Durable);
        assert_eq!(state.outcome(at(5000, 0)), Outcome::Durable);
        state.roll_back(50_000, 0, &[], 3);
        assert_eq!(state.outcome(at(9000, 0)), Outcome::Failed);
        assert_eq!(state.outcome(at(9000, 1)), Outcome::Durable);
        assert_eq!(state.outcome(at(60_000, 1)), Outcome::Failed);
    }
}
