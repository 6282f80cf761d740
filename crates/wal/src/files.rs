//! The log's files: names, handles for reading, and when a file may go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use levada_env::{Env, File, OpenMode};
use levada_model::{LogPosition, SegmentId};
use parking_lot::Mutex;

use crate::config::OPEN_FILES_MAX;
use crate::error::{WalError, io_error};

/// A file of the log as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its name: the position at which it starts.
    pub segment: SegmentId,
    /// Bytes of log in it.
    pub bytes: u64,
    /// Whether its data was released.
    pub released: bool,
}

struct Entry {
    /// Bytes of log in the file, grown as groups become durable.
    bytes: u64,
    handle: Option<Arc<dyn File>>,
    used: u64,
    released: bool,
}

#[derive(Default)]
struct Table {
    entries: BTreeMap<u64, Entry>,
    uses: u64,
    handles: usize,
    commands_before: u64,
}

/// All files of the log.
pub(crate) struct Files {
    env: Env,
    dir: PathBuf,
    table: Mutex<Table>,
}

/// The name of the file that starts at `position`.
pub(crate) fn file_name(position: u64) -> String {
    format!("{position:020}.log")
}

/// The start position that a file name tells.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

impl Files {
    pub(crate) fn new(env: Env, dir: PathBuf) -> Self {
        Self {
            env,
            dir,
            table: Mutex::default(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn path(&self, start: u64) -> PathBuf {
        self.dir.join(file_name(start))
    }

    /// Enters a file, or tells how much log it holds by now.
    pub(crate) fn set_bytes(&self, start: u64, bytes: u64) {
        let fresh = || Entry {
            bytes: 0,
            handle: None,
            used: 0,
            released: false,
        };
        self.table
            .lock()
            .entries
            .entry(start)
            .or_insert_with(fresh)
            .bytes = bytes;
    }

    pub(crate) fn list(&self) -> Vec<FileInfo> {
        let table = self.table.lock();
        let info = |(start, entry): (&u64, &Entry)| FileInfo {
            segment: SegmentId(*start),
            bytes: entry.bytes,
            released: entry.released,
        };
        table.entries.iter().map(info).collect()
    }

    /// Start positions and lengths in order.
    pub(crate) fn spans(&self) -> Vec<(u64, u64)> {
        self.table
            .lock()
            .entries
            .iter()
            .map(|(start, entry)| (*start, entry.bytes))
            .collect()
    }

    /// An open handle for reading.
    pub(crate) fn handle(&self, start: u64) -> Result<Arc<dyn File>, WalError> {
        let mut table = self.table.lock();
        table.uses += 1;
        let uses = table.uses;
        let entry = table
            .entries
            .get_mut(&start)
            .ok_or(WalError::NoSuchFile(start))?;
        entry.used = uses;
        if let Some(handle) = &entry.handle {
            return Ok(handle.clone());
        }
        let path = self.path(start);
        // Opening under the lock: short, and rare once the handles are warm.
        let opened = self
            .env
            .fs()
            .open(&path, OpenMode::Read)
            .map_err(io_error("open", &path))?;
        entry.handle = Some(opened.clone());
        table.handles += 1;
        if table.handles > OPEN_FILES_MAX {
            let oldest = table
                .entries
                .values_mut()
                .filter(|entry| entry.handle.is_some())
                .min_by_key(|entry| entry.used);
            if let Some(entry) = oldest {
                entry.handle = None;
                table.handles -= 1;
            }
        }
        Ok(opened)
    }

    fn corrupt(&self, start: u64, offset: u64, bytes: usize, reason: String) -> WalError {
        WalError::Corrupt {
            path: self.path(start),
            offset,
            bytes: bytes as u64,
            reason,
        }
    }

    /// Bytes of a file as they are stored. They are not checked here: what a frame holds is only
    /// known to whoever wrote it, and a flipped bit in it must not cost the rest of the frame.
    pub(crate) fn read(
        &self,
        start: u64,
        offset: u64,
        mut buffer: BytesMut,
    ) -> Result<Bytes, WalError> {
        let bytes = buffer.len();
        self.check_held(start, offset, bytes)?;
        let handle = self.handle(start)?;
        match handle.read_exact_at(&mut buffer, offset) {
            Ok(()) => Ok(buffer.freeze()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                let reason = "the file was cut short".to_owned();
                Err(self.corrupt(start, offset, bytes, reason))
            }
            Err(error) => Err(io_error("read", &self.path(start))(error)),
        }
    }

    /// The same without waiting for anything; gives the buffer back when the bytes are not in
    /// memory, the file is not open, or something is wrong with the request.
    pub(crate) fn read_cached(
        &self,
        start: u64,
        offset: u64,
        mut buffer: BytesMut,
    ) -> Result<Bytes, BytesMut> {
        let held = self.check_held(start, offset, buffer.len()).is_ok();
        match self.open_handle(start).filter(|_| held) {
            Some(handle) if handle.read_cached_at(&mut buffer, offset) => Ok(buffer.freeze()),
            _ => Err(buffer),
        }
    }

    fn open_handle(&self, start: u64) -> Option<Arc<dyn File>> {
        let mut table = self.table.lock();
        table.uses += 1;
        let uses = table.uses;
        let entry = table.entries.get_mut(&start)?;
        entry.used = uses;
        entry.handle.clone()
    }

    /// Whether a file holds these bytes, safe by now.
    pub(crate) fn check_held(&self, start: u64, offset: u64, bytes: usize) -> Result<(), WalError> {
        let held = {
            let table = self.table.lock();
            let entry = table.entries.get(&start);
            entry.ok_or(WalError::NoSuchFile(start))?.bytes
        };
        if offset.saturating_add(bytes as u64) > held {
            let reason = format!("the file holds {held} bytes");
            return Err(self.corrupt(start, offset, bytes, reason));
        }
        Ok(())
    }

    /// Cuts off what was prepared of a file beyond `bytes` and not written.
    pub(crate) fn shrink(&self, start: u64, bytes: u64) -> std::io::Result<()> {
        let file = self.env.fs().open(&self.path(start), OpenMode::ReadWrite)?;
        if file.len()? > bytes {
            file.set_len(bytes)?;
        }
        Ok(())
    }

    /// Marks the data of a file as not needed any more.
    pub(crate) fn release(&self, start: u64) {
        if let Some(entry) = self.table.lock().entries.get_mut(&start) {
            entry.released = true;
        }
    }

    pub(crate) fn truncate_commands_before(&self, position: LogPosition) {
        let mut table = self.table.lock();
        table.commands_before = table.commands_before.max(position.0);
    }

    /// Removes the files that nobody needs; `current` always stays. Gives how many went.
    pub(crate) fn delete_unneeded(&self, current: u64) -> Result<u64, WalError> {
        let gone: Vec<u64> = {
            let table = self.table.lock();
            let before = table.commands_before;
            let unneeded = |(start, entry): (&u64, &Entry)| {
                // The file that holds `before` stays, even when it ends exactly there: replay
                // begins by finding its last group.
                (*start != current && entry.released && start + entry.bytes < before)
                    .then_some(*start)
            };
            table.entries.iter().filter_map(unneeded).collect()
        };
        for start in &gone {
            let path = self.path(*start);
            self.env
                .fs()
                .remove_file(&path)
                .map_err(io_error("remove", &path))?;
            let mut table = self.table.lock();
            if table
                .entries
                .remove(start)
                .is_some_and(|entry| entry.handle.is_some())
            {
                table.handles -= 1;
            }
        }
        if !gone.is_empty() {
            self.env
                .fs()
                .sync_dir(&self.dir)
                .map_err(io_error("sync", &self.dir))?;
        }
        Ok(gone.len() as u64)
    }

    /// Forgets a file that was taken back.
    pub(crate) fn forget(&self, start: u64) {
        let mut table = self.table.lock();
        if table
            .entries
            .remove(&start)
            .is_some_and(|entry| entry.handle.is_some())
        {
            table.handles -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_sort_by_position_and_come_back() {
        assert_eq!(file_name(4096), "00000000000000004096.log");
        assert_eq!(parse_file_name("00000000000000004096.log"), Some(4096));
        for other in [
            "4096.log",
            "reserve",
            "000000000000000x4096.log",
            "99999999999999999999.log",
        ] {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
    }
}
