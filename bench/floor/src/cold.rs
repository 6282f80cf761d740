//! A folder's files out of the page cache, and how fast the disk gives them one after the other.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use rustix::fs::{Advice, fadvise};
use serde::Serialize;

use crate::chunk::CHUNK_BYTES;

/// Cleans nothing by itself: what is dirty stays, so that files are synced before.
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";
const PAGES_ONLY: &str = "1";
/// Where Linux says how much of a process's reads came from storage.
const OWN_IO: &str = "/proc/self/io";
/// A read of files that is this much smaller on the device than asked for was not cold.
const COLD_SHARE_MIN: f64 = 0.9;

#[derive(Serialize)]
struct Sequential {
    bytes: u64,
    seconds: f64,
    mb_per_s: f64,
    /// Bytes that came from the device while that many were read.
    device_bytes: u64,
    /// How the files were made cold.
    dropped_by: &'static str,
}

#[derive(Serialize)]
struct Cooled {
    files: usize,
    bytes: u64,
    dropped_by: &'static str,
}

/// Takes every file below `folder` out of the page cache and prints how, as JSON.
///
/// # Errors
/// When a file cannot be synced, or the system does not let go of its pages.
pub fn print_cooled(folder: &Path) -> Result<()> {
    let files = files(folder)?;
    let dropped_by = cool(&files)?;
    let bytes = files.iter().map(|(_, bytes)| bytes).sum();
    let cooled = Cooled {
        files: files.len(),
        bytes,
        dropped_by,
    };
    println!("{}", serde_json::to_string(&cooled)?);
    Ok(())
}

/// Reads the files below `folder` with this ending cold, the largest first, each from its start, until so many bytes
/// are read, and prints the speed as JSON: MB/s of 10^6 bytes.
///
/// # Errors
/// When they cannot be made cold, or came from memory all the same.
pub fn print_sequential(folder: &Path, ending: &str, bytes_max: u64) -> Result<()> {
    let mut files = files(folder)?;
    files.retain(|(path, _)| path.extension().is_some_and(|found| found == ending));
    files.sort_by_key(|(path, bytes)| (std::cmp::Reverse(*bytes), path.clone()));
    let dropped_by = cool(&files)?;
    let mut memory = vec![1; CHUNK_BYTES];
    let before = device_bytes()?;
    let started = Instant::now();
    let mut bytes = 0;
    for (path, _) in &files {
        let mut file = File::open(path)?;
        while bytes < bytes_max {
            match file.read(&mut memory)? {
                0 => break,
                read => bytes += read as u64,
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let device_bytes = device_bytes()? - before;
    if (device_bytes as f64) < bytes as f64 * COLD_SHARE_MIN {
        bail!("of {bytes} bytes only {device_bytes} came from the device: they were not cold");
    }
    let sequential = Sequential {
        bytes,
        seconds,
        mb_per_s: bytes as f64 / 1e6 / seconds,
        device_bytes,
        dropped_by,
    };
    println!("{}", serde_json::to_string(&sequential)?);
    Ok(())
}

/// Every file below a folder with its size, files that vanish meanwhile left out.
fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder);
        for entry in entries.with_context(|| folder.display().to_string())? {
            let entry = entry?;
            match entry.metadata() {
                Ok(data) if data.is_dir() => folders.push(entry.path()),
                Ok(data) if data.is_file() => found.push((entry.path(), data.len())),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Syncs the files and drops their pages; the whole cache too where that is allowed, since advice on
/// a file is a wish. Returns the words for what was done.
fn cool(files: &[(PathBuf, u64)]) -> Result<&'static str> {
    let mut advised = true;
    for (path, _) in files {
        let Ok(file) = File::open(path) else {
            continue; // A pool file that has been given up since.
        };
        file.sync_all()
            .with_context(|| path.display().to_string())?;
        advised &= fadvise(&file, 0, None, Advice::DontNeed).is_ok();
    }
    let all = std::fs::write(DROP_CACHES, PAGES_ONLY).is_ok();
    match (advised, all) {
        (true, true) => Ok("posix_fadvise on each file and vm.drop_caches"),
        (true, false) => Ok("posix_fadvise on each file"),
        (false, true) => Ok("vm.drop_caches"),
        (false, false) => bail!(
            "the page cache cannot be dropped here: neither posix_fadvise on the files nor {DROP_CACHES}"
        ),
    }
}

fn device_bytes() -> Result<u64> {
    let text = std::fs::read_to_string(OWN_IO)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("read_bytes: "));
    let bytes = line.and_then(|bytes| bytes.trim().parse().ok());
    bytes.with_context(|| format!("no read_bytes in {OWN_IO}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_folders_below_with_their_sizes() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("levada-floor-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("below"))?;
        std::fs::write(folder.join("a"), [0; 3])?;
        std::fs::write(folder.join("below/b"), [0; 5])?;
        let mut sizes: Vec<u64> = files(&folder)?
            .into_iter()
            .map(|(_, bytes)| bytes)
            .collect();
        std::fs::remove_dir_all(&folder)?;
        sizes.sort_unstable();
        assert_eq!(sizes, [3, 5]);
        Ok(())
    }
}
