//! What the system says about a process and a folder.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A process at one moment.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Figures {
    pub rss_bytes: u64,
    pub threads: u64,
    pub files_open: u64,
}

/// The figures of a process; None when it is gone.
pub fn process(pid: u32) -> Option<Figures> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let number = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Figures {
        rss_bytes: number("VmRSS:")? << 10,
        threads: number("Threads:")?,
        files_open: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64,
    })
}

/// The disk that a folder takes, holes not counted. What disappears meanwhile counts nothing.
pub fn disk_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}
