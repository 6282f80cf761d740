//! Where things lie in the stored files, told from the stored format alone.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use levada_env::{Fs, fault::FaultFs};
use levada_wal::{
    FrameKind,
    format::{FRAME_HEADER_BYTES, FrameHeader, GROUP_HEADER_BYTES, GroupHeader},
};

use crate::folder::DIR;

/// A frame of the log.
#[derive(Clone, Debug)]
pub struct Frame {
    pub path: PathBuf,
    pub kind: FrameKind,
    /// The frame in its file, header included.
    pub range: Range<u64>,
    /// Position in the log, of the original for a copy.
    pub position: u64,
    pub payload: Vec<u8>,
}

/// All files of the folder with their bytes.
pub fn files(fs: &FaultFs) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in ["wal", "snapshot", "wal/quarantine"] {
        let folder = Path::new(DIR).join(folder);
        for name in fs.read_dir(&folder).unwrap_or_default() {
            let path = folder.join(name);
            if let Ok(bytes) = fs.read(&path) {
                found.push((path, bytes));
            }
        }
    }
    found
}

/// Groups of a log file: start in the file and header.
pub fn groups(bytes: &[u8]) -> Vec<(usize, GroupHeader)> {
    let mut at = 0;
    let mut found = Vec::new();
    while let Some((header, _)) = bytes.get(at..).and_then(GroupHeader::decode) {
        found.push((at, header));
        at += header.total_bytes as usize;
    }
    found
}

pub fn frames(files: &[(PathBuf, Vec<u8>)]) -> Vec<Frame> {
    let mut found = Vec::new();
    for (path, bytes) in files {
        for (group_at, group) in groups(bytes) {
            let mut at = group_at + GROUP_HEADER_BYTES;
            for _ in 0..group.frame_count {
                let head =
                    FrameHeader::decode(&bytes[at..], group.incarnation, group.position).unwrap();
                let payload_at = at + FRAME_HEADER_BYTES;
                let end = payload_at + head.payload_bytes as usize;
                found.push(Frame {
                    path: path.clone(),
                    kind: head.kind,
                    range: at as u64..end as u64,
                    position: head.position,
                    payload: bytes[payload_at..end].to_vec(),
                });
                at = end;
            }
        }
    }
    found
}
