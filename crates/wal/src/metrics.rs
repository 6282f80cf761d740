//! What the log counts about itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::recovery::Recovered;

/// Upper bounds of the sync time classes in microseconds; the last class has none.
pub const SYNC_CLASSES_US: [u64; 12] = [
    50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 102_400, 409_600,
];

/// Counters since the log was opened. Read them at any time; each is exact by itself.
#[derive(Debug, Default)]
pub struct WalMetrics {
    pub groups: AtomicU64,
    pub frames: AtomicU64,
    /// Payload bytes that were appended.
    pub appended_bytes: AtomicU64,
    /// Bytes written to log files, headers and padding included.
    pub written_bytes: AtomicU64,
    /// Bytes of zeros written to prepare files.
    pub zeroed_bytes: AtomicU64,
    pub syncs: AtomicU64,
    pub sync_nanos_total: AtomicU64,
    pub sync_nanos_max: AtomicU64,
    /// Syncs by duration: one class per bound of [`SYNC_CLASSES_US`] and one beyond.
    pub sync_classes: [AtomicU64; SYNC_CLASSES_US.len() + 1],
    /// Times the disk was found full.
    pub full_events: AtomicU64,
    pub files_deleted: AtomicU64,
    /// Data frames that opening found damaged.
    pub frames_damaged: AtomicU64,
    /// Commands that opening found damaged and read from their copies.
    pub commands_mended: AtomicU64,
    /// Ends of the log that opening put into quarantine.
    pub tails_quarantined: AtomicU64,
}

impl WalMetrics {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }

    pub(crate) fn record_opening(&self, recovered: &Recovered) {
        Self::add(&self.frames_damaged, recovered.damaged.len() as u64);
        Self::add(&self.commands_mended, recovered.commands_mended);
        Self::add(&self.tails_quarantined, u64::from(recovered.torn.is_some()));
    }

    pub(crate) fn record_sync(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        Self::add(&self.syncs, 1);
        Self::add(&self.sync_nanos_total, nanos);
        self.sync_nanos_max.fetch_max(nanos, Relaxed);
        let class = SYNC_CLASSES_US.partition_point(|bound| bound * 1000 < nanos);
        Self::add(&self.sync_classes[class], 1);
    }
}
