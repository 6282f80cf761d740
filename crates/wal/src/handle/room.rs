//! What can be asked and done when the disk is full.

use super::Wal;
use crate::state::Lent;

impl Wal {
    /// Whether the disk was found full and appends of normal priority fail.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.inner.shared.state.lock().full
    }

    /// How much may be appended with [`Priority::Reclaim`]: no limit while the disk has room, what is
    /// left of the reserve on a full one.
    #[must_use]
    pub fn reclaim_bytes_max(&self) -> u64 {
        self.inner.shared.state.lock().reclaim_bytes_max()
    }

    /// Whether the disk is full while files that nobody reads any more stay for their commands: a
    /// newer snapshot would let them go.
    #[must_use]
    pub fn commands_hold_space(&self) -> bool {
        self.is_full() && self.inner.files.list().iter().any(|file| file.released)
    }

    /// Gives a part of the reserve back to a full disk, for a snapshot after which files can go.
    /// False when the reserve has no room for that. Blocks.
    #[must_use]
    pub fn lend_reserve(&self, bytes: u64) -> bool {
        let (shared, pool) = (&self.inner.shared, &self.inner.pool);
        let lent = shared.state.lock().lend_reserve(bytes);
        let (done, back) = match lent {
            None => return false,
            Some(Lent::Ready { left }) => (pool.shrink_reserve(left), left),
            Some(Lent::InUse { file, left }) => (self.inner.files.shrink(file, left), 0),
        };
        let mut state = shared.state.lock();
        state.reserve_ready = state.reserve_ready.max(back);
        done.inspect_err(|error| tracing::warn!(%error, "the reserve gave nothing back"))
            .is_ok()
    }
}
