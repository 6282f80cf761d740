//! How much of each segment is still in use.

use std::collections::BTreeMap;

use levada_model::codec::{DecodeError, Decoder, Encoder};
use levada_model::{Extent, SegmentId};

use crate::command::{IndexRun, SegmentBytes};
use crate::reply::Effect;
use crate::saver::{Mark, RowKind, Saver};

/// Use of one segment, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentUse {
    /// Record batches and index runs that the state still names.
    pub live_bytes: u64,
    /// All that was ever committed to it, the refused and the deleted too.
    pub written_bytes: u64,
}

struct Row {
    amount: SegmentUse,
    mark: Mark,
}

/// Segments that the state names, each with at least one live byte.
#[derive(Default)]
pub struct SegmentTable {
    rows: BTreeMap<SegmentId, Row>,
}

impl SegmentTable {
    pub fn iter(&self) -> impl Iterator<Item = (SegmentId, SegmentUse)> + '_ {
        self.rows.iter().map(|(id, row)| (*id, row.amount))
    }

    pub fn get(&self, id: SegmentId) -> Option<SegmentUse> {
        self.rows.get(&id).map(|row| row.amount)
    }

    /// Counts bytes that the state names from now on. `live_bytes` of 0 adds no row.
    pub(crate) fn add(
        &mut self,
        id: SegmentId,
        live_bytes: u64,
        written_bytes: u64,
        saver: &mut Saver,
    ) {
        if live_bytes == 0 && !self.rows.contains_key(&id) {
            return;
        }
        let row = self.rows.entry(id).or_insert_with(|| Row {
            amount: SegmentUse::default(),
            mark: saver.mark(),
        });
        save(id, row, saver);
        row.amount.live_bytes += live_bytes;
        row.amount.written_bytes = row.amount.written_bytes.saturating_add(written_bytes);
    }

    /// Counts a stored extent that the state names from now on.
    pub(crate) fn add_extent(&mut self, extent: Extent, saver: &mut Saver) {
        let bytes = u64::from(extent.length);
        self.add(extent.segment, bytes, bytes, saver);
    }

    pub(crate) fn release_extent(
        &mut self,
        extent: Extent,
        saver: &mut Saver,
        effects: &mut Vec<Effect>,
    ) {
        self.release(extent.segment, u64::from(extent.length), saver, effects);
    }

    /// Gives back a run: its own bytes, and those of the batches that it names.
    pub(crate) fn release_run(
        &mut self,
        run: &IndexRun,
        segments: &[SegmentBytes],
        saver: &mut Saver,
        effects: &mut Vec<Effect>,
    ) {
        self.release_extent(run.extent, saver, effects);
        for row in segments {
            self.release(row.segment, row.bytes, saver, effects);
        }
    }

    /// Counts bytes that the state no longer names; a segment without any left is dead.
    pub(crate) fn release(
        &mut self,
        id: SegmentId,
        bytes: u64,
        saver: &mut Saver,
        effects: &mut Vec<Effect>,
    ) {
        let Some(row) = self.rows.get_mut(&id) else {
            debug_assert!(bytes == 0, "released {bytes} bytes of unknown segment {id}");
            return;
        };
        debug_assert!(row.amount.live_bytes >= bytes, "segment {id} over-released");
        save(id, row, saver);
        row.amount.live_bytes = row.amount.live_bytes.saturating_sub(bytes);
        if row.amount.live_bytes == 0 {
            self.rows.remove(&id);
            effects.push(Effect::SegmentDead(id));
        }
    }

    /// Reports segments that a command named in vain: nothing of them was taken.
    pub(crate) fn report_unused(
        &self,
        named: impl Iterator<Item = SegmentId>,
        effects: &mut Vec<Effect>,
    ) {
        let mut unused: Vec<_> = named.filter(|id| !self.rows.contains_key(id)).collect();
        unused.sort_unstable();
        unused.dedup();
        effects.extend(unused.into_iter().map(Effect::SegmentDead));
    }

    /// Saves the next rows after `cursor`; returns the rows visited, 0 at the end.
    pub(crate) fn save_slice(
        &mut self,
        cursor: &mut Option<SegmentId>,
        saver: &mut Saver,
        rows_max: usize,
    ) -> usize {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = cursor.map_or(Unbounded, Excluded);
        let mut visited = 0;
        for (id, row) in self.rows.range_mut((from, Unbounded)).take(rows_max) {
            save(*id, row, saver);
            *cursor = Some(*id);
            visited += 1;
        }
        visited
    }

    pub(crate) fn restore_row(&mut self, input: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let id = SegmentId(input.varint()?);
        let amount = SegmentUse {
            live_bytes: input.varint()?,
            written_bytes: input.varint()?,
        };
        let row = Row {
            amount,
            mark: Mark::default(),
        };
        match self.rows.insert(id, row) {
            None => Ok(()),
            Some(_) => Err(DecodeError("a segment occurs twice")),
        }
    }

    pub(crate) fn digest(&self, out: &mut Encoder) {
        for (id, row) in &self.rows {
            write_row(*id, row.amount, out);
        }
    }
}

fn save(id: SegmentId, row: &mut Row, saver: &mut Saver) {
    if saver.wants(row.mark) {
        row.mark = saver.mark();
        write_row(id, row.amount, saver.row(RowKind::Segment));
    }
}

fn write_row(id: SegmentId, amount: SegmentUse, out: &mut Encoder) {
    out.varint(id.0);
    out.varint(amount.live_bytes);
    out.varint(amount.written_bytes);
}
