//! Segments in memory: for tests of everything above the port. Nothing survives the process.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use levada_env::port::{PortError, PortFuture, PortResult, Ticket, Urgency};
use levada_model::{Extent, SegmentId};
use parking_lot::Mutex;

use crate::{Journal, Staged, StoredSegment};

/// Each staged segment is one stored segment.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    stored: Mutex<Stored>,
}

#[derive(Debug, Default)]
struct Stored {
    next: u64,
    segments: BTreeMap<SegmentId, Bytes>,
}

impl MemoryJournal {
    pub fn new() -> Self {
        MemoryJournal::default()
    }
}

impl Journal for MemoryJournal {
    fn stage(&self, pieces: Vec<Bytes>, _urgency: Urgency) -> PortResult<Staged> {
        let mut bytes = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
        for piece in &pieces {
            bytes.extend_from_slice(piece);
        }
        let length = u32::try_from(bytes.len())
            .map_err(|_| PortError::Rejected("a segment has at most 4 GiB".into()))?;
        let mut stored = self.stored.lock();
        let segment = SegmentId(stored.next);
        stored.next += 1;
        stored.segments.insert(segment, bytes.freeze());
        Ok(Staged {
            extent: Extent {
                segment,
                position: 0,
                length,
            },
            ticket: Ticket::new(async { Ok(()) }),
        })
    }

    fn read(&self, extent: Extent) -> PortFuture<'_, Bytes> {
        let found = self.stored.lock().segments.get(&extent.segment).cloned();
        Box::pin(async move {
            let range = usize::try_from(extent.position).ok().and_then(|from| {
                let to = from.checked_add(extent.length as usize)?;
                Some(from..to)
            });
            match (found, range) {
                (Some(bytes), Some(range)) if range.end <= bytes.len() => Ok(bytes.slice(range)),
                _ => Err(PortError::Corrupt(format!(
                    "segment {} has nothing at {}",
                    extent.segment, extent.position
                ))),
            }
        })
    }

    fn delete(&self, segment: SegmentId) -> PortFuture<'_, ()> {
        self.stored.lock().segments.remove(&segment);
        Box::pin(async { Ok(()) })
    }

    fn list(&self) -> PortFuture<'_, Vec<StoredSegment>> {
        let stored = self.stored.lock();
        let list = stored
            .segments
            .iter()
            .map(|(segment, bytes)| StoredSegment {
                segment: *segment,
                stored_bytes: bytes.len() as u64,
            });
        let list = list.collect();
        Box::pin(async move { Ok(list) })
    }
}
