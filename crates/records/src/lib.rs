//! The records inside Kafka's v2 record batch: reading them, building batches, the compressions.
//!
//! - [`Batches`] cuts a run of batches, as a fetch answers it, into single ones.
//! - [`Batch`] opens one: it decompresses at most as many bytes as the caller allows and gives its
//!   [`Record`]s one by one, sharing memory.
//! - [`BatchBuilder`] makes one from records.
//! - [`Compression`] holds the five codecs with the framings that Kafka's clients use.
//!
//! No byte from outside makes anything here panic, or take more memory than the caller allowed.

mod batch;
mod builder;
mod compression;
mod varint;

pub use batch::{Batch, Batches, Header, Record, RecordIter, Records};
pub use builder::{BatchBuilder, NewRecord, Producer, record_bytes, with_producer};
pub use compression::{Compression, compress, decompress};

use levada_model::BatchError;
use thiserror::Error;

/// Why the records of a batch cannot be read, or a batch cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordsError {
    /// The batch's frame is wrong.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The compressed bytes are not what the batch says they are.
    #[error("the records do not decompress as {compression}: {reason}")]
    Compressed {
        compression: Compression,
        reason: String,
    },
    /// Opened, the records would be larger than the caller allows.
    #[error("the records would take more than {bytes_max} bytes when decompressed")]
    TooLarge { bytes_max: usize },
    /// A record does not hold what its own lengths say.
    #[error("record {index} of the batch is malformed: {reason}")]
    Malformed { index: i32, reason: &'static str },
}
