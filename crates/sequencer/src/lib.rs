//! Floor 3: the one owner of the catalog's state at a time.
//!
//! Commands are logged, made durable together with the segments that they name, then applied in
//! position order; nothing that is not durable is visible. Knows no payload bytes and no journal.

pub mod command_log;
mod commit_loop;
#[cfg(feature = "testing")]
pub mod conformance;
mod handle;
mod recovery;
mod snapshots;

pub use handle::{EffectSink, Proposal, ProposeError, Sequencer};
pub use recovery::{Rebuilt, RecoverError, Recovery, rebuild};

/// Knobs of the sequencer.
#[derive(Clone, Debug)]
pub struct SequencerSettings {
    /// A snapshot is taken when a restart would have to replay more bytes of log than this.
    pub snapshot_every_bytes: u64,
    /// Rows that one slice of a snapshot encodes while appliers wait.
    pub snapshot_slice_rows: usize,
    /// Group commits under way at once; what comes meanwhile joins the next one.
    pub commits_in_flight_max: usize,
    /// Proposals that may wait; beyond it they are refused as retriable.
    pub proposals_max: usize,
}

impl Default for SequencerSettings {
    fn default() -> Self {
        SequencerSettings {
            snapshot_every_bytes: 256 * 1024 * 1024,
            snapshot_slice_rows: 256,
            commits_in_flight_max: 16,
            proposals_max: 100_000,
        }
    }
}
