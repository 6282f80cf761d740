//! Floor 0: the words of the house as types, and the record batch as Kafka defines it.
//!
//! Knows ids, offsets, the record batch, where bytes lie, and the limits. Knows nothing of I/O,
//! of async code, or of any protocol beyond the batch format that is stored as it was received.

pub mod batch;
pub mod codec;
pub mod extent;
pub mod ids;
pub mod limits;

pub use batch::{BatchError, BatchHeader};
pub use extent::{Extent, LogPosition, SegmentId};
pub use ids::{Epoch, Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TopicId};
