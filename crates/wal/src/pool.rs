//! Files made ready ahead of need: pre-zeroed ones, because overwriting costs a sync much less
//! than growing, and the reserve for a full disk. All of it happens off the writer's path.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use levada_env::{Env, OpenMode};
use parking_lot::Mutex;

use crate::config::{UNPOOLED_BYTES_MIN, WalConfig};
use crate::files::Files;
use crate::format::BLOCK_BYTES;
use crate::metrics::WalMetrics;
use crate::shared::Shared;

/// Size of one pooled file.
const POOL_FILE_BYTES: u64 = 16 << 20;
/// Zeros written and synced at once: short, so that the log's own syncs hardly wait behind it.
const ZERO_CHUNK_BYTES: usize = 1 << 20;
/// Pause between two chunks.
const ZERO_PAUSE: Duration = Duration::from_millis(20);
/// The log counts as busy, and preparing waits, when it writes more than this in a pause: about
/// 12 MB/s. Above that rate groups are large, gain little from overwriting, and the zeros would
/// double what is written.
const BUSY_BYTES: u64 = 256 << 10;
/// How long it must not have been busy: a log that waits for a slow sync writes nothing meanwhile.
const CALM: Duration = Duration::from_millis(200);
/// Space that must stay free beyond what is prepared, as a multiple of it.
const FREE_FACTOR: u64 = 4;
/// A reserve that is made on a full disk is not shorter.
const REST_BYTES_MIN: u64 = 4 * BLOCK_BYTES;

/// The pool of pre-zeroed files, and the reserve.
pub(crate) struct Pool {
    env: Env,
    files: Arc<Files>,
    file_bytes: u64,
    count_max: usize,
    reserve_bytes: u64,
    ready: Mutex<Vec<PathBuf>>,
}

/// Where the reserve lies.
pub(crate) fn reserve_path(dir: &Path) -> PathBuf {
    dir.join("reserve")
}

fn is_pool_name(name: &str) -> bool {
    name.starts_with("pool-")
}

impl Pool {
    pub(crate) fn new(env: Env, files: Arc<Files>, config: &WalConfig) -> Self {
        let file_bytes = POOL_FILE_BYTES
            .min(config.file_bytes_max)
            .min(config.pool_bytes_max);
        let count_max = config.pool_bytes_max.checked_div(file_bytes).unwrap_or(0);
        Self {
            env,
            files,
            file_bytes,
            count_max: usize::try_from(count_max).unwrap_or(usize::MAX),
            reserve_bytes: config.reserve_bytes,
            ready: Mutex::default(),
        }
    }

    /// Removes what an earlier run prepared for its pool: it may be half done. The reserve is kept.
    /// Gives its length, zero if there is none.
    pub(crate) fn adopt(&self, names: &[String]) -> u64 {
        let (fs, dir) = (self.env.fs(), self.files.dir());
        for name in names.iter().filter(|name| is_pool_name(name)) {
            if let Err(error) = fs.remove_file(&dir.join(name)) {
                tracing::warn!(%error, name, "a prepared log file could not be removed");
            }
        }
        let bytes = fs.len(&reserve_path(dir)).unwrap_or(0);
        bytes.min(self.reserve_bytes)
    }

    pub(crate) fn ready(&self) -> usize {
        self.ready.lock().len()
    }

    /// A pre-zeroed file, to be renamed.
    pub(crate) fn take(&self) -> Option<PathBuf> {
        self.ready.lock().pop()
    }

    /// What the disk has left; zero if it does not say.
    pub(crate) fn available_bytes(&self) -> u64 {
        self.env.fs().available_bytes(self.files.dir()).unwrap_or(0)
    }

    fn has_room(&self, bytes: u64) -> bool {
        let available = self.available_bytes();
        available >= bytes.saturating_mul(FREE_FACTOR)
    }

    /// What is due at once: deleting files, making the reserve.
    pub(crate) fn maintain(&self, shared: &Shared) {
        *shared.maintain.lock() = false;
        let (current, reserve_wanted) = {
            let state = shared.state.lock();
            (
                state.written_file,
                !state.full && state.reserve_ready < self.reserve_bytes,
            )
        };
        match self.files.delete_unneeded(current) {
            Ok(count) => WalMetrics::add(&shared.metrics.files_deleted, count),
            Err(error) => tracing::warn!(%error, "a released log file could not be deleted"),
        }
        if reserve_wanted && self.has_room(self.reserve_bytes) {
            match self.make_reserve(self.reserve_bytes) {
                Ok(()) => shared.state.lock().reserve_ready = self.reserve_bytes,
                Err(error) => tracing::warn!(%error, "no reserve for a full disk could be made"),
            }
        }
    }

    /// A reserve from half of what a full disk has left, when there is none; gives its length, zero
    /// if that is not worth it.
    pub(crate) fn rest_as_reserve(&self) -> u64 {
        let bytes = (self.available_bytes() / 2).min(self.reserve_bytes);
        let bytes = bytes - bytes % BLOCK_BYTES;
        if bytes < REST_BYTES_MIN {
            return 0;
        }
        match self.make_reserve(bytes) {
            Ok(()) => bytes,
            Err(error) => {
                tracing::debug!(%error, bytes, "the rest of the disk did not become a reserve");
                0
            }
        }
    }

    /// Makes the reserve that lies ready shorter.
    pub(crate) fn shrink_reserve(&self, bytes: u64) -> std::io::Result<()> {
        let (fs, path) = (self.env.fs(), reserve_path(self.files.dir()));
        let file = fs.open(&path, OpenMode::ReadWrite)?;
        file.set_len(bytes)
    }

    /// Makes a whole reserve that lies ready.
    pub(crate) fn make_reserve(&self, bytes: u64) -> std::io::Result<()> {
        let (fs, path) = (self.env.fs(), reserve_path(self.files.dir()));
        let file = fs.open(&path, OpenMode::Create)?;
        file.allocate(bytes)?;
        file.sync_all()?;
        fs.sync_dir(self.files.dir())
    }

    fn wants_more(&self, shared: &Shared) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        // An instance that hardly writes never pays for a pool.
        shared.metrics.written_bytes.load(Relaxed) >= UNPOOLED_BYTES_MIN
            && self.ready() < self.count_max
            && !shared.state.lock().full
            && self.has_room(self.file_bytes)
    }

    /// Prepares one file. False when the log has ended.
    fn fill_one(&self, shared: &Shared, number: u64) -> std::io::Result<bool> {
        let path = self.files.dir().join(format!("pool-{number}"));
        let filled = self.zero(shared, &path).inspect_err(|_| {
            // Most likely the disk is full: half a file would lie there until the next start.
            let _ = self.env.fs().remove_file(&path);
        })?;
        if filled {
            self.ready.lock().push(path);
            shared.state.lock().pool_ready = self.ready();
        }
        Ok(filled)
    }

    /// Zeroes a file, giving way while the log is busy. False when the log has ended.
    fn zero(&self, shared: &Shared, path: &Path) -> std::io::Result<bool> {
        use std::sync::atomic::Ordering::Relaxed;
        let file = self.env.fs().open(path, OpenMode::Create)?;
        let zeros = vec![0; ZERO_CHUNK_BYTES];
        let look = || {
            (
                self.env.monotonic(),
                shared.metrics.written_bytes.load(Relaxed),
            )
        };
        let mut seen = look();
        let mut calm_since = seen.0;
        let mut offset = 0;
        while offset < self.file_bytes {
            if !shared.wait_maintenance(Some(ZERO_PAUSE)) {
                return Ok(false);
            }
            self.maintain(shared);
            let now = look();
            // Woken early for maintenance: too short to tell.
            if now.0.saturating_sub(seen.0) < ZERO_PAUSE {
                continue;
            }
            if now.1 - seen.1 > BUSY_BYTES {
                calm_since = now.0;
            }
            seen = now;
            if now.0.saturating_sub(calm_since) < CALM {
                continue;
            }
            let bytes = (self.file_bytes - offset).min(ZERO_CHUNK_BYTES as u64) as usize;
            file.write_all_at(&zeros[..bytes], offset)?;
            file.sync_data()?;
            WalMetrics::add(&shared.metrics.zeroed_bytes, bytes as u64);
            offset += bytes as u64;
        }
        file.sync_all()?;
        Ok(true)
    }

    /// The maintenance thread.
    pub(crate) fn run(&self, shared: &Shared) {
        let mut number = 0;
        // Looked at now and then only while a growing log may come to want a pool.
        while shared.wait_maintenance(None) {
            self.maintain(shared);
            while self.wants_more(shared) {
                number += 1;
                match self.fill_one(shared, number) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        tracing::debug!(%error, "no log file could be prepared");
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use levada_env::fault::FaultFs;

    use super::*;
    use crate::state::State;

    #[test]
    fn a_file_that_a_full_disk_cut_short_gives_its_space_back() {
        let fs = FaultFs::new(1);
        let env = Env::simulated(1, Arc::new(fs.clone()));
        let dir = Path::new("/wal");
        env.fs().create_dir_all(dir).unwrap();
        let config = WalConfig {
            pool_bytes_max: 4 << 20,
            ..WalConfig::default()
        };
        let files = Arc::new(Files::new(env.clone(), dir.to_owned()));
        let pool = Pool::new(env.clone(), files, &config);
        let shared = Shared::new(State::new(0, 0, 1, Vec::new()), true);
        // No room for the reserve either, so that nothing else takes space.
        fs.set_capacity(Some(3 << 20));
        assert!(pool.fill_one(&shared, 1).is_err());
        assert_eq!(env.fs().read_dir(dir).unwrap(), Vec::<String>::new());
        assert_eq!(pool.ready(), 0);
        fs.set_capacity(Some(8 << 20));
        assert!(pool.fill_one(&shared, 2).unwrap());
        assert_eq!((pool.ready(), pool.take()), (1, Some(dir.join("pool-2"))));
    }
}
