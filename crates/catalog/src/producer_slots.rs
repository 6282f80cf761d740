//! The rows of producers: compact slots in pages, found by key, listed by their last use.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use levada_model::codec::{DecodeError, Decoder, Encoder};
use levada_model::limits::PRODUCER_WINDOW_BATCHES;
use levada_model::{PartitionId, ProducerId};
use std::hash::BuildHasher;

use crate::encoding::small;
use crate::partitions::{NO_APPEND_TIME, append_time};
use crate::saver::{Mark, RowKind, Saver};

/// Batches of a window besides the newest one.
pub(crate) const OLDER_BATCHES: usize = PRODUCER_WINDOW_BATCHES - 1;
const PAGE_SLOTS: usize = 256;
/// No slot.
const NONE: u32 = u32::MAX;
/// What a row counts for in memory: its slot and its share of the index, at worst half empty.
pub(crate) const ROW_BYTES: usize = size_of::<Slot>() + 2 * (size_of::<Entry>() + 1);
/// What a window of more than one batch counts for besides: its block on the heap.
pub(crate) const OLDER_BYTES: usize = size_of::<[Batch; OLDER_BATCHES]>() + 16;

const _: () = assert!(size_of::<Slot>() <= 96);

/// A batch in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub base: i64,
    /// `NO_APPEND_TIME` without LogAppendTime.
    pub append_time_ms: i64,
    /// Sequences, at least one.
    pub count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    partition: u64,
    producer: i64,
}

impl Key {
    pub fn new(partition: PartitionId, producer: ProducerId) -> Key {
        Key {
            partition: partition.0,
            producer: producer.0,
        }
    }

    fn hash(&self) -> u32 {
        FixedState::default().hash_one((self.partition, self.producer)) as u32
    }
}

/// One producer in one partition.
pub(crate) struct Slot {
    key: Key,
    pub used_ms: i64,
    /// Of all rows, the one that was used last has the largest.
    use_order: u64,
    newest: Batch,
    older: Option<Box<[Batch; OLDER_BATCHES]>>,
    /// The last sequence of the newest batch.
    pub last_sequence: i32,
    /// Sequences of this epoch that were taken before those in the window, saturating.
    pub before: u32,
    newer_slot: u32,
    older_slot: u32,
    mark: Mark,
    pub epoch: i16,
    older_count: u8,
    free: bool,
}

impl Slot {
    pub fn new(key: Key, epoch: i16, batch: Batch, last_sequence: i32, mark: Mark) -> Slot {
        Slot {
            key,
            used_ms: 0,
            use_order: 0,
            newest: batch,
            older: None,
            last_sequence,
            before: 0,
            newer_slot: NONE,
            older_slot: NONE,
            mark,
            epoch,
            older_count: 0,
            free: false,
        }
    }

    fn older(&self) -> &[Batch] {
        let all = self.older.as_deref().map_or(&[][..], |older| older);
        all.get(..usize::from(self.older_count)).unwrap_or(all)
    }

    /// The batches, newest first.
    pub fn window(&self) -> impl Iterator<Item = &Batch> {
        std::iter::once(&self.newest).chain(self.older())
    }

    fn push(&mut self, batch: Batch, last_sequence: i32) {
        let older = self.older.get_or_insert_default();
        if usize::from(self.older_count) == OLDER_BATCHES {
            self.before = self.before.saturating_add(older[OLDER_BATCHES - 1].count);
        } else {
            self.older_count += 1;
        }
        older.rotate_right(1);
        older[0] = self.newest;
        self.newest = batch;
        self.last_sequence = last_sequence;
    }

    fn bytes(&self) -> usize {
        ROW_BYTES + self.older.as_ref().map_or(0, |_| OLDER_BYTES)
    }

    fn write_row(&self, out: &mut Encoder) {
        out.varint(self.key.partition);
        out.signed(self.key.producer);
        out.signed(i64::from(self.epoch));
        out.signed(self.used_ms);
        out.varint(self.use_order);
        out.varint(self.last_sequence as u64);
        out.varint(u64::from(self.before));
        out.count(1 + self.older().len());
        for batch in self.window() {
            out.varint(u64::from(batch.count));
            out.signed(batch.base);
            out.option(append_time(batch.append_time_ms), Encoder::signed);
        }
    }

    fn read_row(input: &mut Decoder<'_>) -> Result<Slot, DecodeError> {
        let narrow = DecodeError("number is too large for its field");
        let key = Key {
            partition: input.varint()?,
            producer: input.signed()?,
        };
        let epoch = input.signed()?.try_into().map_err(|_| narrow)?;
        let used_ms = input.signed()?;
        let use_order = input.varint()?;
        let last_sequence = input.varint()?.try_into().map_err(|_| narrow)?;
        let before = small(input)?;
        let batches = input.list(read_batch)?;
        let (newest, older) = batches
            .split_first()
            .filter(|(_, older)| older.len() <= OLDER_BATCHES)
            .ok_or(DecodeError("a producer's window has a wrong size"))?;
        let mut row = Slot::new(key, epoch, *newest, last_sequence, Mark::default());
        (row.used_ms, row.use_order, row.before) = (used_ms, use_order, before);
        row.older_count = older.len() as u8;
        if !older.is_empty() {
            let block = row.older.get_or_insert_default();
            for (to, from) in block.iter_mut().zip(older) {
                *to = *from;
            }
        }
        Ok(row)
    }
}

fn read_batch(input: &mut Decoder<'_>) -> Result<Batch, DecodeError> {
    let count = small(input)?;
    if count == 0 {
        return Err(DecodeError("a batch in a producer's window is empty"));
    }
    Ok(Batch {
        count,
        base: input.signed()?,
        append_time_ms: input.option(Decoder::signed)?.unwrap_or(NO_APPEND_TIME),
    })
}

/// The index keeps a part of the hash, so that it grows without touching the slots.
struct Entry {
    hash: u32,
    slot: u32,
}

/// Both ends of a hash table's use of the bits: low ones choose the bucket, high ones the tag.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// All slots.
pub(crate) struct Slots {
    pages: Vec<Vec<Slot>>,
    index: HashTable<Entry>,
    newest: u32,
    oldest: u32,
    /// First of the free slots, chained by `older_slot`.
    free: u32,
    live: usize,
    bytes: usize,
}

impl Default for Slots {
    fn default() -> Self {
        Slots {
            pages: Vec::new(),
            index: HashTable::new(),
            newest: NONE,
            oldest: NONE,
            free: NONE,
            live: 0,
            bytes: 0,
        }
    }
}

impl Slots {
    pub fn len(&self) -> usize {
        self.live
    }

    /// Memory that the rows count for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The least recently used row.
    pub fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    pub fn find(&self, key: Key) -> Option<u32> {
        let hash = key.hash();
        let same = |entry: &Entry| entry.hash == hash && self.get(entry.slot).key == key;
        self.index.find(spread(hash), same).map(|entry| entry.slot)
    }

    /// A slot by the number that another method of this table gave.
    pub fn get(&self, at: u32) -> &Slot {
        &self.pages[at as usize / PAGE_SLOTS][at as usize % PAGE_SLOTS]
    }

    fn get_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.pages[at as usize / PAGE_SLOTS][at as usize % PAGE_SLOTS]
    }

    /// Adds a row that is not there yet; `touch` must follow.
    pub fn insert(&mut self, row: Slot) -> u32 {
        let hash = row.key.hash();
        self.live += 1;
        self.bytes += row.bytes();
        let at = self.take_slot(row);
        self.index
            .insert_unique(spread(hash), Entry { hash, slot: at }, |entry| {
                spread(entry.hash)
            });
        at
    }

    fn take_slot(&mut self, row: Slot) -> u32 {
        if self.free != NONE {
            let at = self.free;
            self.free = self.get(at).older_slot;
            *self.get_mut(at) = row;
            return at;
        }
        if self
            .pages
            .last()
            .is_none_or(|page| page.len() == PAGE_SLOTS)
        {
            self.pages.push(Vec::with_capacity(PAGE_SLOTS));
        }
        let before = (self.pages.len() - 1) * PAGE_SLOTS;
        let last = self.pages.len() - 1;
        self.pages[last].push(row);
        (before + self.pages[last].len() - 1) as u32
    }

    pub fn remove(&mut self, at: u32) {
        self.unlink(at);
        let (key, bytes) = (self.get(at).key, self.get(at).bytes());
        let found = self
            .index
            .find_entry(spread(key.hash()), |entry| entry.slot == at);
        if let Ok(found) = found {
            found.remove();
        }
        let free = self.free;
        let slot = self.get_mut(at);
        slot.older = None;
        slot.free = true;
        slot.older_slot = free;
        self.free = at;
        self.live -= 1;
        self.bytes -= bytes;
    }

    /// Adds the next batch to a window.
    pub fn widen(&mut self, at: u32, batch: Batch, last_sequence: i32) {
        let slot = self.get_mut(at);
        let before = slot.bytes();
        slot.push(batch, last_sequence);
        let added = slot.bytes() - before;
        self.bytes += added;
    }

    /// Makes a row the most recently used one.
    pub fn touch(&mut self, at: u32, now_ms: i64, use_order: u64) {
        self.unlink(at);
        let newest = self.newest;
        let slot = self.get_mut(at);
        slot.used_ms = now_ms;
        slot.use_order = use_order;
        slot.older_slot = newest;
        if newest == NONE {
            self.oldest = at;
        } else {
            self.get_mut(newest).newer_slot = at;
        }
        self.newest = at;
    }

    /// Takes a row out of the list of uses, if it is in it.
    fn unlink(&mut self, at: u32) {
        let slot = self.get_mut(at);
        let (newer, older) = (slot.newer_slot, slot.older_slot);
        (slot.newer_slot, slot.older_slot) = (NONE, NONE);
        match newer {
            NONE if self.newest == at => self.newest = older,
            NONE => {}
            newer => self.get_mut(newer).older_slot = older,
        }
        match older {
            NONE if self.oldest == at => self.oldest = newer,
            NONE => {}
            older => self.get_mut(older).newer_slot = newer,
        }
    }

    /// Writes the row, if the snapshot under way still lacks it.
    #[inline]
    pub fn save(&mut self, at: u32, saver: &mut Saver) {
        let slot = self.get_mut(at);
        if saver.wants(slot.mark) {
            slot.mark = saver.mark();
            slot.write_row(saver.row(RowKind::Producer));
        }
    }

    /// Saves the next rows; returns the slots visited, 0 at the end.
    pub fn save_slice(&mut self, cursor: &mut u32, saver: &mut Saver, slots_max: usize) -> usize {
        let used = self
            .pages
            .last()
            .map_or(0, |last| (self.pages.len() - 1) * PAGE_SLOTS + last.len());
        let from = *cursor as usize;
        let to = used.min(from.saturating_add(slots_max));
        for at in from..to {
            if !self.get(at as u32).free {
                self.save(at as u32, saver);
            }
        }
        *cursor = to.max(from) as u32;
        to.saturating_sub(from)
    }

    /// Takes the rows of a snapshot, in any order.
    pub fn restore(&mut self, mut rows: Vec<Slot>) -> Result<(), DecodeError> {
        rows.sort_unstable_by_key(|row| row.use_order);
        for row in rows {
            if self.find(row.key).is_some() {
                return Err(DecodeError("a producer occurs twice"));
            }
            let (used_ms, use_order) = (row.used_ms, row.use_order);
            let at = self.insert(row);
            self.touch(at, used_ms, use_order);
        }
        Ok(())
    }

    pub fn digest(&self, out: &mut Encoder) {
        let mut at = self.oldest;
        while at != NONE {
            self.get(at).write_row(out);
            at = self.get(at).newer_slot;
        }
    }
}

/// Reads one saved row, for [`Slots::restore`].
pub(crate) fn read_row(input: &mut Decoder<'_>) -> Result<Slot, DecodeError> {
    Slot::read_row(input)
}
