//! A command log in memory: for tests of everything above the port.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use levada_env::port::{PortFuture, PortResult, Ticket, Urgency};
use levada_model::LogPosition;
use parking_lot::Mutex;

use super::{Appending, CommandLog, Recovered};

/// What it holds is shared by its clones, so that a test can "restart" on the same log.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    next: u64,
    snapshot: Option<(LogPosition, Bytes)>,
    records: Vec<(LogPosition, Bytes)>,
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
        drop(kept);
        let shared = Arc::clone(&self.kept);
        let durable = Ticket::new(async move {
            for ticket in tickets {
                ticket.await?;
            }
            let mut kept = shared.lock();
            let at = kept.records.partition_point(|(other, _)| *other < position);
            kept.records.insert(at, (position, record));
            Ok(())
        });
        Ok(Appending { position, durable })
    }

    fn recover(&self) -> PortFuture<'_, Recovered> {
        let kept = self.kept.lock();
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
