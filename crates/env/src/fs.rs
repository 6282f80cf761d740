//! Files: the port [`Fs`] and the machine's own [`RealFs`].
//!
//! All calls block. Call them from a thread of your own or through `Env::blocking`.

mod real;

use std::any::Any;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use real::RealFs;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A new or existing file, for reading and writing; its content is kept.
    Create,
    /// A file that must not exist yet, for reading and writing.
    CreateNew,
}

/// What [`Fs::lock`] found.
#[derive(Debug)]
pub enum LockResult {
    /// The lock is ours until this is dropped.
    Held(FsLock),
    /// Another process has it; its process id, if the file tells.
    Taken {
        /// The holder's process id.
        pid: Option<u32>,
    },
}

/// A held lock; dropping it gives the lock up.
pub struct FsLock {
    _hold: Box<dyn Any + Send + Sync>,
}

impl FsLock {
    /// A lock that lasts as long as `hold`.
    #[must_use]
    pub fn new(hold: impl Any + Send + Sync) -> Self {
        Self {
            _hold: Box::new(hold),
        }
    }
}

impl std::fmt::Debug for FsLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FsLock")
    }
}

/// A filesystem. Nothing is on stable storage before a sync: a file's bytes need
/// [`File::sync_data`], a new, renamed or removed name needs [`Fs::sync_dir`] on its folder.
///
/// Every call returns the system's error as it is.
pub trait Fs: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// The whole content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Puts `bytes` at `path` so that after any crash it holds either the old content or the new:
    /// temporary file (`.tmp` behind the name), write, fsync, rename, fsync of the folder.
    fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let fill = || {
            let file = self.open(&temporary, OpenMode::Create)?;
            file.set_len(0)?;
            file.write_all_at(bytes, 0)?;
            file.sync_all()?;
            self.rename(&temporary, path)
        };
        fill().inspect_err(|_| {
            // Most likely the disk is full: what is there already must not make it fuller.
            let _ = self.remove_file(&temporary);
        })?;
        self.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }

    /// Makes a folder and those above it; existing ones are fine.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Names in a folder, sorted. Names that are not UTF-8 are left out: none of ours are.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Renames a file, replacing what was at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Open handles keep reading it.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Puts the folder's names on stable storage.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Whether something stands at `path`.
    fn exists(&self, path: &Path) -> bool;

    /// A file's length in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;

    /// Bytes that an unprivileged process may still write to the filesystem that holds `path`.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Size of the filesystem that holds `path`, in bytes.
    fn total_bytes(&self, path: &Path) -> io::Result<u64>;

    /// How long the next call takes in simulated time, for those who can wait without blocking.
    fn delay(&self) -> Duration {
        Duration::ZERO
    }

    /// Takes the exclusive lock on the file at `path`, which is made if need be and then holds our
    /// process id. Does not wait.
    fn lock(&self, path: &Path) -> io::Result<LockResult>;

    /// Takes a shared lock on the existing file at `path`, which is not changed: until it is given
    /// up, [`Fs::lock`] finds it taken. Does not wait.
    fn lock_shared(&self, path: &Path) -> io::Result<LockResult>;
}

/// An open file. Positions are absolute; any thread may call at any time.
#[allow(clippy::len_without_is_empty)] // `len` asks the system and may fail.
pub trait File: Send + Sync {
    /// Reads at most `buf.len()` bytes at `offset`; fewer is allowed, zero means the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills all of `buf` from `offset`; `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            let read = self.read_at(buf, offset)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let rest = buf;
            buf = &mut rest[read..];
            offset += read as u64;
        }
        Ok(())
    }

    /// Fills all of `buf` from `offset` if the system has it in memory. False when a disk would have
    /// to be waited for, when this cannot be told, and when it failed: then [`File::read_exact_at`]
    /// is asked, and what `buf` holds is of no use.
    fn read_cached_at(&self, _buf: &mut [u8], _offset: u64) -> bool {
        false
    }

    /// Writes all of `bytes` at `offset`. After an error any part of it may be there.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Writes all slices one after the other at `offset`, in as few system calls as it takes.
    /// The slices are consumed (advanced). After an error any part may be there.
    fn write_vectored_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Puts the file's bytes, and its length if that is needed to read them, on stable storage
    /// (`fdatasync`; `F_FULLFSYNC` on macOS). An error here is final: the system may have dropped
    /// the bytes, so that a later success proves nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// Like [`File::sync_data`], with all of the file's attributes.
    fn sync_all(&self) -> io::Result<()>;

    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Cuts or extends (with zeros) to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves space so that the file has at least `len` bytes; content is kept, new bytes read
    /// as zeros.
    fn allocate(&self, len: u64) -> io::Result<()>;
}
