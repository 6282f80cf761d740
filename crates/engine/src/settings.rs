//! The engine's knobs.

use std::time::Duration;

use crate::groups::GroupSettings;

/// Sizes in bytes unless the name says otherwise.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Stable for the life of the data folder.
    pub cluster_id: String,
    /// Recently appended bytes that stay in memory for readers at the tail.
    pub tail_cache_bytes: usize,
    /// What is kept of reads from storage for the next receives, of all queues together.
    pub queue_ahead_bytes: usize,
    /// Received but not yet acknowledged bytes; when all are taken producers are held back.
    pub in_flight_bytes: usize,
    /// Partitions of a topic that is created without a number.
    pub num_partitions: u32,
    /// How often retention, index spilling and the release of dead segments run.
    pub maintenance_interval: Duration,
    /// Dead bytes beyond half the live ones that may lie on disk before segments are rewritten.
    pub disk_slack_bytes: u64,
    /// Index entries that a partition keeps in memory; older ones are spilled to the journal.
    pub index_tail_entries_max: usize,
    /// What the index entries of all partitions may take in memory; when it is more, each partition
    /// keeps fewer.
    pub index_bytes_max: usize,
    /// Segments staged and not yet committed at once.
    pub segments_in_flight_max: usize,
    /// Consumer groups.
    pub groups: GroupSettings,
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings {
            cluster_id: "levada".into(),
            tail_cache_bytes: 128 * 1024 * 1024,
            queue_ahead_bytes: 16 * 1024 * 1024,
            in_flight_bytes: 64 * 1024 * 1024,
            num_partitions: 1,
            maintenance_interval: Duration::from_secs(10),
            disk_slack_bytes: 256 * 1024 * 1024,
            index_tail_entries_max: 8192,
            index_bytes_max: 96 * 1024 * 1024,
            segments_in_flight_max: 2,
            groups: GroupSettings::default(),
        }
    }
}
