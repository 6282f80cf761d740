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
