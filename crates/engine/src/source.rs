//! Where stored bytes come from: the tail cache, else the journal.

use bytes::Bytes;
use levada_catalog::IndexEntry;
use levada_model::{Extent, batch};

use crate::{ReadError, engine::Inner, metrics::add};

impl Inner {
    /// The bytes of an entry, as pieces none of which cuts a batch. What comes from storage has
    /// its CRCs checked first.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`], [`ReadError::Storage`].
    pub async fn entry_bytes(&self, entry: &IndexEntry) -> Result<Fetched, ReadError> {
        if let Some(pieces) = self.tail.get(entry.extent) {
            return Ok(Fetched { pieces, tail: true });
        }
        add(&self.metrics.journal_reads, 1);
        let bytes = self.journal.read(entry.extent).await?;
        verify(&bytes, entry.extent)?;
        Ok(Fetched {
            pieces: vec![bytes],
            tail: false,
        })
    }
}

/// Entries that lie no further apart are read together: small appends are a block or two apart,
/// and one larger read costs less than many small ones.
const GAP_BYTES_MAX: u64 = 16 * 1024;
/// The most that is read together.
const SPAN_BYTES_MAX: u64 = 1024 * 1024;

/// Stored bytes read in one go, of which the next entries are parts.
pub(crate) struct Span {
    extent: Extent,
    bytes: Bytes,
}

impl Span {
    fn part(&self, extent: Extent) -> Option<Bytes> {
        if extent.segment != self.extent.segment {
            return None;
        }
        let from = usize::try_from(extent.position.checked_sub(self.extent.position)?).ok()?;
        let to = from.checked_add(extent.length as usize)?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

/// The extent that covers the first entry and those that lie close behind it.
fn span_of(first: Extent, rest: &[IndexEntry]) -> Extent {
    let mut end = first.position + u64::from(first.length);
    for next in rest.iter().map(|entry| entry.extent) {
        let next_end = next.position + u64::from(next.length);
        let follows = next.segment == first.segment
            && next.position >= end
            && next.position - end <= GAP_BYTES_MAX
            && next_end - first.position <= SPAN_BYTES_MAX;
        if !follows {
            break;
        }
        end = next_end;
    }
    Extent {
        length: u32::try_from(end - first.position).unwrap_or(first.length),
        ..first
    }
}

impl Inner {
    /// [`Inner::entry_bytes`] of the first of `entries`; reads those close behind it along, for the
    /// next calls.
    ///
    /// # Errors
    /// As [`Inner::entry_bytes`].
    pub async fn entry_bytes_ahead(
        &self,
        entry: &IndexEntry,
        rest: &[IndexEntry],
        ahead: &mut Option<Span>,
    ) -> Result<Fetched, ReadError> {
        if self.tail.get(entry.extent).is_none() {
            if ahead
                .as_ref()
                .and_then(|span| span.part(entry.extent))
                .is_none()
            {
                *ahead = self.read_span(span_of(entry.extent, rest)).await;
            }
            if let Some(bytes) = ahead.as_ref().and_then(|span| span.part(entry.extent)) {
                verify(&bytes, entry.extent)?;
                return Ok(Fetched {
                    pieces: vec![bytes],
                    tail: false,
                });
            }
        }
        self.entry_bytes(entry).await
    }

    /// `None` when it cannot be read as a whole: damage elsewhere in it is not this entry's.
    async fn read_span(&self, extent: Extent) -> Option<Span> {
        add(&self.metrics.journal_reads, 1);
        let bytes = self.journal.read(extent).await.ok()?;
        Some(Span { extent, bytes })
    }
}

/// An entry's bytes, and whether they came from the tail cache.
pub(crate) struct Fetched {
    pub pieces: Vec<Bytes>,
    pub tail: bool,
}

/// Checks the batches of an entry.
///
/// # Errors
/// [`ReadError::Corrupt`].
pub(crate) fn verify(bytes: &[u8], extent: Extent) -> Result<(), ReadError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let header = batch::check(rest).map_err(|why| {
            let at = extent.position + (bytes.len() - rest.len()) as u64;
            ReadError::Corrupt(format!("segment {} at {at}: {why}", extent.segment))
        })?;
        rest = &rest[header.total_bytes()..];
    }
    Ok(())
}
