//! Cuts stored bytes into what a reader gets: whole batches from an offset on, headers overlaid.

use bytes::{Bytes, BytesMut};
use levada_catalog::IndexEntry;
use levada_model::{BatchHeader, Epoch, Offset, batch};
use levada_records::Batch;

use crate::ReadError;

/// What decompressed records of one batch may take when a time look-up has to read them.
const DECOMPRESSED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// One batch as it is stored, with the place that the index gives it.
pub(crate) struct StoredBatch {
    pub header: BatchHeader,
    pub base: Offset,
    pub bytes: Bytes,
    pub append_time_ms: Option<i64>,
}

impl StoredBatch {
    /// One past its last offset.
    pub fn end(&self) -> Offset {
        self.base.plus(self.header.offset_count().into())
    }

    /// The first record for which `wanted(offset, time)` holds, with its time; decompresses.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] when the records do not read.
    pub fn find_time(
        &self,
        wanted: impl Fn(Offset, i64) -> bool,
    ) -> Result<Option<(Offset, i64)>, ReadError> {
        let mut found = None;
        visit_times(&self.bytes, &self.header, |delta, time| {
            let at = Offset(self.base.0.saturating_add(delta));
            let time = self.append_time_ms.unwrap_or(time);
            found = wanted(at, time).then_some((at, time));
            found.is_none()
        })
        .map_err(ReadError::Corrupt)?;
        Ok(found)
    }
}

/// Opens a batch and gives each record's offset delta and time to `visit`, until it says no more:
/// there may be millions of records, so that no list is made of them.
///
/// # Errors
/// What is wrong with the records.
pub(crate) fn visit_times(
    bytes: &Bytes,
    header: &BatchHeader,
    mut visit: impl FnMut(i64, i64) -> bool,
) -> Result<(), String> {
    let decoded = Batch::decode(bytes, DECOMPRESSED_BYTES_MAX).map_err(|e| e.to_string())?;
    for record in decoded.records() {
        let record = record.map_err(|e| e.to_string())?;
        let delta = i64::from(record.offset_delta);
        if delta > i64::from(header.last_offset_delta) || delta < 0 {
            return Err("a record lies outside its batch".to_owned());
        }
        let time = header
            .base_timestamp
            .saturating_add(record.timestamp_delta_ms);
        if !visit(delta, time) {
            break;
        }
    }
    Ok(())
}

/// Walks the batches of an index entry. `pieces` cover its extent; no batch spans two of them.
pub(crate) struct BatchWalk<'a> {
    entry: &'a IndexEntry,
    pieces: std::vec::IntoIter<Bytes>,
    rest: Bytes,
    next: Offset,
}

impl<'a> BatchWalk<'a> {
    pub fn new(entry: &'a IndexEntry, pieces: Vec<Bytes>) -> Self {
        BatchWalk {
            entry,
            pieces: pieces.into_iter(),
            rest: Bytes::new(),
            next: entry.base,
        }
    }

    fn cut(&mut self) -> Result<StoredBatch, ReadError> {
        let corrupt = |why: &dyn std::fmt::Display| {
            ReadError::Corrupt(format!(
                "offset {} in segment {} at {}: {why}",
                self.next, self.entry.extent.segment, self.entry.extent.position
            ))
        };
        let header = BatchHeader::parse(&self.rest).map_err(|e| corrupt(&e))?;
        if header.total_bytes() > self.rest.len() {
            return Err(corrupt(&"the batch is longer than its extent"));
        }
        let bytes = self.rest.split_to(header.total_bytes());
        let base = self.next;
        self.next = base.plus(header.offset_count().into());
        Ok(StoredBatch {
            header,
            base,
            bytes,
            append_time_ms: self.entry.append_time_ms,
        })
    }
}

impl Iterator for BatchWalk<'_> {
    type Item = Result<StoredBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rest.is_empty() {
            self.rest = self.pieces.next()?;
        }
        let cut = self.cut();
        if cut.is_err() {
            // Where one batch cannot be read, the next cannot be found.
            self.rest = Bytes::new();
            self.pieces = Vec::new().into_iter();
        }
        Some(cut)
    }
}

/// Gathers pieces for one reply; the overlaid headers share one growing buffer.
#[derive(Default)]
pub(crate) struct Overlay {
    headers: BytesMut,
}

impl Overlay {
    /// Header and records of a batch as a reader must see them.
    pub fn pieces(&mut self, stored: &StoredBatch) -> Result<[Bytes; 2], ReadError> {
        let header = batch::overlay(
            &stored.bytes,
            stored.base.0,
            Epoch::ONLY.0,
            stored.append_time_ms,
        )
        .map_err(|e| ReadError::Corrupt(e.to_string()))?;
        self.headers.extend_from_slice(&header);
        Ok([
            self.headers.split().freeze(),
            stored.bytes.slice(batch::HEADER_BYTES..),
        ])
    }
}
