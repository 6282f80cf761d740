//! A command log in memory: for tests of everything above the port.

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::future::{FutureExt, Shared};
use levada_env::port::{PortFuture, PortResult, Ticket, Urgency};
use levada_model::LogPosition;
use parking_lot::Mutex;

use super::{Appending, CommandLog, Recovered, not_appended};

/// What it holds is shared by its clones, so that a test can "restart" on the same log.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    next: u64,
    /// The newest append, which waits for all before it.
    newest: Option<Shared<PortFuture<'static, ()>>>,
    snapshot: Option<(LogPosition, Bytes)>,
    records: Vec<(LogPosition, Bytes)>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("snapshot", &self.snapshot)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

impl MemoryLog {
    pub fn new() -> Self {
        MemoryLog::default()
    }
}

impl CommandLog for MemoryLog {
    fn append(
        &self,
        record: Bytes,
        tickets: Vec<Ticket>,
        _urgency: Urgency,
    ) -> PortResult<Appending> {
        let mut kept = self.kept.lock();
        kept.next += 1;
        let position = LogPosition(kept.next);
        let before = kept.newest.take();
        let shared = Arc::clone(&self.kept);
        let append: PortFuture<'static, ()> = Box::pin(async move {
            if let Some(before) = before {
                // What became of it is its own proposer's to know.
                let _ = before.await;
            }
            for ticket in tickets {
                ticket.await.map_err(not_appended)?;
            }
            shared.lock().records.push((position, record));
            Ok(())
        });
        let append = append.shared();
        kept.newest = Some(append.clone());
        let durable = Ticket::new(append);
        Ok(Appending { position, durable })
    }

    fn recover(&self) -> PortFuture<'_, Recovered> {
        let mut kept = self.kept.lock();
        // What an earlier process had under way ended with it.
        kept.newest = None;
        let recovered = Recovered {
            snapshot: kept.snapshot.clone(),
            records: kept.records.clone(),
        };
        Box::pin(async move { Ok(recovered) })
    }

    fn save_snapshot(&self, position: LogPosition, pieces: Vec<Bytes>) -> PortFuture<'_, ()> {
        let mut bytes = BytesMut::new();
        for piece in pieces {
            bytes.extend_from_slice(&piece);
        }
        let mut kept = self.kept.lock();
        kept.records.retain(|(other, _)| *other > position);
        kept.snapshot = Some((position, bytes.freeze()));
        Box::pin(async { Ok(()) })
    }

    fn replay_bytes(&self) -> u64 {
        let kept = self.kept.lock();
        kept.records
            .iter()
            .map(|(_, record)| record.len() as u64)
            .sum()
    }
}
