//! The stored form of a partition's row in a snapshot.

use levada_model::PartitionId;
use levada_model::codec::Encoder;

use crate::command::{IndexRun, SegmentBytes};
use crate::partitions::{Partition, TailEntry, append_time};

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
        out.list(runs, |out, (run, segments)| write_run(out, run, segments));
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

fn write_run(out: &mut Encoder, run: &IndexRun, segments: &[SegmentBytes]) {
    write_index_run(out, run);
    out.list(segments.iter(), |out, row| {
        out.varint(row.segment.0);
        out.varint(row.bytes);
    });
}

pub(crate) fn write_index_run(out: &mut Encoder, run: &IndexRun) {
    out.signed(run.first.0);
    out.signed(run.end.0);
    out.signed(run.max_timestamp_ms);
    out.varint(run.data_bytes);
    out.varint(run.extent.segment.0);
    out.varint(run.extent.position);
    out.varint(u64::from(run.extent.length));
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
