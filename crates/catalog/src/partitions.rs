//! Partitions: where each offset lies. A partition that was never written costs 64 bytes.

use std::collections::VecDeque;

use levada_model::{Extent, Offset, PartitionId, SegmentId, TopicId};

use crate::command::{IndexRun, SegmentBytes};
use crate::saver::{Mark, RowKind, Saver};

/// Where one or more whole record batches of a partition lie, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    pub base: Offset,
    pub offset_count: u32,
    pub extent: Extent,
    /// Largest timestamp of its records; -1 when clients left it out.
    pub max_timestamp_ms: i64,
    /// With LogAppendTime: the time that every record of it has.
    pub append_time_ms: Option<i64>,
}

impl IndexEntry {
    /// One past the last offset.
    pub fn end(&self) -> Offset {
        self.base.plus(u64::from(self.offset_count))
    }
}

/// What holds an offset or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// In memory: the entry itself.
    Entry(IndexEntry),
    /// Spilled: the run that holds the entry.
    Run(IndexRun),
    /// At or after the high watermark; nothing there yet.
    End,
    /// Before the log start.
    Below,
}

/// [`IndexEntry`] as it is kept: 48 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TailEntry {
    pub base: i64,
    pub segment: u64,
    pub position: u64,
    pub max_timestamp_ms: i64,
    /// [`NO_APPEND_TIME`] without LogAppendTime.
    pub append_time_ms: i64,
    pub offset_count: u32,
    pub length: u32,
}

/// Memory that an index entry takes.
pub const INDEX_ENTRY_BYTES: usize = size_of::<TailEntry>();

pub(crate) const NO_APPEND_TIME: i64 = i64::MIN;

impl TailEntry {
    pub fn extent(&self) -> Extent {
        Extent {
            segment: SegmentId(self.segment),
            position: self.position,
            length: self.length,
        }
    }

    pub fn end(&self) -> i64 {
        self.base.saturating_add(i64::from(self.offset_count))
    }

    fn public(&self) -> IndexEntry {
        IndexEntry {
            base: Offset(self.base),
            offset_count: self.offset_count,
            extent: self.extent(),
            max_timestamp_ms: self.max_timestamp_ms,
            append_time_ms: append_time(self.append_time_ms),
        }
    }
}

pub(crate) fn append_time(raw: i64) -> Option<i64> {
    (raw != NO_APPEND_TIME).then_some(raw)
}

/// The index of a partition that holds something: runs first, the tail after them, no gap.
#[derive(Default)]
pub(crate) struct Index {
    pub tail: VecDeque<TailEntry>,
    pub runs: Vec<IndexRun>,
    /// For each run, where its batches lie.
    pub run_segments: Vec<Box<[SegmentBytes]>>,
}

impl Index {
    pub fn is_empty(&self) -> bool {
        self.tail.is_empty() && self.runs.is_empty()
    }

    /// Adds an entry. Most partitions of many hold one: the first takes no room for more.
    pub fn push(&mut self, entry: TailEntry) {
        if self.tail.capacity() == 0 {
            self.tail.reserve_exact(1);
        }
        self.tail.push_back(entry);
    }

    /// Gives memory back once little of it is used.
    pub fn shrink(&mut self) {
        if self.tail.capacity() > 16 && self.tail.len() < self.tail.capacity() / 4 {
            self.tail.shrink_to(self.tail.len() * 2);
        }
        if self.runs.capacity() > 16 && self.runs.len() < self.runs.capacity() / 4 {
            self.runs.shrink_to(self.runs.len() * 2);
            self.run_segments.shrink_to(self.runs.len() * 2);
        }
    }
}

/// One partition.
pub struct Partition {
    topic: TopicId,
    pub(crate) log_start: i64,
    pub(crate) high_watermark: i64,
    pub(crate) live_bytes: u64,
    pub(crate) index: Option<Box<Index>>,
    number: i32,
    pub(crate) mark: Mark,
    /// The topic's message.timestamp.type is LogAppendTime: kept here for the hot path.
    pub(crate) log_append_time: bool,
}

const _: () = assert!(size_of::<Option<Partition>>() <= 64);
const _: () = assert!(size_of::<TailEntry>() == 48);

impl Partition {
    /// One that was never written.
    pub(crate) fn new(topic: TopicId, number: u32, log_append_time: bool, mark: Mark) -> Self {
        Partition {
            topic,
            log_start: 0,
            high_watermark: 0,
            live_bytes: 0,
            index: None,
            number: number as i32,
            mark,
            log_append_time,
        }
    }

    pub fn topic(&self) -> TopicId {
        self.topic
    }

    /// The partition's number in its topic, from 0.
    pub fn index(&self) -> i32 {
        self.number
    }

    pub fn log_start(&self) -> Offset {
        Offset(self.log_start)
    }

    /// One past the last offset.
    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark)
    }

    /// Bytes of record batches, a partly deleted entry or run counted whole.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Spilled runs, oldest first.
    pub fn runs(&self) -> &[IndexRun] {
        self.index.as_ref().map_or(&[], |index| &index.runs)
    }

    /// The runs, each with the bytes of its batches by segment.
    pub fn runs_with_segments(&self) -> impl Iterator<Item = (&IndexRun, &[SegmentBytes])> {
        let index = self.index.iter();
        index.flat_map(|index| {
            index
                .runs
                .iter()
                .zip(index.run_segments.iter().map(|s| &**s))
        })
    }

    /// Entries in memory.
    pub fn tail_len(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.tail.len())
    }

    /// What holds `offset`.
    pub fn find(&self, offset: Offset) -> Found {
        if offset.0 < self.log_start {
            return Found::Below;
        }
        if offset.0 >= self.high_watermark {
            return Found::End;
        }
        let Some(index) = &self.index else {
            return Found::End;
        };
        if index
            .tail
            .front()
            .is_some_and(|first| first.base <= offset.0)
        {
            let at = index.tail.partition_point(|entry| entry.end() <= offset.0);
            return match index.tail.get(at) {
                Some(entry) => Found::Entry(entry.public()),
                None => Found::End,
            };
        }
        let at = index.runs.partition_point(|run| run.end <= offset);
        index
            .runs
            .get(at)
            .map_or(Found::End, |run| Found::Run(*run))
    }

    /// Entries in memory from the one that holds `offset`, or the first after it. Starts later
    /// than `offset` when that is spilled: ask [`Self::find`] first.
    pub fn entries_from(&self, offset: Offset) -> impl Iterator<Item = IndexEntry> + '_ {
        self.index.iter().flat_map(move |index| {
            let at = index.tail.partition_point(|entry| entry.end() <= offset.0);
            index.tail.range(at..).map(TailEntry::public)
        })
    }

    /// The oldest run or entry whose largest timestamp is at least `time_ms`; `End` when none is.
    /// A part of it may lie below the log start.
    pub fn entry_at_or_after_time(&self, time_ms: i64) -> Found {
        let Some(index) = &self.index else {
            return Found::End;
        };
        let late_run = |run: &&IndexRun| run.max_timestamp_ms >= time_ms;
        if let Some(run) = index.runs.iter().find(late_run) {
            return Found::Run(*run);
        }
        let late_entry = |entry: &&TailEntry| entry.max_timestamp_ms >= time_ms;
        let entry = index.tail.iter().find(late_entry);
        entry.map_or(Found::End, |entry| Found::Entry(entry.public()))
    }

    /// The oldest run or entry that holds the largest timestamp; `End` when the partition is empty.
    pub fn entry_with_max_timestamp(&self) -> Found {
        let Some(index) = &self.index else {
            return Found::End;
        };
        let runs = index.runs.iter().map(|run| run.max_timestamp_ms);
        let entries = index.tail.iter().map(|entry| entry.max_timestamp_ms);
        match runs.chain(entries).max() {
            Some(time_ms) => self.entry_at_or_after_time(time_ms),
            None => Found::End,
        }
    }

    /// Writes the row, if the snapshot under way still lacks it. Nothing is written of a partition
    /// that has never changed: its topic's row implies it.
    #[inline]
    pub(crate) fn save(&mut self, id: PartitionId, saver: &mut Saver) {
        if saver.wants(self.mark) {
            self.mark = saver.mark();
            if self.high_watermark > 0 {
                self.write_row(id, saver.row(RowKind::Partition));
            }
        }
    }

    pub(crate) fn index_mut(&mut self) -> &mut Index {
        self.index.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_takes_the_room_of_one() {
        let mut index = Index::default();
        index.push(TailEntry::default());
        assert_eq!(index.tail.capacity(), 1);
        index.push(TailEntry::default());
        assert_eq!(index.tail.len(), 2);
    }
}
