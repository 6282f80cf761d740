//! Tasks that move a queue's messages elsewhere: one row for each queue that has had any.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use levada_model::TopicId;
use levada_model::codec::{DecodeError, Decoder, Encoder};

use super::table::MOVES_ROW;
use crate::encoding::small;
use crate::saver::{Mark, RowKind, Saver};

/// Tasks of a queue that are remembered, the one under way included (SQS: ListMessageMoveTasks
/// shows ten).
pub const MOVES_KEPT_MAX: usize = 10;
/// How long: 90 days, as SQS does.
pub const MOVES_KEPT_MS: i64 = 90 * 24 * 3600 * 1000;

/// How a task stands. The ordinals are stored, and a task only goes to greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MoveState {
    Running = 1,
    /// Somebody cancelled it, and its last step is under way.
    Cancelling = 2,
    Cancelled = 3,
    Completed = 4,
    Failed = 5,
}

impl MoveState {
    fn of_ordinal(ordinal: u8) -> Result<MoveState, DecodeError> {
        let all = [
            MoveState::Running,
            MoveState::Cancelling,
            MoveState::Cancelled,
            MoveState::Completed,
            MoveState::Failed,
        ];
        let known = all.into_iter().find(|state| *state as u8 == ordinal);
        known.ok_or(DecodeError("unknown state of a move task"))
    }

    pub fn has_ended(self) -> bool {
        self > MoveState::Cancelling
    }
}

/// Random, chosen by the engine.
pub type MoveId = [u8; 16];

/// A task as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMove {
    /// The queue whose messages move.
    pub source: TopicId,
    pub id: MoveId,
    /// A queue's name; `None`: each message goes back to the queue that gave up on it.
    pub destination: Option<String>,
    pub messages_per_second_max: Option<u32>,
    /// Visible in the source when the task began.
    pub to_move: u64,
}

/// How far a task has come since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveUpdate {
    pub source: TopicId,
    pub id: MoveId,
    pub state: MoveState,
    /// Since the task began.
    pub moved: u64,
    pub failure: Option<String>,
}

/// A task as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub begun: NewMove,
    /// When it began; milliseconds since the Unix epoch.
    pub started_ms: i64,
    pub state: MoveState,
    pub moved: u64,
    pub failure: Option<String>,
}

impl NewMove {
    /// All but the source, which stands before it.
    fn write(&self, out: &mut Encoder) {
        out.raw(&self.id);
        out.option(self.destination.as_deref(), |out, name| out.text(name));
        out.option(self.messages_per_second_max, |out, rate| {
            out.varint(u64::from(rate));
        });
        out.varint(self.to_move);
    }

    fn read(source: TopicId, input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            source,
            id: input.bytes16()?,
            destination: input.option(|input| Ok(input.text()?.to_owned()))?,
            messages_per_second_max: input.option(small)?,
            to_move: input.varint()?,
        })
    }

    pub(super) fn encode(&self, out: &mut Encoder) {
        out.raw(&self.source.0);
        self.write(out);
    }

    pub(super) fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let source = TopicId(input.bytes16()?);
        Self::read(source, input)
    }
}

impl MoveUpdate {
    pub(super) fn encode(&self, out: &mut Encoder) {
        out.raw(&self.source.0);
        out.raw(&self.id);
        out.u8(self.state as u8);
        out.varint(self.moved);
        out.option(self.failure.as_deref(), |out, why| out.text(why));
    }

    pub(super) fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            source: TopicId(input.bytes16()?),
            id: input.bytes16()?,
            state: MoveState::of_ordinal(input.u8()?)?,
            moved: input.varint()?,
            failure: input.option(|input| Ok(input.text()?.to_owned()))?,
        })
    }
}

impl Move {
    fn write(&self, out: &mut Encoder) {
        self.begun.write(out);
        out.signed(self.started_ms);
        out.u8(self.state as u8);
        out.varint(self.moved);
        out.option(self.failure.as_deref(), |out, why| out.text(why));
    }

    fn read(source: TopicId, input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            begun: NewMove::read(source, input)?,
            started_ms: input.signed()?,
            state: MoveState::of_ordinal(input.u8()?)?,
            moved: input.varint()?,
            failure: input.option(|input| Ok(input.text()?.to_owned()))?,
        })
    }

    fn is_old(&self, now_ms: i64) -> bool {
        self.state.has_ended() && now_ms.saturating_sub(self.started_ms) > MOVES_KEPT_MS
    }
}

/// The tasks of one queue, the newest last; at most one has not ended.
#[derive(Default)]
struct Row {
    tasks: VecDeque<Move>,
    mark: Mark,
}

/// The tasks of all queues that have had any.
#[derive(Default)]
pub struct MoveTable {
    rows: BTreeMap<TopicId, Row>,
}

impl MoveTable {
    /// The tasks of a queue, the newest first.
    pub fn of(&self, source: TopicId, now_ms: i64) -> impl Iterator<Item = &Move> {
        let tasks = self.rows.get(&source).map(|row| row.tasks.iter().rev());
        let tasks = tasks.into_iter().flatten();
        tasks.filter(move |task| !task.is_old(now_ms))
    }

    /// The tasks that have not ended.
    pub fn running(&self) -> impl Iterator<Item = &Move> {
        let newest = self.rows.values().filter_map(|row| row.tasks.back());
        newest.filter(|task| !task.state.has_ended())
    }

    /// Begins a task, unless one is under way in its queue.
    pub(super) fn start(&mut self, begun: &NewMove, now_ms: i64, saver: &mut Saver) {
        let row = self.rows.entry(begun.source).or_insert_with(|| Row {
            mark: saver.mark(),
            ..Row::default()
        });
        if row.tasks.back().is_some_and(|task| !task.state.has_ended()) {
            return;
        }
        save(begun.source, row, saver);
        row.tasks.retain(|task| !task.is_old(now_ms));
        while row.tasks.len() >= MOVES_KEPT_MAX {
            row.tasks.pop_front();
        }
        row.tasks.push_back(Move {
            begun: begun.clone(),
            started_ms: now_ms,
            state: MoveState::Running,
            moved: 0,
            failure: None,
        });
    }

    /// A task that has ended, or is not known (any more), stays as it is.
    pub(super) fn update(&mut self, update: &MoveUpdate, saver: &mut Saver) {
        let Some(row) = self.rows.get_mut(&update.source) else {
            return;
        };
        let is_it = |task: &Move| task.begun.id == update.id && !task.state.has_ended();
        if !row.tasks.back().is_some_and(is_it) {
            return;
        }
        save(update.source, row, saver);
        if let Some(task) = row.tasks.back_mut() {
            task.state = task.state.max(update.state);
            task.moved = task.moved.max(update.moved);
            task.failure.clone_from(&update.failure);
        }
    }

    pub(super) fn forget(&mut self, source: TopicId, saver: &mut Saver) {
        if let Some(mut row) = self.rows.remove(&source) {
            save(source, &mut row, saver);
        }
    }

    /// Saves rows behind `passed`; gives how many it visited, 0 at the end.
    pub(crate) fn save_slice(
        &mut self,
        passed: &mut Option<TopicId>,
        saver: &mut Saver,
        rows_max: usize,
    ) -> usize {
        let from = passed.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.rows.range_mut((from, Bound::Unbounded));
        let mut visited = 0;
        for (source, row) in rows.take(rows_max) {
            save(*source, row, saver);
            *passed = Some(*source);
            visited += 1;
        }
        visited
    }

    /// Reads what stands behind a row's ordinal.
    pub(super) fn restore_row(&mut self, input: &mut Decoder<'_>) -> Result<bool, DecodeError> {
        let source = TopicId(input.bytes16()?);
        let tasks = input.list(|input| Move::read(source, input))?;
        let older = tasks.iter().rev().skip(1);
        let is_whole = (1..=MOVES_KEPT_MAX).contains(&tasks.len())
            && older.into_iter().all(|task| task.state.has_ended());
        if !is_whole {
            return Err(DecodeError("a queue's move tasks break the rules for them"));
        }
        let row = Row {
            tasks: tasks.into(),
            mark: Mark::default(),
        };
        Ok(self.rows.insert(source, row).is_none())
    }

    /// Queues with a row: a restored one must be there.
    pub(crate) fn sources(&self) -> impl Iterator<Item = TopicId> + '_ {
        self.rows.keys().copied()
    }

    pub(super) fn digest(&self, out: &mut Encoder) {
        for (source, row) in &self.rows {
            write(*source, row, out);
        }
    }
}

fn write(source: TopicId, row: &Row, out: &mut Encoder) {
    out.raw(&source.0);
    out.list(row.tasks.iter(), |out, task| task.write(out));
}

fn save(source: TopicId, row: &mut Row, saver: &mut Saver) {
    if saver.wants(row.mark) {
        row.mark = saver.mark();
        let out = saver.row(RowKind::Queue);
        out.u8(MOVES_ROW);
        write(source, row, out);
    }
}
