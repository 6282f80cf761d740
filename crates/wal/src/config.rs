//! Settings of the log and its fixed limits.

use std::time::Duration;

use levada_model::LogPosition;

use crate::format::BLOCK_BYTES;

/// When an append counts as safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage.
    #[default]
    Disk,
    /// Handed to the operating system: a power loss takes what was acknowledged.
    Os,
}

/// Settings of the log.
#[derive(Clone, Debug)]
pub struct WalConfig {
    /// When an append counts as safe.
    pub durability: Durability,
    /// Where replay will begin (a snapshot's position, zero without one): everything after it is
    /// checked on opening.
    pub replay_after: LogPosition,
    /// A group that would make a file longer starts the next one.
    pub file_bytes_max: u64,
    /// A group is closed when it holds that much; one larger frame goes alone.
    pub group_bytes_max: u64,
    /// Pre-zeroed files kept ready, in all.
    pub pool_bytes_max: u64,
    /// Space set aside for appends of `Priority::Reserve` when the disk is full; zero for none.
    pub reserve_bytes: u64,
    /// How long after the last append an idle log writes its closing marker. Longer than the gaps
    /// of a steady producer, so that only a real pause pays for it, and short, because until then
    /// damage to the last group cannot be told from a torn write.
    pub close_after: Duration,
    /// How often a full disk is looked at for space.
    pub full_retry: Duration,
}

impl Default for WalConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Disk,
            replay_after: LogPosition(0),
            file_bytes_max: 128 << 20,
            group_bytes_max: 8 << 20,
            pool_bytes_max: 64 << 20,
            reserve_bytes: 32 << 20,
            close_after: Duration::from_millis(5),
            full_retry: Duration::from_millis(250),
        }
    }
}

impl WalConfig {
    /// Whether a disk that was full has room again.
    pub(crate) fn has_room(&self, available_bytes: u64) -> bool {
        available_bytes >= (self.group_bytes_max * 2).max(BLOCK_BYTES)
    }
}

/// Quarantined tails kept; older ones are removed.
pub const QUARANTINE_FILES_MAX: usize = 8;
/// A file that is not pre-zeroed grows at least this far before a pooled one takes over.
pub const UNPOOLED_BYTES_MIN: u64 = 1 << 20;
/// Log files held open for reading at once.
pub const OPEN_FILES_MAX: usize = 256;
