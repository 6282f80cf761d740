//! A filesystem in memory that loses what was not synced, tears writes, flips bits, runs full and
//! fails, as told or by chance from a seed. It is how power loss is tested below the log.
//!
//! Bytes become safe by a sync of their file, names by a sync of their folder. Folders themselves
//! are safe at once. Every fault that fired is counted, so that a test can tell that it tested.

mod content;
mod disk;
mod names;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::fs::{File, Fs, FsLock, LockResult, OpenMode};
use disk::Disk;

/// Errors by chance: once in so many calls on average, never at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// A read gives fewer bytes than asked for (which is allowed).
    pub short_read_one_in: u64,
    /// A read fails with EIO.
    pub read_error_one_in: u64,
    /// A write fails with EIO after a part of it.
    pub write_error_one_in: u64,
    /// A sync fails with EIO; what it should have made safe never becomes safe.
    pub sync_error_one_in: u64,
    /// Callers that can wait are kept waiting before a call ...
    pub slow_one_in: u64,
    /// ... for up to so many milliseconds of simulated time.
    pub slow_ms_max: u64,
}

/// What is left after the machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Only the process died: the system keeps what it was handed.
    Kill,
    /// Power loss; nothing that was not synced is left.
    LoseUnsynced,
    /// Power loss; of what was not synced any part may be left: whole writes, single sectors of
    /// 512 bytes, some of the names.
    KeepSome,
}

/// Faults that have fired, and calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    pub writes: u64,
    pub syncs: u64,
    pub crashes: u64,
    pub short_reads: u64,
    pub read_errors: u64,
    pub write_errors: u64,
    pub sync_errors: u64,
    /// Writes refused for lack of space.
    pub full_writes: u64,
    /// Waits of a slow disk.
    pub slow_calls: u64,
    pub bits_flipped: u64,
    /// Unsynced writes of which nothing was left.
    pub writes_lost: u64,
    /// Unsynced writes of which a part was left.
    pub writes_torn: u64,
    /// Unsynced writes that were left, in whole or in part, although an earlier one of the same
    /// file or an earlier part was not.
    pub writes_reordered: u64,
    /// Unsynced new, renamed or removed names that were undone.
    pub names_lost: u64,
}

/// The filesystem. Clones are the same one.
#[derive(Clone)]
pub struct FaultFs {
    disk: Arc<Mutex<Disk>>,
}

struct FaultFile {
    disk: Arc<Mutex<Disk>>,
    inode: u64,
    boot: u64,
}

impl FaultFs {
    /// An empty filesystem without faults; chance follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            disk: Arc::new(Mutex::new(Disk::new(seed))),
        }
    }

    /// Another disk with the same files, all of them safe: what a copy of a stopped machine's disk
    /// would be. No faults are set on it; its chance follows from `seed`.
    #[must_use]
    pub fn image(&self, seed: u64) -> Self {
        Self {
            disk: Arc::new(Mutex::new(self.disk.lock().image(seed))),
        }
    }

    /// Errors by chance from now on.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.disk.lock().plan = plan;
    }

    /// Room for so many bytes in blocks of 4 KiB; without limit for `None`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk.lock().capacity = bytes;
    }

    /// The next sync of a file fails.
    pub fn fail_next_sync(&self) {
        self.disk.lock().fail_next_sync = true;
    }

    /// The power goes at the `calls`-th call from now that changes something; every call fails
    /// until [`FaultFs::crash`].
    pub fn cut_power_after(&self, calls: u64) {
        self.disk.lock().power_left = Some(calls);
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.disk.lock().power_left == Some(0)
    }

    /// The machine stops and starts again: open files are dead, locks are gone, and of what was
    /// not synced there is left what `kind` says.
    pub fn crash(&self, kind: Crash) {
        self.disk.lock().crash(kind);
    }

    /// Flips one bit of a stored file, as a failing disk would.
    ///
    /// # Errors
    /// When there is no such file or byte.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> io::Result<()> {
        self.disk.lock().flip_bit(path, offset, bit)
    }

    /// Bytes that files take, in whole blocks.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.disk.lock().used_bytes()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.disk.lock().counts
    }
}

impl Fs for FaultFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut disk = self.disk.lock();
        let inode = disk.open(path, mode)?;
        Ok(Arc::new(FaultFile {
            disk: self.disk.clone(),
            inode,
            boot: disk.boot,
        }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.lock().read_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.lock().rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().sync_dir(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.lock().exists(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.open(path, OpenMode::Read)?.len()
    }

    fn available_bytes(&self, _path: &Path) -> io::Result<u64> {
        self.disk.lock().available_bytes()
    }

    fn total_bytes(&self, _path: &Path) -> io::Result<u64> {
        self.disk.lock().total_bytes()
    }

    fn lock_shared(&self, path: &Path) -> io::Result<LockResult> {
        let mut disk = self.disk.lock();
        disk.open(path, OpenMode::Read)?;
        match disk.is_locked(path) {
            true => Ok(LockResult::Taken {
                pid: Some(std::process::id()),
            }),
            // Readers hold nothing here: no test looks at what they keep out.
            false => Ok(LockResult::Held(FsLock::new(()))),
        }
    }

    fn delay(&self) -> Duration {
        self.disk.lock().delay()
    }

    fn lock(&self, path: &Path) -> io::Result<LockResult> {
        let pid = std::process::id();
        let mut disk = self.disk.lock();
        if disk.is_locked(path) {
            return Ok(LockResult::Taken { pid: Some(pid) });
        }
        disk.open(path, OpenMode::Create)?;
        disk.set_locked(path, true);
        let (path, boot) = (path.to_owned(), disk.boot);
        Ok(LockResult::Held(FsLock::new(Unlock {
            disk: self.disk.clone(),
            path,
            boot,
        })))
    }
}

struct Unlock {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
    boot: u64,
}

impl Drop for Unlock {
    fn drop(&mut self) {
        let mut disk = self.disk.lock();
        if disk.boot == self.boot {
            disk.set_locked(&self.path, false);
        }
    }
}

impl FaultFile {
    fn with<T>(&self, act: impl FnOnce(&mut Disk, u64) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk.lock();
        if disk.boot != self.boot {
            return Err(io::Error::other(
                "the machine has stopped since this file was opened",
            ));
        }
        act(&mut disk, self.inode)
    }
}

impl File for FaultFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|disk, inode| disk.read(inode, buf, offset))
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|disk, inode| disk.write(inode, bytes.to_vec(), offset))
    }

    fn write_vectored_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let bytes = slices
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        self.with(|disk, inode| disk.write(inode, bytes, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(Disk::sync)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.with(Disk::sync)
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|disk, inode| disk.len(inode))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|disk, inode| disk.set_len(inode, len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.with(|disk, inode| disk.allocate(inode, len))
    }
}

#[cfg(test)]
mod tests;
