//! Snapshots as files: the one file that defines their frame.
//!
//! `snapshot/<20-digit position>.snap`: `magic u32 | version u32 | position u64 | length u64 |
//! content | crc32c u32 of all before`, little-endian. The two newest are kept, and while there is
//! only one the whole log is, so that one that was damaged at rest costs a longer replay and
//! nothing else.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest, checksum};
use levada_env::{Env, File, OpenMode};
use levada_model::{
    LogPosition,
    codec::{DecodeError, Decoder, Encoder},
};
use levada_wal::WalError;

const MAGIC: u32 = 0x4C56_5350;
const VERSION: u32 = 1;
const CRC_BYTES: usize = 4;
const HEADER_BYTES: usize = 24;
const KEPT: usize = 2;
/// Bytes that are written and synced in one go: the log's syncs on the same disk come in between, which
/// would else wait for all of a large snapshot.
const TURN_BYTES: usize = 1024 * 1024;
const SUFFIX: &str = ".snap";
/// What a crash left of one that was being written.
const UNFINISHED_SUFFIX: &str = ".snap.tmp";

/// A snapshot file, looked at from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFound {
    pub path: PathBuf,
    /// Why it cannot be used.
    pub error: Option<String>,
}

/// Position and content of the newest snapshot that is whole.
type Newest = Option<(LogPosition, Bytes)>;

#[derive(Clone)]
pub(crate) struct SnapshotFiles {
    env: Env,
    dir: PathBuf,
    /// The newest one that was whole when the folder was opened.
    newest: Option<LogPosition>,
    /// Newer ones that were not: they protect nothing, and go before a whole one does.
    damaged: Vec<LogPosition>,
}

impl SnapshotFiles {
    fn at(env: &Env, dir: &Path) -> SnapshotFiles {
        SnapshotFiles {
            env: env.clone(),
            dir: dir.to_owned(),
            newest: None,
            damaged: Vec::new(),
        }
    }

    /// Reads every snapshot in `dir` and changes nothing: each with why it cannot be used, if so,
    /// oldest first; and the content of the newest one that can.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub fn survey(env: &Env, dir: &Path) -> Result<(Vec<SnapshotFound>, Newest), WalError> {
        let mut found = Vec::new();
        let mut newest = None;
        if !env.fs().exists(dir) {
            return Ok((found, newest));
        }
        let files = SnapshotFiles::at(env, dir);
        for position in files.positions()? {
            let loaded = files.load(position);
            found.push(SnapshotFound {
                path: files.path(position),
                error: loaded.as_ref().err().map(ToString::to_string),
            });
            newest = loaded.ok().map(|content| (position, content)).or(newest);
        }
        Ok((found, newest))
    }

    /// Makes the folder if need be and looks for the newest snapshot that is whole. Without one the
    /// log has to hold everything, which its opening finds out: see [`SnapshotFiles::explain`].
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub fn open(env: &Env, dir: &Path) -> Result<SnapshotFiles, WalError> {
        let fs = env.fs();
        fs.create_dir_all(dir).map_err(|e| failed("make", dir, e))?;
        let mut files = SnapshotFiles::at(env, dir);
        files.remove_unfinished()?;
        let positions = files.positions()?;
        for position in positions.iter().rev() {
            match files.load(*position) {
                Ok(_) => {
                    files.newest = Some(*position);
                    return Ok(files);
                }
                Err(error) => {
                    tracing::warn!(%error, %position, "a snapshot is damaged; the one before it is used, or none, and more log is replayed");
                    files.damaged.push(*position);
                }
            }
        }
        Ok(files)
    }

    /// The log could not be opened: says so if that is because no snapshot is whole.
    pub fn explain(&self, error: WalError) -> WalError {
        match error {
            WalError::Damaged { path, reason } if self.newest.is_none() => {
                let count = self.damaged.len();
                let reason = match count {
                    0 => reason,
                    _ => format!(
                        "none of the {count} snapshots in {} can be read, and the log alone is not \
                         enough: {reason}",
                        self.dir.display()
                    ),
                };
                WalError::Damaged { path, reason }
            }
            other => other,
        }
    }

    fn remove_unfinished(&self) -> Result<(), WalError> {
        let fs = self.env.fs();
        let names = fs
            .read_dir(&self.dir)
            .map_err(|e| failed("list", &self.dir, e))?;
        for name in names
            .iter()
            .filter(|name| name.ends_with(UNFINISHED_SUFFIX))
        {
            let path = self.dir.join(name);
            fs.remove_file(&path)
                .map_err(|e| failed("remove", &path, e))?;
        }
        Ok(())
    }

    /// Zero without a snapshot.
    pub fn newest_position(&self) -> LogPosition {
        self.newest.unwrap_or_default()
    }

    /// # Errors
    /// As [`SnapshotFiles::open`].
    pub fn newest(&self) -> Result<Option<(LogPosition, Bytes)>, WalError> {
        match self.newest {
            Some(position) => Ok(Some((position, self.load(position)?))),
            None => Ok(None),
        }
    }

    /// Stores a snapshot durably, removes those that are no longer kept, and gives the position of
    /// the oldest that is: the log before it may go.
    ///
    /// # Errors
    /// [`WalError::Io`]: the older ones are still there.
    pub fn save(&self, position: LogPosition, pieces: &[Bytes]) -> Result<LogPosition, WalError> {
        let path = self.path(position);
        let fs = self.env.fs();
        self.write(&path, position, pieces)
            .map_err(|e| failed("write", &path, e))?;
        let (damaged, mut whole) = self.sorted()?;
        let surplus = whole.len().saturating_sub(KEPT);
        for old in damaged.into_iter().chain(whole.drain(..surplus)) {
            let path = self.path(old);
            fs.remove_file(&path)
                .map_err(|e| failed("remove", &path, e))?;
        }
        Ok(replayable_from(&whole))
    }

    /// As `Fs::write_atomic`, turn by turn.
    fn write(&self, path: &Path, position: LogPosition, pieces: &[Bytes]) -> io::Result<()> {
        let fs = self.env.fs();
        let temporary = path.with_extension(&UNFINISHED_SUFFIX[1..]);
        let fill = || {
            let file = fs.open(&temporary, OpenMode::Create)?;
            file.set_len(0)?;
            let mut out = Writer::new(&*file);
            frame(position, pieces, |bytes| out.add(bytes))?;
            out.end()?;
            file.sync_all()?;
            fs.rename(&temporary, path)
        };
        fill().inspect_err(|_| {
            // Most likely the disk is full: what is there already must not make it fuller.
            let _ = fs.remove_file(&temporary);
        })?;
        fs.sync_dir(&self.dir)
    }

    /// The log before this position is not needed by the snapshots that there are.
    ///
    /// # Errors
    /// [`WalError::Io`].
    pub fn oldest_position(&self) -> Result<LogPosition, WalError> {
        Ok(replayable_from(&self.sorted()?.1))
    }

    /// Those that were found damaged, and the others; oldest first.
    fn sorted(&self) -> Result<(Vec<LogPosition>, Vec<LogPosition>), WalError> {
        let positions = self.positions()?.into_iter();
        Ok(positions.partition(|position| self.damaged.contains(position)))
    }

    fn load(&self, position: LogPosition) -> Result<Bytes, WalError> {
        let path = self.path(position);
        let bytes = self
            .env
            .fs()
            .read(&path)
            .map_err(|e| failed("read", &path, e))?;
        parse(Bytes::from(bytes), position).map_err(|error| WalError::Damaged {
            path,
            reason: error.to_string(),
        })
    }

    fn path(&self, position: LogPosition) -> PathBuf {
        self.dir.join(format!("{:020}{SUFFIX}", position.0))
    }

    /// Oldest first.
    fn positions(&self) -> Result<Vec<LogPosition>, WalError> {
        let names = self
            .env
            .fs()
            .read_dir(&self.dir)
            .map_err(|e| failed("list", &self.dir, e))?;
        let mut positions: Vec<_> = names
            .iter()
            .filter_map(|name| name.strip_suffix(SUFFIX)?.parse().ok().map(LogPosition))
            .collect();
        positions.sort_unstable();
        Ok(positions)
    }
}

/// With a single one the log is kept whole, so that its loss could be mended by replay.
fn replayable_from(whole: &[LogPosition]) -> LogPosition {
    match whole {
        [oldest, _, ..] => *oldest,
        _ => LogPosition::default(),
    }
}

/// Puts bytes into a file one after the other, and syncs them turn by turn.
struct Writer<'a> {
    file: &'a dyn File,
    at: u64,
    turn: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(file: &'a dyn File) -> Writer<'a> {
        Writer {
            file,
            at: 0,
            turn: Vec::new(),
        }
    }

    fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.turn.len() + bytes.len() >= TURN_BYTES {
            let (now, later) = bytes.split_at(TURN_BYTES - self.turn.len());
            self.turn.extend_from_slice(now);
            self.write()?;
            self.file.sync_data()?;
            bytes = later;
        }
        self.turn.extend_from_slice(bytes);
        Ok(())
    }

    /// The last turn; it is not synced.
    fn end(mut self) -> io::Result<()> {
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.turn, self.at)?;
        self.at += self.turn.len() as u64;
        self.turn.clear();
        Ok(())
    }
}

/// Gives a whole snapshot file to `write`, piece by piece.
fn frame<E>(
    position: LogPosition,
    pieces: &[Bytes],
    mut write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut head = Encoder::new();
    head.u32(MAGIC);
    head.u32(VERSION);
    head.u64(position.0);
    head.u64(length as u64);
    let mut crc = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for piece in std::iter::once(&head.bytes[..]).chain(pieces.iter().map(|piece| &piece[..])) {
        crc.update(piece);
        write(piece)?;
    }
    write(&(crc.finalize() as u32).to_le_bytes())
}

fn parse(bytes: Bytes, position: LogPosition) -> Result<Bytes, DecodeError> {
    let split = bytes
        .len()
        .checked_sub(CRC_BYTES)
        .filter(|split| *split >= HEADER_BYTES)
        .ok_or(DecodeError("a snapshot is too short"))?;
    let (body, crc) = bytes.split_at(split);
    if checksum(CrcAlgorithm::Crc32Iscsi, body) as u32 != Decoder::new(crc).u32()? {
        return Err(DecodeError("the checksum of a snapshot does not match"));
    }
    let mut input = Decoder::new(body);
    if input.u32()? != MAGIC || input.u32()? != VERSION {
        return Err(DecodeError("not a snapshot of a version that is known"));
    }
    if input.u64()? != position.0 || input.u64()? != (split - HEADER_BYTES) as u64 {
        return Err(DecodeError("a snapshot stands under another's name"));
    }
    Ok(bytes.slice(HEADER_BYTES..split))
}

fn failed(doing: &'static str, path: &Path, error: io::Error) -> WalError {
    WalError::Io {
        doing,
        path: path.to_owned(),
        error: Arc::new(error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(position: u64, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let pieces = [Bytes::copy_from_slice(content)];
        let add = |bytes: &[u8]| {
            out.extend_from_slice(bytes);
            Ok::<_, std::convert::Infallible>(())
        };
        frame(LogPosition(position), &pieces, add).unwrap();
        out
    }

    #[test]
    fn a_snapshot_of_many_turns_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let env = Env::real();
        let files = SnapshotFiles::open(&env, folder.path()).unwrap();
        let piece = |byte: u8, bytes: usize| Bytes::from(vec![byte; bytes]);
        let pieces = [
            piece(1, TURN_BYTES - HEADER_BYTES),
            piece(2, 3 * TURN_BYTES + 7),
            Bytes::new(),
            piece(3, TURN_BYTES - 1),
        ];
        files.save(LogPosition(7), &pieces).unwrap();
        let opened = SnapshotFiles::open(&env, folder.path()).unwrap();
        let newest = opened.newest().unwrap();
        assert_eq!(newest, Some((LogPosition(7), Bytes::from(pieces.concat()))));
        assert_eq!(env.fs().read_dir(folder.path()).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn content_comes_back_and_only_under_its_own_name(at: u64, content: Vec<u8>) {
            let bytes = Bytes::from(framed(at, &content));
            prop_assert_eq!(parse(bytes.clone(), LogPosition(at)), Ok(Bytes::from(content)));
            prop_assert!(parse(bytes, LogPosition(at ^ 1)).is_err());
        }

        #[test]
        fn a_flipped_bit_is_found(content: Vec<u8>, bit: usize) {
            let mut bytes = framed(7, &content);
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(parse(bytes.into(), LogPosition(7)).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = parse(bytes.into(), LogPosition(0));
        }
    }
}
