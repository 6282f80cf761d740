//! The machine's filesystem, by the standard library and rustix.

use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FlockOperation, flock};

use super::{File, Fs, FsLock, LockResult, OpenMode};

/// Slices in one `pwritev`: Linux's IOV_MAX.
#[cfg(target_os = "linux")]
const SLICES_PER_CALL_MAX: usize = 1024;

/// The machine's own files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

struct RealFile {
    file: std::fs::File,
    /// Its filesystem has refused to tell what is in memory, and is not asked again.
    #[cfg(target_os = "linux")]
    cannot_tell_cached: AtomicBool,
}

impl RealFile {
    fn new(file: std::fs::File) -> Self {
        Self {
            file,
            #[cfg(target_os = "linux")]
            cannot_tell_cached: AtomicBool::new(false),
        }
    }
}

impl Fs for RealFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create(true).truncate(false);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Arc::new(RealFile::new(options.open(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // The parent of a bare file name is the empty path.
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        std::fs::File::open(path)?.sync_all()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.len())
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<LockResult> {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let file = Arc::new(file);
        let result = try_lock(path, &file, FlockOperation::NonBlockingLockExclusive)?;
        if let LockResult::Held(_) = &result {
            file.set_len(0)?;
            file.write_all_at(std::process::id().to_string().as_bytes(), 0)?;
        }
        Ok(result)
    }

    fn lock_shared(&self, path: &Path) -> io::Result<LockResult> {
        let file = Arc::new(std::fs::File::open(path)?);
        try_lock(path, &file, FlockOperation::NonBlockingLockShared)
    }
}

/// The guard holds the file open, and so the lock is held as long as the guard lives.
fn try_lock(
    path: &Path,
    file: &Arc<std::fs::File>,
    operation: FlockOperation,
) -> io::Result<LockResult> {
    match flock(&**file, operation) {
        Ok(()) => Ok(LockResult::Held(FsLock::new(Arc::clone(file)))),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            Ok(LockResult::Taken {
                pid: text.trim().parse().ok(),
            })
        }
        Err(error) => Err(error.into()),
    }
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn read_cached_at(&self, buf: &mut [u8], offset: u64) -> bool {
        if self.cannot_tell_cached.load(Ordering::Relaxed) {
            return false;
        }
        let bytes = buf.len();
        let mut slices = [io::IoSliceMut::new(buf)];
        let flags = rustix::io::ReadWriteFlags::NOWAIT;
        match rustix::io::preadv2(&self.file, &mut slices, offset, flags) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                self.cannot_tell_cached.store(true, Ordering::Relaxed);
                false
            }
            read => read == Ok(bytes),
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    #[cfg(target_os = "linux")]
    fn write_vectored_all_at(
        &self,
        mut slices: &mut [IoSlice<'_>],
        mut offset: u64,
    ) -> io::Result<()> {
        IoSlice::advance_slices(&mut slices, 0); // Drops empty slices at the front.
        while !slices.is_empty() {
            let batch = &slices[..slices.len().min(SLICES_PER_CALL_MAX)];
            let written =
                rustix::io::retry_on_intr(|| rustix::io::pwritev(&self.file, batch, offset))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut slices, written);
            offset += written as u64;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn write_vectored_all_at(&self, slices: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        for slice in slices {
            self.file.write_all_at(slice, offset)?;
            offset += slice.len() as u64;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        // The standard library uses fdatasync on Linux and F_FULLFSYNC on Apple's systems, where a
        // plain fsync leaves the bytes in the drive's cache.
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            match rustix::io::retry_on_intr(|| {
                fallocate(&self.file, FallocateFlags::empty(), 0, len)
            }) {
                Ok(()) => return Ok(()),
                // Not every filesystem can reserve; extending is the next best.
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.len()? < len {
            self.set_len(len)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectored_writes_pass_the_system_limit_of_slices() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealFs
            .open(&dir.path().join("f"), OpenMode::CreateNew)
            .unwrap();
        let parts: Vec<Vec<u8>> = (0..3000u32)
            .map(|i| vec![i as u8; (i % 5) as usize])
            .collect();
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
        file.write_vectored_all_at(&mut slices, 10).unwrap();
        let want: Vec<u8> = parts.concat();
        let mut got = vec![0; want.len()];
        file.read_exact_at(&mut got, 10).unwrap();
        assert_eq!(got, want);
        assert_eq!(file.len().unwrap(), 10 + want.len() as u64);
    }

    #[test]
    fn what_is_in_memory_is_read_at_once_and_nothing_beyond_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealFs
            .open(&dir.path().join("f"), OpenMode::CreateNew)
            .unwrap();
        let want: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        file.write_all_at(&want, 0).unwrap();
        let mut got = vec![0; 200_000];
        // Not every filesystem can tell; one that does tells the truth.
        if file.read_cached_at(&mut got, 100_000) {
            assert_eq!(got, want[100_000..]);
        }
        assert!(!file.read_cached_at(&mut got, 100_001));
    }

    /// Files of /proc are made as they are read: the kernel refuses to tell what is in memory.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_cannot_tell_what_is_in_memory_is_asked_once() {
        let file = RealFile::new(std::fs::File::open("/proc/self/status").unwrap());
        let mut got = [0; 16];
        assert!(!file.read_cached_at(&mut got, 0));
        assert!(file.cannot_tell_cached.load(Ordering::Relaxed));
        assert!(!file.read_cached_at(&mut got, 0));
        file.read_exact_at(&mut got, 0).unwrap();
        assert!(got.starts_with(b"Name:"));
    }

    #[test]
    fn a_second_lock_is_refused_with_the_holders_pid_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let LockResult::Held(first) = RealFs.lock(&path).unwrap() else {
            panic!("free")
        };
        let LockResult::Taken { pid } = RealFs.lock(&path).unwrap() else {
            panic!("held")
        };
        assert_eq!(pid, Some(std::process::id()));
        drop(first);
        assert!(matches!(RealFs.lock(&path).unwrap(), LockResult::Held(_)));
    }

    #[test]
    fn write_atomic_replaces_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready.json");
        RealFs.write_atomic(&path, b"a longer first").unwrap();
        RealFs.write_atomic(&path, b"second").unwrap();
        assert_eq!(RealFs.read(&path).unwrap(), b"second");
        assert_eq!(RealFs.read_dir(dir.path()).unwrap(), ["ready.json"]);
        let available = RealFs.available_bytes(dir.path()).unwrap();
        assert!(available > 0);
        assert!(RealFs.total_bytes(dir.path()).unwrap() >= available);
    }
}
