//! What a listener asks of the engine and what it gets.

use std::time::Duration;

use bytes::Bytes;
use levada_model::{Offset, TopicId};

/// A topic by name or by id, as the client named it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicRef {
    Name(String),
    Id(TopicId),
}

/// Record batches for one partition.
#[derive(Clone, Debug)]
pub struct AppendEntry {
    pub topic: TopicRef,
    pub partition: i32,
    /// One or more whole v2 record batches, as the client sent them.
    pub records: Bytes,
}

/// Where appended records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    /// With LogAppendTime: the records' time, milliseconds since the Unix epoch.
    pub append_time_ms: Option<i64>,
    pub log_start: Offset,
}

/// Reads of several partitions that are answered together.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// How long to wait for `min_bytes`.
    pub max_wait: Duration,
    pub min_bytes: usize,
    /// Over all partitions; the first batch found is returned even when it is larger.
    pub max_bytes: usize,
    pub partitions: Vec<ReadPartition>,
}

#[derive(Clone, Debug)]
pub struct ReadPartition {
    pub topic: TopicRef,
    pub partition: i32,
    pub offset: Offset,
    pub max_bytes: usize,
    /// The epoch that the client believes in; -1: not given.
    pub leader_epoch: i32,
}

/// Whole batches from the one that holds the offset on; empty at the high watermark.
#[derive(Clone, Debug, Default)]
pub struct ReadSlice {
    pub high_watermark: Offset,
    pub log_start: Offset,
    /// In order; headers overlaid, records as stored, nothing copied.
    pub pieces: Vec<Bytes>,
    /// Nothing of it lay in the tail cache.
    pub is_stored: bool,
}

impl ReadSlice {
    pub fn bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}
