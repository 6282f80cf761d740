//! Floor 3: the port that makes segments durable and reads extents back.
//!
//! Knows extents. Knows nothing of offsets, topics or the catalog. Implementations: `local` (over
//! the WAL), `memory`, `object` (a bucket; feature `object`), `fault` (a wrapper). All run one conformance suite.

#[cfg(feature = "testing")]
pub mod conformance;
pub mod fault;
pub mod local;
pub mod memory;
#[cfg(feature = "object")]
pub mod object;

use bytes::Bytes;
use levada_env::port::{PortFuture, PortResult, Ticket, Urgency};
use levada_model::{Extent, SegmentId};

/// A staged segment: where it will lie, and the ticket that resolves once it is durable there.
pub struct Staged {
    pub extent: Extent,
    pub ticket: Ticket,
}

/// One stored segment as [`Journal::list`] tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredSegment {
    pub segment: SegmentId,
    /// Bytes that it takes on storage.
    pub stored_bytes: u64,
}

/// Makes immutable segments durable.
pub trait Journal: Send + Sync + 'static {
    /// Takes a segment (`pieces` in order, not copied by the caller) and starts to store it. Cheap:
    /// it queues. Segments become durable in any order; the caller commits in the order it likes.
    /// A ticket that is dropped leaves it open whether its segment is stored.
    ///
    /// # Errors
    /// `Rejected` when storage is full or stopping: nothing happened.
    fn stage(&self, pieces: Vec<Bytes>, urgency: Urgency) -> PortResult<Staged>;

    /// The bytes of an extent, or of a part of one, as they are stored. Storage may have damaged
    /// them since: what is staged carries its own checksums, and whoever reads looks at them.
    ///
    /// # Errors
    /// `Corrupt` when the stored bytes are known to be damaged or do not exist. `Rejected` when
    /// storage does not answer: retry.
    fn read(&self, extent: Extent) -> PortFuture<'_, Bytes>;

    /// Lets a segment go that nothing names any longer. Idempotent.
    fn delete(&self, segment: SegmentId) -> PortFuture<'_, ()>;

    /// How many bytes may be staged with [`Urgency::Reclaim`] in order to make room, by rewriting
    /// what is left of sparse segments. `u64::MAX` while storage has room.
    fn reclaim_bytes_max(&self) -> u64 {
        u64::MAX
    }

    /// Every stored segment that this journal may delete, in order: its own and those of journals
    /// that were opened before it on the same storage, never those of a later one.
    fn list(&self) -> PortFuture<'_, Vec<StoredSegment>>;
}
