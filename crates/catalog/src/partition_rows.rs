//! The stored form of a partition's row in a snapshot.

use levada_model::codec::{DecodeError, Decoder, Encoder};
use levada_model::{Extent, Offset, PartitionId, SegmentId};

use crate::command::{IndexRun, SegmentBytes};
use crate::encoding::{
    read_index_run, read_segment_bytes, small, write_index_run, write_segment_bytes,
};
use crate::partitions::{Index, NO_APPEND_TIME, Partition, TailEntry, append_time};

impl Partition {
    /// Offsets, runs, tail. Topic, number and timestamp type are implied by the topic's row, live
    /// bytes by the runs and the tail.
    pub(crate) fn write_row(&self, id: PartitionId, out: &mut Encoder) {
        out.varint(id.0);
        out.varint(self.log_start as u64);
        out.varint((self.high_watermark - self.log_start) as u64);
        let Some(index) = &self.index else {
            out.count(0);
            out.count(0);
            return;
        };
        let runs = index.runs.iter().zip(index.run_segments.iter());
        out.list(runs, |out, (run, segments)| {
            write_index_run(out, run);
            out.list(segments.iter(), write_segment_bytes);
        });
        out.count(index.tail.len());
        let mut last = TailEntry::default();
        if let Some(first) = index.tail.front() {
            out.varint(first.base as u64);
        }
        for entry in &index.tail {
            write_entry(out, entry, &last);
            last = *entry;
        }
    }
}

/// An entry against the one before it: no base, since there are no gaps.
fn write_entry(out: &mut Encoder, entry: &TailEntry, last: &TailEntry) {
    out.varint(u64::from(entry.offset_count));
    out.signed(entry.segment.wrapping_sub(last.segment) as i64);
    out.varint(entry.position);
    out.varint(u64::from(entry.length));
    out.signed(entry.max_timestamp_ms.wrapping_sub(last.max_timestamp_ms));
    out.option(append_time(entry.append_time_ms), Encoder::signed);
}

fn read_entry(input: &mut Decoder<'_>, last: &TailEntry) -> Result<TailEntry, DecodeError> {
    Ok(TailEntry {
        base: last.end(),
        offset_count: small(input)?,
        segment: last.segment.wrapping_add(input.signed()? as u64),
        position: input.varint()?,
        length: small(input)?,
        max_timestamp_ms: last.max_timestamp_ms.wrapping_add(input.signed()?),
        append_time_ms: input.option(Decoder::signed)?.unwrap_or(NO_APPEND_TIME),
    })
}

const BROKEN: DecodeError = DecodeError("a partition's row breaks the rules for offsets");

/// A row as it was read.
pub(crate) struct PartitionRow {
    pub id: PartitionId,
    log_start: i64,
    high_watermark: i64,
    /// Boxed as the partition keeps it.
    index: Box<Index>,
}

impl PartitionRow {
    pub fn read(input: &mut Decoder<'_>) -> Result<PartitionRow, DecodeError> {
        let id = PartitionId(input.varint()?);
        let log_start = offset(input)?;
        let high_watermark = log_start.checked_add(offset(input)?).ok_or(BROKEN)?;
        let mut index = Box::<Index>::default();
        for _ in 0..input.count()? {
            index.runs.push(read_index_run(input)?);
            let segments = input.list(read_segment_bytes)?;
            index.run_segments.push(segments.into_boxed_slice());
        }
        let entries = input.count()?;
        // A first entry follows one that is not there and ends where the first begins.
        let mut last = TailEntry::default();
        if entries > 0 {
            last.base = offset(input)?;
        }
        // No more than there can be: an entry takes at least six bytes.
        (index.tail).reserve_exact(entries.min(input.remaining() / 6));
        for _ in 0..entries {
            last = read_entry(input, &last)?;
            index.tail.push_back(last);
        }
        let row = PartitionRow {
            id,
            log_start,
            high_watermark,
            index,
        };
        row.check()?;
        Ok(row)
    }

    /// No gap, nothing before the log start that should have gone, nothing after the end.
    fn check(&self) -> Result<(), DecodeError> {
        let runs = self.index.runs.iter().map(|run| (run.first.0, run.end.0));
        let entries = self.index.tail.iter().map(|one| (one.base, one.end()));
        let mut at = None;
        for (first, end) in runs.chain(entries) {
            let joins = at.map_or(first <= self.log_start, |at| at == first);
            if !joins || end <= first || end <= self.log_start {
                return Err(BROKEN);
            }
            at = Some(end);
        }
        for (run, segments) in self.runs() {
            let sum = segments
                .iter()
                .try_fold(0u64, |sum, row| sum.checked_add(row.bytes));
            if sum != Some(run.data_bytes) {
                return Err(BROKEN);
            }
        }
        match at.unwrap_or(self.log_start) == self.high_watermark {
            true => Ok(()),
            false => Err(BROKEN),
        }
    }

    fn runs(&self) -> impl Iterator<Item = (&IndexRun, &[SegmentBytes])> {
        let segments = self.index.run_segments.iter().map(|rows| &**rows);
        self.index.runs.iter().zip(segments)
    }

    /// Every segment that the row names, with so many bytes; one may occur again.
    pub fn named(&self) -> impl Iterator<Item = (SegmentId, u64)> {
        let of = |extent: Extent| (extent.segment, u64::from(extent.length));
        let batches = self
            .runs()
            .flat_map(|(_, rows)| rows.iter().map(|row| (row.segment, row.bytes)));
        let runs = self.index.runs.iter().map(move |run| of(run.extent));
        let tail = self.index.tail.iter().map(move |entry| of(entry.extent()));
        batches.chain(runs).chain(tail)
    }

    pub fn restore_into(self, partition: &mut Partition) -> Result<(), DecodeError> {
        if partition.high_watermark() != Offset::ZERO {
            return Err(DecodeError("a partition occurs twice"));
        }
        let runs = self.index.runs.iter().map(|run| run.data_bytes);
        let entries = self.index.tail.iter().map(|one| u64::from(one.length));
        let add = |sum: u64, bytes| sum.checked_add(bytes);
        partition.live_bytes = runs.chain(entries).try_fold(0, add).ok_or(BROKEN)?;
        partition.log_start = self.log_start;
        partition.high_watermark = self.high_watermark;
        partition.index = (!self.index.is_empty()).then_some(self.index);
        Ok(())
    }
}

fn offset(input: &mut Decoder<'_>) -> Result<i64, DecodeError> {
    i64::try_from(input.varint()?).map_err(|_| BROKEN)
}
