//! The state of the faulty disk: what is seen, what is safe, and what lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::content::{BLOCK_BYTES, Change, Inode, Kept, keep};
use super::names::NameOp;
use super::{Crash, FaultCounts, FaultPlan};
use crate::fs::OpenMode;
use crate::random::SeededRandom;

/// What a disk without a limit says of its size.
const UNLIMITED_BYTES: u64 = 1 << 40;

pub(super) struct Disk {
    pub(super) boot: u64,
    pub(super) plan: FaultPlan,
    pub(super) capacity: Option<u64>,
    pub(super) fail_next_sync: bool,
    pub(super) power_left: Option<u64>,
    pub(super) counts: FaultCounts,
    random: SeededRandom,
    names: BTreeMap<PathBuf, u64>,
    safe_names: BTreeMap<PathBuf, u64>,
    pending_names: Vec<NameOp>,
    dirs: BTreeSet<PathBuf>,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    locks: BTreeSet<PathBuf>,
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn eio(what: &str) -> io::Error {
    io::Error::other(format!("input/output error ({what})"))
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            boot: 0,
            plan: FaultPlan::default(),
            capacity: None,
            fail_next_sync: false,
            power_left: None,
            counts: FaultCounts::default(),
            random: SeededRandom::new(seed),
            names: BTreeMap::new(),
            safe_names: BTreeMap::new(),
            pending_names: Vec::new(),
            dirs: BTreeSet::from([PathBuf::from("/")]),
            inodes: BTreeMap::new(),
            next_inode: 0,
            locks: BTreeSet::new(),
        }
    }

    pub(super) fn image(&self, seed: u64) -> Self {
        let mut image = Self::new(seed);
        image.names = self.names.clone();
        image.safe_names = self.names.clone();
        image.dirs = self.dirs.clone();
        image.next_inode = self.next_inode;
        for id in self.names.values() {
            let Some(inode) = self.inodes.get(id) else {
                continue;
            };
            image.inodes.insert(*id, inode.image());
        }
        image
    }

    /// Counts a call that changes something; the power may go at it.
    fn change(&mut self) -> io::Result<()> {
        match &mut self.power_left {
            Some(0) => Err(eio("the power is off")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn is_off(&self) -> bool {
        self.power_left == Some(0)
    }

    fn check_power(&self) -> io::Result<()> {
        if self.is_off() {
            Err(eio("the power is off"))
        } else {
            Ok(())
        }
    }

    fn inode(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&inode).ok_or_else(not_found)
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        if self.dirs.contains(parent) {
            Ok(())
        } else {
            Err(not_found())
        }
    }

    pub(super) fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<u64> {
        self.check_power()?;
        match (self.names.get(path), mode) {
            (Some(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => Ok(*inode),
            (None, OpenMode::Read | OpenMode::ReadWrite) => Err(not_found()),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                self.check_parent(path)?;
                self.change()?;
                let inode = self.next_inode;
                self.next_inode += 1;
                self.inodes.insert(inode, Inode::default());
                self.name_op(NameOp::Link(path.to_owned(), inode));
                Ok(inode)
            }
        }
    }

    fn name_op(&mut self, op: NameOp) {
        op.apply(&mut self.names);
        self.pending_names.push(op);
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.check_power()?;
        self.dirs.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    pub(super) fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.check_power()?;
        if !self.dirs.contains(path) {
            return Err(not_found());
        }
        let files = self.names.keys().chain(&self.dirs);
        let inside = files.filter(|name| name.parent() == Some(path));
        let mut names: Vec<String> = inside
            .filter_map(|p| Some(p.file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        self.check_parent(to)?;
        if !self.names.contains_key(from) {
            return Err(not_found());
        }
        self.name_op(NameOp::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.change()?;
        if !self.names.contains_key(path) {
            return Err(not_found());
        }
        self.name_op(NameOp::Unlink(path.to_owned()));
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        self.change()?;
        self.counts.syncs += 1;
        if !self.dirs.contains(dir) {
            return Err(not_found());
        }
        if self.is_off() {
            return Err(eio("the power went during a sync"));
        }
        for op in std::mem::take(&mut self.pending_names) {
            if op.concerns(dir) {
                op.apply(&mut self.safe_names);
            } else {
                self.pending_names.push(op);
            }
        }
        Ok(())
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.names.contains_key(path) || self.dirs.contains(path)
    }

    /// Blocks that named files take.
    pub(super) fn used_bytes(&self) -> u64 {
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        let blocks = |inode: &u64| {
            self.inodes
                .get(inode)
                .map_or(0, |i| i.allocated.len() as u64)
        };
        named.iter().map(blocks).sum::<u64>() * BLOCK_BYTES
    }

    pub(super) fn available_bytes(&self) -> io::Result<u64> {
        self.check_power()?;
        Ok(self.capacity.map_or(UNLIMITED_BYTES, |capacity| {
            capacity.saturating_sub(self.used_bytes())
        }))
    }

    pub(super) fn total_bytes(&self) -> io::Result<u64> {
        self.check_power()?;
        Ok(self.capacity.unwrap_or(UNLIMITED_BYTES))
    }

    pub(super) fn delay(&mut self) -> Duration {
        if !self.random.one_in(self.plan.slow_one_in) {
            return Duration::ZERO;
        }
        self.counts.slow_calls += 1;
        Duration::from_millis(1 + self.random.below(self.plan.slow_ms_max))
    }

    pub(super) fn is_locked(&self, path: &Path) -> bool {
        self.locks.contains(path)
    }

    pub(super) fn set_locked(&mut self, path: &Path, locked: bool) {
        if locked {
            self.locks.insert(path.to_owned());
        } else {
            self.locks.remove(path);
        }
    }

    pub(super) fn read(&mut self, inode: u64, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.check_power()?;
        if self.random.one_in(self.plan.read_error_one_in) {
            self.counts.read_errors += 1;
            return Err(eio("a read"));
        }
        let mut count = buf.len();
        if count > 1 && self.random.one_in(self.plan.short_read_one_in) {
            self.counts.short_reads += 1;
            count = 1 + self.random.below(count as u64 - 1) as usize;
        }
        Ok(self.inode(inode)?.now.read(&mut buf[..count], offset))
    }

    /// How many of `bytes` bytes at `offset` there is room for; takes the room.
    fn take_room(&mut self, inode: u64, bytes: u64, offset: u64) -> io::Result<u64> {
        let room = self
            .capacity
            .map(|c| c.saturating_sub(self.used_bytes()) / BLOCK_BYTES);
        let allocated = &mut self.inode(inode)?.allocated;
        let mut left = room.unwrap_or(u64::MAX);
        for block in offset / BLOCK_BYTES..(offset + bytes).div_ceil(BLOCK_BYTES) {
            if !allocated.contains(&block) {
                if left == 0 {
                    return Ok((block * BLOCK_BYTES).saturating_sub(offset));
                }
                left -= 1;
                allocated.insert(block);
            }
        }
        Ok(bytes)
    }

    pub(super) fn write(&mut self, inode: u64, mut bytes: Vec<u8>, offset: u64) -> io::Result<()> {
        self.change()?;
        self.counts.writes += 1;
        let mut result = Ok(());
        let room = self.take_room(inode, bytes.len() as u64, offset)?;
        if room < bytes.len() as u64 {
            self.counts.full_writes += 1;
            bytes.truncate(room as usize);
            result = Err(io::ErrorKind::StorageFull.into());
        } else if self.random.one_in(self.plan.write_error_one_in) {
            self.counts.write_errors += 1;
            let part = self.random.below(bytes.len() as u64) as usize;
            bytes.truncate(part);
            result = Err(eio("a write"));
        } else if self.is_off() {
            result = Err(eio("the power went during a write"));
        }
        if !bytes.is_empty() {
            self.apply(inode, Change::Write { offset, bytes })?;
        }
        result
    }

    fn apply(&mut self, inode: u64, change: Change) -> io::Result<()> {
        let inode = self.inode(inode)?;
        change.apply(&mut inode.now);
        inode.pending.push(change);
        Ok(())
    }

    pub(super) fn sync(&mut self, inode: u64) -> io::Result<()> {
        self.change()?;
        self.counts.syncs += 1;
        let by_chance = self.random.one_in(self.plan.sync_error_one_in);
        let fails = std::mem::take(&mut self.fail_next_sync) || by_chance;
        if self.is_off() {
            return Err(eio("the power went during a sync"));
        }
        let target = self.inode(inode)?;
        let pending = std::mem::take(&mut target.pending);
        if fails {
            // As Linux does: the pages count as clean now and are never written again.
            self.counts.sync_errors += 1;
            return Err(eio("a sync"));
        }
        for change in pending {
            change.apply(&mut target.safe);
        }
        Ok(())
    }

    pub(super) fn len(&mut self, inode: u64) -> io::Result<u64> {
        self.check_power()?;
        Ok(self.inode(inode)?.now.len)
    }

    pub(super) fn set_len(&mut self, inode: u64, len: u64) -> io::Result<()> {
        self.change()?;
        self.inode(inode)?
            .allocated
            .split_off(&len.div_ceil(BLOCK_BYTES));
        self.apply(inode, Change::SetLen(len))
    }

    pub(super) fn allocate(&mut self, inode: u64, len: u64) -> io::Result<()> {
        self.change()?;
        if self.take_room(inode, len, 0)? < len {
            self.counts.full_writes += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.inode(inode)?.now.len < len {
            self.apply(inode, Change::SetLen(len))
        } else {
            Ok(())
        }
    }

    pub(super) fn flip_bit(&mut self, path: &Path, offset: u64, bit: u8) -> io::Result<()> {
        let inode = *self.names.get(path).ok_or_else(not_found)?;
        let inode = self.inode(inode)?;
        for content in [&mut inode.now, &mut inode.safe] {
            let mut byte = [0];
            if content.read(&mut byte, offset) == 1 {
                content.write(&[byte[0] ^ (1 << (bit % 8))], offset);
            }
        }
        self.counts.bits_flipped += 1;
        Ok(())
    }

    pub(super) fn crash(&mut self, kind: Crash) {
        self.boot += 1;
        self.power_left = None;
        self.counts.crashes += 1;
        self.locks.clear();
        if kind == Crash::Kill {
            return;
        }
        let some = kind == Crash::KeepSome;
        for op in std::mem::take(&mut self.pending_names) {
            if some && self.random.one_in(2) {
                op.apply(&mut self.safe_names);
            } else {
                self.counts.names_lost += 1;
            }
        }
        self.names = self.safe_names.clone();
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|id, _| named.contains(id));
        for inode in self.inodes.values_mut() {
            let mut gap = false;
            for change in std::mem::take(&mut inode.pending) {
                let kept = if some {
                    keep(&self.random, change)
                } else {
                    Kept::None
                };
                match kept {
                    Kept::None => {
                        self.counts.writes_lost += 1;
                        gap = true;
                    }
                    Kept::All(change) => {
                        self.counts.writes_reordered += u64::from(gap);
                        change.apply(&mut inode.safe);
                    }
                    Kept::Parts(parts, reordered) => {
                        self.counts.writes_torn += 1;
                        self.counts.writes_reordered += u64::from(gap || reordered);
                        gap = true;
                        parts.iter().for_each(|part| part.apply(&mut inode.safe));
                    }
                }
            }
            inode.now = inode.safe.clone();
            inode.allocated = (0..inode.now.len.div_ceil(BLOCK_BYTES)).collect();
        }
    }
}
