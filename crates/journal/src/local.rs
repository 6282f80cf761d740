//! Segments in the embedded log: staging only appends, the commit's sync makes them durable.

use bytes::Bytes;
use levada_env::{
    Env,
    port::{PortError, PortFuture, PortResult, Ticket, Urgency},
};
use levada_model::{Extent, SegmentId};
use levada_wal::{FrameKind, Priority, Wal};

use crate::{Journal, Staged, StoredSegment};

/// A journal on the same log as the commands. A segment of the port is a file of the log.
#[derive(Clone, Debug)]
pub struct LocalJournal {
    env: Env,
    wal: Wal,
}

impl LocalJournal {
    pub fn new(env: Env, wal: Wal) -> Self {
        LocalJournal { env, wal }
    }
}

impl Journal for LocalJournal {
    fn stage(&self, pieces: Vec<Bytes>, urgency: Urgency) -> PortResult<Staged> {
        let length = pieces.iter().map(Bytes::len).sum::<usize>();
        let length = u32::try_from(length)
            .map_err(|_| PortError::Rejected("a segment has at most 4 GiB".into()))?;
        let priority = match urgency {
            Urgency::Normal => Priority::Normal,
            Urgency::Reserve => Priority::Reserve,
            Urgency::Reclaim => Priority::Reclaim,
        };
        let appended = self
            .wal
            .append_after(FrameKind::Data, pieces, priority, &[])
            .map_err(PortError::from)?;
        let wal = self.wal.clone();
        // Asked for only when polled: the command that names the segment syncs both at once.
        let durable = async move { wal.sync_to(appended).await.map_err(PortError::from) };
        Ok(Staged {
            extent: Extent {
                segment: appended.file,
                position: appended.offset_in_file,
                length,
            },
            ticket: Ticket::with_place(durable, appended),
        })
    }

    fn read(&self, extent: Extent) -> PortFuture<'_, Bytes> {
        let wal = self.wal.clone();
        Box::pin(async move {
            let Extent {
                segment,
                position,
                length,
            } = extent;
            let buffer = wal.buffer_for(segment, position, length)?;
            // Two changes of thread cost more than reading what is in memory.
            let buffer = match wal.read_cached(segment, position, buffer) {
                Ok(bytes) => return Ok(bytes),
                Err(buffer) => buffer,
            };
            let read = move || wal.read_into(segment, position, buffer);
            self.env.blocking(read).await.map_err(PortError::from)
        })
    }

    fn delete(&self, segment: SegmentId) -> PortFuture<'_, ()> {
        self.wal.release(segment);
        Box::pin(async { Ok(()) })
    }

    fn reclaim_bytes_max(&self) -> u64 {
        self.wal.reclaim_bytes_max()
    }

    fn list(&self) -> PortFuture<'_, Vec<StoredSegment>> {
        let files = self.wal.files().into_iter().filter(|file| !file.released);
        let stored = files.map(|file| StoredSegment {
            segment: file.segment,
            stored_bytes: file.bytes,
        });
        let stored = stored.collect();
        Box::pin(async move { Ok(stored) })
    }
}
