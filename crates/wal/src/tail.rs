//! What opening does to the end of a log: what is not whole goes into quarantine, what is kept is
//! made safe.

use std::path::Path;
use std::sync::Arc;

use levada_env::{Env, File, OpenMode};

use crate::config::QUARANTINE_FILES_MAX;
use crate::error::{WalError, io_error};
use crate::files::Files;
use crate::recovery::TornTail;

/// Folder of what was cut, below the log's.
pub(crate) const QUARANTINE_DIR: &str = "quarantine";
/// How the names of files there end.
pub(crate) const QUARANTINE_SUFFIX: &str = ".torn";
/// Bytes copied at once when the tail is rewritten.
const REWRITE_CHUNK_BYTES: usize = 1 << 20;

/// Puts what lies after the end of the log aside and cuts it off.
pub(crate) fn cut_tail(
    env: &Env,
    files: &Files,
    spans: &[(u64, u64)],
    file: u64,
    position: u64,
) -> Result<Option<TornTail>, WalError> {
    let mut torn = None;
    for (start, len) in spans.iter().copied().filter(|(start, _)| *start >= file) {
        let from = if start == file { position - file } else { 0 };
        let path = files.path(start);
        let used = used_bytes(env, &path, from, len)?;
        if used > 0 {
            torn = Some(quarantine(env, files, start, from, used, position)?);
        }
        if start > file {
            env.fs()
                .remove_file(&path)
                .map_err(io_error("remove", &path))?;
            files.forget(start);
        } else if used > 0 {
            let handle = env.fs().open(&path, OpenMode::ReadWrite);
            let handle = handle.map_err(io_error("open", &path))?;
            let cut = handle.set_len(from).and_then(|()| handle.sync_all());
            cut.map_err(io_error("cut", &path))?;
        }
    }
    Ok(torn)
}

/// Bytes from `from` to the last one that is not zero.
pub(crate) fn used_bytes(env: &Env, path: &Path, from: u64, len: u64) -> Result<u64, WalError> {
    let file = env
        .fs()
        .open(path, OpenMode::Read)
        .map_err(io_error("open", path))?;
    let mut buffer = vec![0; REWRITE_CHUNK_BYTES];
    let (mut at, mut used) = (from, 0);
    while at < len {
        let bytes = (len - at).min(buffer.len() as u64) as usize;
        let chunk = &mut buffer[..bytes];
        file.read_exact_at(chunk, at)
            .map_err(io_error("read", path))?;
        if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
            used = at + last as u64 + 1 - from;
        }
        at += bytes as u64;
    }
    Ok(used)
}

fn quarantine(
    env: &Env,
    files: &Files,
    start: u64,
    from: u64,
    bytes: u64,
    position: u64,
) -> Result<TornTail, WalError> {
    let (fs, dir) = (env.fs(), files.dir().join(QUARANTINE_DIR));
    let source_path = files.path(start);
    fs.create_dir_all(&dir).map_err(io_error("make", &dir))?;
    fs.sync_dir(files.dir())
        .map_err(io_error("sync", files.dir()))?;
    let path = dir.join(format!(
        "{:020}-{:016x}{QUARANTINE_SUFFIX}",
        start + from,
        env.random_u64()
    ));
    let source = fs
        .open(&source_path, OpenMode::Read)
        .map_err(io_error("open", &source_path))?;
    let target = fs
        .open(&path, OpenMode::Create)
        .map_err(io_error("make", &path))?;
    copy(&*source, from, &*target, 0, bytes).map_err(io_error("fill", &path))?;
    target.sync_all().map_err(io_error("sync", &path))?;
    let mut names = fs.read_dir(&dir).map_err(io_error("list", &dir))?;
    names.retain(|name| name.ends_with(QUARANTINE_SUFFIX) && !path.ends_with(name));
    let surplus = names.len().saturating_sub(QUARANTINE_FILES_MAX - 1);
    for name in &names[..surplus] {
        let old = dir.join(name);
        fs.remove_file(&old).map_err(io_error("remove", &old))?;
    }
    fs.sync_dir(&dir).map_err(io_error("sync", &dir))?;
    Ok(TornTail {
        position,
        bytes,
        quarantine: path,
    })
}

fn copy(
    source: &dyn File,
    mut from: u64,
    target: &dyn File,
    mut to: u64,
    bytes: u64,
) -> std::io::Result<()> {
    let mut buffer = vec![0; REWRITE_CHUNK_BYTES];
    let end = from + bytes;
    while from < end {
        let chunk = (end - from).min(buffer.len() as u64) as usize;
        source.read_exact_at(&mut buffer[..chunk], from)?;
        target.write_all_at(&buffer[..chunk], to)?;
        from += chunk as u64;
        to += chunk as u64;
    }
    Ok(())
}

/// Writes again what no later group knows to be synced: the page cache may show what the disk has
/// lost, and only a write makes the pages dirty again. Gives the handle of the last file.
pub(crate) fn keep(
    env: &Env,
    files: &Files,
    spans: &[(u64, u64)],
    synced: u64,
    file: u64,
    position: u64,
) -> Result<Option<Arc<dyn File>>, WalError> {
    let mut last = None;
    for (start, len) in spans.iter().copied().filter(|(start, _)| *start <= file) {
        let end = if start == file { position } else { start + len };
        let from = synced.max(start);
        if end <= from && start != file {
            continue;
        }
        let path = files.path(start);
        let handle = env
            .fs()
            .open(&path, OpenMode::ReadWrite)
            .map_err(io_error("open", &path))?;
        // A marker or seal too: the next group will say that everything below it was synced.
        if end > from {
            copy(&*handle, from - start, &*handle, from - start, end - from)
                .and_then(|()| handle.sync_data())
                .map_err(io_error("rewrite", &path))?;
        }
        if start == file {
            last = Some(handle);
        }
    }
    // New names, removed names: as safe as the bytes.
    env.fs()
        .sync_dir(files.dir())
        .map_err(io_error("sync", files.dir()))?;
    Ok(last)
}
