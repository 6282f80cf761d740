//! The port of the ordered, durable list of commands, and of the snapshots beside it.
//!
//! Implementations: `wal` (the embedded log), `memory`, `fault` (a wrapper), `postgres` (a feature of that name).

pub mod fault;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
mod snapshot_files;
pub mod wal;

use bytes::Bytes;
use levada_env::port::{PortError, PortFuture, PortResult, Ticket, Urgency};
use levada_model::LogPosition;

/// A durable log of opaque records with snapshots that replace its beginning.
pub trait CommandLog: Send + Sync + 'static {
    /// Appends one record; the future resolves when the record *and* all tickets are durable.
    /// The position is assigned in call order, at once; futures may be awaited in any order. What a
    /// crash leaves of appends that nobody was told of is their beginning, without a gap.
    ///
    /// # Errors
    /// They speak of the record, not of its segments: `Rejected`, it did not happen, retry; so it is
    /// when a ticket fails, whatever is known of that segment. `Indeterminate`: it may have, settle it by replay.
    /// `Fenced`: another sequencer owns the log, stop.
    fn append(
        &self,
        record: Bytes,
        tickets: Vec<Ticket>,
        urgency: Urgency,
    ) -> PortResult<Appending>;

    /// The newest snapshot, and the records after it in order. Called once, before any append.
    ///
    /// # Errors
    /// `Corrupt` when the log cannot be read as written: never an empty start.
    fn recover(&self) -> PortFuture<'_, Recovered>;

    /// Stores a snapshot that holds every record up to and including `position`, durably; then the
    /// records that it covers, and older snapshots, may go.
    fn save_snapshot(&self, position: LogPosition, pieces: Vec<Bytes>) -> PortFuture<'_, ()>;

    /// Whether storage is full and a newer snapshot would make room: what it covers is kept for the
    /// commands in it only.
    fn commands_hold_space(&self) -> bool {
        false
    }

    /// Bytes appended since the newest snapshot's position: what a restart would replay.
    fn replay_bytes(&self) -> u64;
}

/// What an append comes to when a ticket of it fails: the record was not appended.
fn not_appended(ticket: PortError) -> PortError {
    match ticket {
        PortError::Fenced(_) => ticket,
        other => PortError::Rejected(format!("a segment of it is not durable: {other}")),
    }
}

/// An append under way: `position` is final if `durable` resolves to `Ok`.
pub struct Appending {
    pub position: LogPosition,
    pub durable: Ticket,
}

/// What a start finds.
pub struct Recovered {
    /// Position and content of the newest snapshot.
    pub snapshot: Option<(LogPosition, Bytes)>,
    /// Records after it, oldest first.
    pub records: Vec<(LogPosition, Bytes)>,
}
