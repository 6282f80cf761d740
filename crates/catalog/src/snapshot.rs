//! Snapshots: the whole state at one position, written in slices while commands go on.
//!
//! A snapshot is a sequence of chunks:
//!
//! | field | form |
//! |---|---|
//! | length | u32: bytes of the payload |
//! | checksum | u64: CRC-64/NVME of the payload |
//! | payload | kind u8 (1 head, 2 rows, 3 end), then what the kind says |
//!
//! The head comes first and once: magic, version, settings, the next ids. Rows stand in any order,
//! each with its table's ordinal before it. The end comes last and once: rows of each table.

use std::sync::Arc;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use levada_model::codec::Encoder;
use levada_model::{PartitionId, SegmentId, TopicId};

use crate::encoding::write_settings;
use crate::group_rules::GroupWalk;
use crate::partition_table::PageWalk;
use crate::state::State;

pub(crate) const MAGIC: [u8; 4] = *b"LVCS";
/// The version that is written. Version 1 had no queues: it is read as it was.
pub const SNAPSHOT_VERSION: u8 = 2;
pub(crate) const HEAD: u8 = 1;
pub(crate) const ROWS: u8 = 2;
pub(crate) const END: u8 = 3;
/// Bytes after which a slice ends early: rows with long tails take longer to write.
const SLICE_BYTES: usize = 32 * 1024;

/// How far a snapshot has come.
pub(crate) struct Walk {
    stage: Stage,
    /// Written at the begin, since it tells how things stood then.
    head: Option<Bytes>,
}

enum Stage {
    Topics { passed: Option<Arc<str>> },
    Partitions(PageWalk),
    Producers { next: u32 },
    Segments { passed: Option<SegmentId> },
    Groups,
    Queues { passed: Option<PartitionId> },
    Moves { passed: Option<TopicId> },
    End,
}

impl State {
    /// Begins a snapshot of the state as it is now. One that is under way is given up.
    pub fn snapshot_begin(&mut self) {
        self.saver.begin();
        self.queues.snapshot_begin();
        self.group_walk = GroupWalk::default();
        self.walk = Some(Walk {
            stage: Stage::Topics { passed: None },
            head: Some(chunk(&self.head())),
        });
    }

    /// The next piece of the snapshot, of about `rows_max` rows and those that were saved since
    /// the last call because they changed; it may be empty. `None` when there is no snapshot under
    /// way (any more). The pieces in their order, one after the other, are what
    /// [`State::restore`] reads.
    pub fn snapshot_slice(&mut self, rows_max: usize) -> Option<Bytes> {
        let mut walk = self.walk.take()?;
        if let Some(head) = walk.head.take() {
            self.walk = Some(walk);
            return Some(head);
        }
        let mut left = rows_max.max(1);
        while left > 0 && self.saver.pending_bytes() < SLICE_BYTES {
            match self.walk_on(&mut walk.stage, left) {
                Some(visited) => left = left.saturating_sub(visited),
                None => return Some(self.finish()),
            }
        }
        self.walk = Some(walk);
        Some(rows_chunk(self.saver.take()))
    }

    /// Gives up the snapshot under way, if there is one.
    pub fn snapshot_abort(&mut self) {
        self.walk = None;
        self.group_walk = GroupWalk::default();
        self.saver.end();
    }

    /// A checksum over the whole state: equal states have equal digests. Takes as long as writing
    /// a snapshot; for tests and checks.
    pub fn digest(&self) -> u64 {
        let mut out = Encoder::new();
        out.raw(&self.head());
        for topic in self.topics.iter() {
            topic.write_row(&mut out);
        }
        self.partitions.digest(&mut out);
        self.producers.slots.digest(&mut out);
        self.segments.digest(&mut out);
        for group in self.groups.iter() {
            group.encode_row(&mut out);
        }
        self.queues.digest(&mut out);
        checksum(&out.bytes)
    }

    /// Visits up to `rows_max` rows of one stage; `None` once all stages are through.
    fn walk_on(&mut self, stage: &mut Stage, rows_max: usize) -> Option<usize> {
        let saver = &mut self.saver;
        let visited = match stage {
            Stage::Topics { passed } => self.topics.save_slice(passed, saver, rows_max),
            Stage::Partitions(walk) => {
                (self.partitions).save_slice(walk, saver, rows_max, SLICE_BYTES)
            }
            Stage::Producers { next } => self.producers.slots.save_slice(next, saver, rows_max),
            Stage::Segments { passed } => self.segments.save_slice(passed, saver, rows_max),
            Stage::Groups => (self.group_walk).save_slice(&self.groups, saver, rows_max),
            Stage::Queues { passed } => self.queues.save_slice(passed, saver, rows_max),
            Stage::Moves { passed } => self.queues.moves.save_slice(passed, saver, rows_max),
            Stage::End => return None,
        };
        if visited == 0 {
            *stage = match stage {
                Stage::Topics { .. } => Stage::Partitions(self.partitions.walk()),
                Stage::Partitions(_) => Stage::Producers { next: 0 },
                Stage::Producers { .. } => Stage::Segments { passed: None },
                Stage::Segments { .. } => Stage::Groups,
                Stage::Groups => Stage::Queues { passed: None },
                Stage::Queues { .. } => Stage::Moves { passed: None },
                Stage::Moves { .. } | Stage::End => Stage::End,
            };
        }
        Some(visited)
    }

    /// The last piece: what is pending and the counts.
    fn finish(&mut self) -> Bytes {
        let mut end = Encoder::new();
        end.u8(END);
        for count in self.saver.counts() {
            end.varint(count);
        }
        let mut last = rows_chunk(self.saver.take()).to_vec();
        last.extend_from_slice(&chunk(&end.bytes));
        self.snapshot_abort();
        Bytes::from(last)
    }

    fn head(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.u8(HEAD);
        out.raw(&MAGIC);
        out.u8(SNAPSHOT_VERSION);
        write_settings(&mut out, self.settings);
        out.varint(self.partitions.next());
        out.signed(self.next_producer);
        out.varint(self.producers.uses);
        out.bytes
    }
}

/// Rows saved, as a chunk; nothing for none.
fn rows_chunk(rows: Vec<u8>) -> Bytes {
    if rows.is_empty() {
        return Bytes::new();
    }
    let mut payload = Vec::with_capacity(1 + rows.len());
    payload.push(ROWS);
    payload.extend_from_slice(&rows);
    chunk(&payload)
}

fn chunk(payload: &[u8]) -> Bytes {
    let mut out = Encoder {
        bytes: Vec::with_capacity(12 + payload.len()),
    };
    out.u32(payload.len() as u32);
    out.u64(checksum(payload));
    out.raw(payload);
    Bytes::from(out.bytes)
}

pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}
