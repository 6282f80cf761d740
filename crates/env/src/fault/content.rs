//! A file's bytes: as seen, as safe, and the changes between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::random::SeededRandom;

pub(super) const BLOCK_BYTES: u64 = 4096;
const SECTOR_BYTES: usize = 512;

/// A file's bytes in shared blocks; blocks that are missing are zeros.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) len: u64,
    blocks: BTreeMap<u64, Arc<Vec<u8>>>,
}

impl Content {
    pub(super) fn write(&mut self, bytes: &[u8], mut offset: u64) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (block, at) = (offset / BLOCK_BYTES, (offset % BLOCK_BYTES) as usize);
            let count = rest.len().min(BLOCK_BYTES as usize - at);
            let zeros = || Arc::new(vec![0; BLOCK_BYTES as usize]);
            let target = Arc::make_mut(self.blocks.entry(block).or_insert_with(zeros));
            target[at..at + count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            offset += count as u64;
        }
        self.len = self.len.max(offset);
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buf.len().min(left);
        let mut done = 0;
        while done < count {
            let position = offset + done as u64;
            let (block, at) = (position / BLOCK_BYTES, (position % BLOCK_BYTES) as usize);
            let piece = (count - done).min(BLOCK_BYTES as usize - at);
            let target = &mut buf[done..done + piece];
            match self.blocks.get(&block) {
                Some(bytes) => target.copy_from_slice(&bytes[at..at + piece]),
                None => target.fill(0),
            }
            done += piece;
        }
        count
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.blocks.split_off(&len.div_ceil(BLOCK_BYTES));
            if let Some(block) = self.blocks.get_mut(&(len / BLOCK_BYTES)) {
                Arc::make_mut(block)[(len % BLOCK_BYTES) as usize..].fill(0);
            }
        }
        self.len = len;
    }
}

pub(super) enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

impl Change {
    pub(super) fn apply(&self, content: &mut Content) {
        match self {
            Self::Write { offset, bytes } => content.write(bytes, *offset),
            Self::SetLen(len) => content.set_len(*len),
        }
    }
}

#[derive(Default)]
pub(super) struct Inode {
    pub(super) now: Content,
    pub(super) safe: Content,
    pub(super) pending: Vec<Change>,
    pub(super) allocated: BTreeSet<u64>,
}

impl Inode {
    /// The same bytes, all of them safe.
    pub(super) fn image(&self) -> Self {
        Self {
            now: self.now.clone(),
            safe: self.now.clone(),
            pending: Vec::new(),
            allocated: self.allocated.clone(),
        }
    }
}

pub(super) enum Kept {
    None,
    All(Change),
    /// And whether a later part was left although an earlier one was not.
    Parts(Vec<Change>, bool),
}

/// What is left of an unsynced change.
pub(super) fn keep(random: &SeededRandom, change: Change) -> Kept {
    match (random.below(4), change) {
        (0, _) => Kept::None,
        (1, change) | (_, change @ Change::SetLen(_)) => Kept::All(change),
        (how, Change::Write { offset, bytes }) => {
            let sectors = bytes.len().div_ceil(SECTOR_BYTES) as u64;
            let cut = random.below(sectors + 1);
            let kept = bytes
                .chunks(SECTOR_BYTES)
                .enumerate()
                .filter(|(i, _)| match how {
                    2 => (*i as u64) < cut, // A prefix.
                    _ => random.one_in(2),  // Any sectors.
                });
            let part = |(i, sector): (usize, &[u8])| Change::Write {
                offset: offset + (i * SECTOR_BYTES) as u64,
                bytes: sector.to_vec(),
            };
            let kept: Vec<(usize, &[u8])> = kept.collect();
            let reordered = kept.last().is_some_and(|(last, _)| *last >= kept.len());
            Kept::Parts(kept.into_iter().map(part).collect(), reordered)
        }
    }
}
