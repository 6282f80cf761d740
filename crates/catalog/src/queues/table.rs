//! The queue sides of all partitions that have one worth a row, and the key of receipts.

use std::collections::BTreeMap;
use std::ops::Bound;

use levada_model::PartitionId;
use levada_model::codec::{DecodeError, Decoder, Encoder};

use super::moves::MoveTable;
use super::progress::Progress;
use crate::saver::{RowKind, Saver};

/// Signs receipts, so that a broker need not remember them.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceiptKey(pub [u8; 32]);

impl std::fmt::Debug for ReceiptKey {
    /// Without the key: it must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReceiptKey")
    }
}

impl ReceiptKey {
    pub(super) fn read(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (first, second) = (input.bytes16()?, input.bytes16()?);
        let mut key = [0; 32];
        key[..16].copy_from_slice(&first);
        key[16..].copy_from_slice(&second);
        Ok(Self(key))
    }
}

/// Queue sides by partition. One that nothing was received from or delayed in has no row.
#[derive(Default)]
pub struct QueueTable {
    rows: BTreeMap<PartitionId, Progress>,
    receipt_key: Option<ReceiptKey>,
    key_is_saved: bool,
    pub(crate) moves: MoveTable,
}

/// What stands before a row: the key has no partition.
const KEY_ROW: u8 = 0;
/// As it was before delays were runs: read, and not written any more.
const OLD_PROGRESS_ROW: u8 = 1;
const PROGRESS_ROW: u8 = 2;
pub(super) const MOVES_ROW: u8 = 16;

impl QueueTable {
    pub fn get(&self, partition: PartitionId) -> Option<&Progress> {
        self.rows.get(&partition)
    }

    /// No partition has a row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn receipt_key(&self) -> Option<&ReceiptKey> {
        self.receipt_key.as_ref()
    }

    /// Tasks that move messages elsewhere.
    pub fn moves(&self) -> &MoveTable {
        &self.moves
    }

    pub(super) fn set_receipt_key(&mut self, key: &ReceiptKey) {
        if self.receipt_key.is_none() {
            // A snapshot under way tells of before.
            self.key_is_saved = true;
            self.receipt_key = Some(key.clone());
        }
    }

    /// The row, to be changed: made if there is none, written first if a snapshot lacks it.
    pub(super) fn change(&mut self, partition: PartitionId, saver: &mut Saver) -> &mut Progress {
        let row = (self.rows.entry(partition)).or_insert_with(|| Progress::new(saver.mark()));
        save(partition, row, saver);
        row
    }

    pub(super) fn remove(&mut self, partition: PartitionId, saver: &mut Saver) {
        if let Some(mut row) = self.rows.remove(&partition) {
            save(partition, &mut row, saver);
        }
    }

    /// Drops a row that says nothing (any more).
    pub(super) fn tidy(&mut self, partition: PartitionId) {
        if self.rows.get(&partition).is_some_and(Progress::is_idle) {
            self.rows.remove(&partition);
        }
    }

    /// A new snapshot begins.
    pub(crate) fn snapshot_begin(&mut self) {
        self.key_is_saved = false;
    }

    /// Saves rows behind `passed`; gives how many it visited, 0 at the end.
    pub(crate) fn save_slice(
        &mut self,
        passed: &mut Option<PartitionId>,
        saver: &mut Saver,
        rows_max: usize,
    ) -> usize {
        let mut visited = 0;
        if !std::mem::replace(&mut self.key_is_saved, true)
            && let Some(key) = &self.receipt_key
        {
            let out = saver.row(RowKind::Queue);
            out.u8(KEY_ROW);
            out.raw(&key.0);
            visited += 1;
        }
        let from = passed.map_or(Bound::Unbounded, Bound::Excluded);
        for (partition, row) in self.rows.range_mut((from, Bound::Unbounded)) {
            if visited >= rows_max {
                break;
            }
            save(*partition, row, saver);
            *passed = Some(*partition);
            visited += 1;
        }
        visited
    }

    pub(crate) fn restore_row(&mut self, input: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let is_new = match input.u8()? {
            KEY_ROW => (self.receipt_key.replace(ReceiptKey::read(input)?)).is_none(),
            kind @ (OLD_PROGRESS_ROW | PROGRESS_ROW) => {
                let partition = PartitionId(input.varint()?);
                let row = Progress::read(input, kind == PROGRESS_ROW)?;
                self.rows.insert(partition, row).is_none()
            }
            MOVES_ROW => self.moves.restore_row(input)?,
            _ => return Err(DecodeError("unknown row of a queue")),
        };
        match is_new {
            true => Ok(()),
            false => Err(DecodeError("a queue's row occurs twice")),
        }
    }

    /// Partitions with a row: a restored one must be there.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = PartitionId> + '_ {
        self.rows.keys().copied()
    }

    pub(crate) fn digest(&self, out: &mut Encoder) {
        if let Some(key) = &self.receipt_key {
            out.raw(&key.0);
        }
        for (partition, row) in &self.rows {
            out.varint(partition.0);
            row.write(out);
        }
        self.moves.digest(out);
    }
}

fn save(partition: PartitionId, row: &mut Progress, saver: &mut Saver) {
    if saver.wants(row.mark) {
        row.mark = saver.mark();
        let out = saver.row(RowKind::Queue);
        out.u8(PROGRESS_ROW);
        out.varint(partition.0);
        row.write(out);
    }
}
