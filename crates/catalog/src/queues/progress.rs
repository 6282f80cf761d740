//! How far the messages of one partition are done.

use std::collections::BTreeMap;

use levada_model::Offset;
use levada_model::codec::{DecodeError, Decoder, Encoder};

use super::command::Delivery;
use super::deduplication::Deduplication;
use super::delays::Delays;
use crate::saver::Mark;

/// A message that was received, and is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// From then on it can be received; milliseconds since the Unix epoch. What a standard queue's
    /// receiver was promised is not durable: this is then what is known of it.
    pub visible_ms: i64,
    /// How often it was received.
    pub attempts: u32,
    /// 0: never.
    pub first_received_ms: i64,
}

/// What a queue knows of one partition. The log start is a floor too: see [`Progress::floor`].
#[derive(Default)]
pub struct Progress {
    floor: i64,
    /// Done above the floor: first offset to one past the last; no two touch.
    done: BTreeMap<i64, i64>,
    done_count: u64,
    exceptions: BTreeMap<i64, Exception>,
    pub(super) delays: Delays,
    pub(super) deduplication: Deduplication,
    pub(super) mark: Mark,
}

impl Progress {
    pub(super) fn new(mark: Mark) -> Self {
        Self {
            mark,
            ..Self::default()
        }
    }

    /// All messages before it are done.
    pub fn floor(&self) -> Offset {
        Offset(self.floor)
    }

    /// How many messages at or above the floor are done.
    pub fn done_count(&self) -> u64 {
        self.done_count
    }

    /// The first message at or after `offset` that is not done.
    pub fn next_open(&self, offset: Offset) -> Offset {
        let at = offset.0.max(self.floor);
        match self.done.range(..=at).next_back() {
            Some((_, end)) if *end > at => Offset(*end),
            _ => Offset(at),
        }
    }

    /// How many messages of `from..end` are not done.
    pub fn open_between(&self, from: Offset, end: Offset) -> u64 {
        let from = from.0.max(self.floor);
        let done = self.done.range(..end.0).rev();
        let done = done.take_while(|(_, done_end)| **done_end > from);
        let done: i64 = done
            .map(|(done_from, done_end)| (*done_end).min(end.0) - (*done_from).max(from))
            .sum();
        u64::try_from(end.0 - from - done).unwrap_or(0)
    }

    pub fn is_done(&self, offset: Offset) -> bool {
        self.next_open(offset) != offset
    }

    pub fn exception(&self, offset: Offset) -> Option<&Exception> {
        self.exceptions.get(&offset.0)
    }

    /// If the message is delayed at this time: one past the last of those behind it that are visible
    /// when it is, and when.
    pub fn delayed(&self, offset: Offset, now_ms: i64) -> Option<(Offset, i64)> {
        self.delays.find(offset.0, now_ms)
    }

    /// How many messages from `start` on are delayed at this time.
    pub fn delayed_count(&self, start: Offset, now_ms: i64) -> u64 {
        self.delays.count(start.0, now_ms)
    }

    /// Whether a message may be delayed now: [`levada_model::limits::QUEUE_DELAY_RUNS_MAX`].
    pub fn takes_delayed(&self, now_ms: i64) -> bool {
        self.delays.has_room(now_ms)
    }

    /// Messages that were received and are not done, in order.
    pub fn exceptions(&self) -> impl Iterator<Item = (Offset, &Exception)> {
        self.exceptions
            .iter()
            .map(|(offset, one)| (Offset(*offset), one))
    }

    /// Nothing stands here that an empty row would not say.
    pub(super) fn is_idle(&self) -> bool {
        self.floor == 0
            && self.done.is_empty()
            && self.exceptions.is_empty()
            && self.delays.is_empty()
            && self.deduplication.is_empty()
    }

    /// What lies below the log start is gone.
    pub(super) fn raise_floor(&mut self, to: i64) {
        if to <= self.floor {
            return;
        }
        self.floor = to;
        self.exceptions = self.exceptions.split_off(&to);
        let above = self.done.split_off(&to);
        if let Some((_, end)) = self.done.pop_last() {
            self.floor = end.max(to);
        }
        self.done = above;
        self.join_floor();
        self.done_count = self
            .done
            .iter()
            .map(|(from, end)| (end - from) as u64)
            .sum();
    }

    /// `end`: the high watermark.
    pub(super) fn deliver(&mut self, delivery: &Delivery, end: i64, now_ms: i64) {
        let at = delivery.offset;
        if at.0 >= end || at.0 < self.floor || self.is_done(at) {
            return;
        }
        let exception = self.exceptions.entry(at.0).or_insert(Exception {
            visible_ms: 0,
            attempts: 0,
            first_received_ms: 0,
        });
        // Reports may come out of order: an earlier delivery says nothing of the later one's time.
        if delivery.attempts < exception.attempts {
            return;
        }
        exception.attempts = delivery.attempts;
        exception.visible_ms = delivery.visible_ms;
        if exception.first_received_ms == 0 && delivery.attempts > 0 {
            exception.first_received_ms = now_ms;
        }
    }

    /// `end`: the high watermark.
    pub(super) fn acknowledge(&mut self, offset: i64, end: i64) {
        if offset >= end || offset < self.floor || self.is_done(Offset(offset)) {
            return;
        }
        self.exceptions.remove(&offset);
        let mut from = offset;
        let mut to = offset + 1;
        if let Some((before, before_end)) = self.done.range(..offset).next_back()
            && *before_end == offset
        {
            from = *before;
        }
        if let Some(after_end) = self.done.remove(&to) {
            to = after_end;
        }
        self.done.insert(from, to);
        self.done_count += 1;
        self.join_floor();
    }

    /// The floor swallows what is done next to it.
    fn join_floor(&mut self) {
        if let Some(first) = self.done.first_entry()
            && *first.key() == self.floor
        {
            let (from, end) = first.remove_entry();
            self.done_count = self.done_count.saturating_sub((end - from) as u64);
            self.floor = end;
        }
        self.delays.forget_below(self.floor);
    }

    pub(super) fn write(&self, out: &mut Encoder) {
        out.varint(self.floor as u64);
        let mut last = self.floor;
        out.list(self.done.iter(), |out, (from, end)| {
            out.varint((from - last) as u64);
            out.varint((end - from) as u64);
            last = *end;
        });
        let mut last = self.floor;
        let mut time_ms = 0;
        out.list(self.exceptions.iter(), |out, (offset, one)| {
            out.varint((offset - last) as u64);
            out.signed(one.visible_ms.wrapping_sub(time_ms));
            out.varint(u64::from(one.attempts));
            out.signed(one.first_received_ms);
            last = *offset;
            time_ms = one.visible_ms;
        });
        self.deduplication.write(out);
        self.delays.write(out, self.floor);
    }

    /// Reads a row; `has_delays`: as it is written now, else as it was when each delayed message was
    /// an exception that nobody had received.
    pub(super) fn read(input: &mut Decoder<'_>, has_delays: bool) -> Result<Self, DecodeError> {
        const BROKEN: DecodeError = DecodeError("a queue's row breaks the rules for offsets");
        let step = |input: &mut Decoder<'_>, from: i64| -> Result<i64, DecodeError> {
            let by = i64::try_from(input.varint()?).map_err(|_| BROKEN)?;
            from.checked_add(by).ok_or(BROKEN)
        };
        let floor = step(input, 0)?;
        let mut last = floor;
        let ranges = input.list(|input| {
            let from = step(input, last)?;
            let end = step(input, from)?;
            // A range that touched the one before would be one with it.
            if from == last || end == from {
                return Err(BROKEN);
            }
            last = end;
            Ok((from, end))
        })?;
        let mut last = floor;
        let mut time_ms = 0i64;
        let exceptions = input.list(|input| {
            let offset = step(input, last)?;
            time_ms = time_ms.wrapping_add(input.signed()?);
            let exception = Exception {
                visible_ms: time_ms,
                attempts: crate::encoding::small(input)?,
                first_received_ms: input.signed()?,
            };
            last = offset;
            Ok((offset, exception))
        })?;
        let count = exceptions.len();
        let mut read = Progress {
            floor,
            done_count: ranges.iter().map(|(from, end)| (end - from) as u64).sum(),
            done: ranges.into_iter().collect(),
            exceptions: exceptions.into_iter().collect(),
            deduplication: Deduplication::read(input)?,
            delays: Delays::default(),
            mark: Mark::default(),
        };
        let is_open = |offset: &i64| !read.is_done(Offset(*offset));
        if read.exceptions.len() != count || !read.exceptions.keys().all(is_open) {
            return Err(BROKEN);
        }
        if has_delays {
            read.delays = Delays::read(input, floor, step)?;
        } else {
            for (offset, one) in read.exceptions.extract_if(.., |_, one| one.attempts == 0) {
                read.delays.add(offset, offset + 1, one.visible_ms);
            }
        }
        Ok(read)
    }
}
