//! The table of all partitions by their dense id, in pages: a look-up costs one hash of a page's
//! number, and ids that are gone cost nothing.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use levada_model::codec::Encoder;
use levada_model::{PartitionId, TopicId};

use crate::partitions::Partition;
use crate::saver::{Mark, Saver};
use crate::topics::PartitionRange;

/// Partitions in one page of the table: a power of two.
const PAGE_PARTITIONS: u64 = 64;

/// The slots lie apart from their count: 4 KiB, which allocators round to nothing larger.
struct Page {
    slots: Box<[Option<Partition>; PAGE_PARTITIONS as usize]>,
    live: u32,
}

/// All partitions.
pub(crate) struct PartitionTable {
    pages: HashMap<u64, Page, FixedState>,
    count: u64,
    next: u64,
}

impl PartitionTable {
    pub fn new() -> Self {
        PartitionTable {
            pages: HashMap::with_hasher(FixedState::default()),
            count: 0,
            next: 0,
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn get(&self, id: PartitionId) -> Option<&Partition> {
        let page = self.pages.get(&(id.0 / PAGE_PARTITIONS))?;
        page.slots[(id.0 % PAGE_PARTITIONS) as usize].as_ref()
    }

    pub fn get_mut(&mut self, id: PartitionId) -> Option<&mut Partition> {
        let page = self.pages.get_mut(&(id.0 / PAGE_PARTITIONS))?;
        page.slots[(id.0 % PAGE_PARTITIONS) as usize].as_mut()
    }

    /// Makes `count` partitions of a topic, numbered from `from`; returns the first id.
    pub fn create(
        &mut self,
        topic: TopicId,
        from: u32,
        count: u32,
        log_append_time: bool,
        saver: &Saver,
    ) -> PartitionId {
        let first = PartitionId(self.next);
        self.next += u64::from(count);
        self.fill(from, PartitionRange { first, count }, |number| {
            Partition::new(topic, number, log_append_time, saver.mark())
        });
        first
    }

    /// Makes partitions again that a snapshot has; `None` when one of them is there already, or
    /// was never given.
    pub fn restore(
        &mut self,
        topic: TopicId,
        from: u32,
        range: PartitionRange,
        log_append_time: bool,
    ) -> Option<()> {
        let end = range.first.0.checked_add(u64::from(range.count))?;
        let ids = range.first.0..end;
        if end > self.next || ids.clone().any(|id| self.get(PartitionId(id)).is_some()) {
            return None;
        }
        self.fill(from, range, |number| {
            Partition::new(topic, number, log_append_time, Mark::default())
        });
        Some(())
    }

    fn fill(&mut self, from: u32, range: PartitionRange, make: impl Fn(u32) -> Partition) {
        for at in 0..range.count {
            let id = PartitionId(range.first.0 + u64::from(at));
            self.insert(id, make(from + at));
        }
    }

    fn insert(&mut self, id: PartitionId, partition: Partition) {
        let page = self
            .pages
            .entry(id.0 / PAGE_PARTITIONS)
            .or_insert_with(|| Page {
                slots: Box::new([const { None }; PAGE_PARTITIONS as usize]),
                live: 0,
            });
        let slot = &mut page.slots[(id.0 % PAGE_PARTITIONS) as usize];
        if slot.replace(partition).is_none() {
            page.live += 1;
            self.count += 1;
        }
    }

    pub fn remove(&mut self, id: PartitionId) -> Option<Partition> {
        let number = id.0 / PAGE_PARTITIONS;
        let page = self.pages.get_mut(&number)?;
        let gone = page.slots[(id.0 % PAGE_PARTITIONS) as usize].take()?;
        page.live -= 1;
        self.count -= 1;
        if page.live == 0 {
            self.pages.remove(&number);
        }
        Some(gone)
    }

    /// The id that the next partition gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    pub fn set_next(&mut self, next: u64) {
        self.next = next;
    }

    /// Begins a walk over the partitions that are there now.
    pub fn walk(&self) -> PageWalk {
        PageWalk {
            pages: self.pages.keys().copied().collect(),
            slot: 0,
        }
    }

    /// Saves the next rows; returns the partitions visited, 0 at the end. Stops early once the
    /// saver holds `bytes_max`.
    pub fn save_slice(
        &mut self,
        walk: &mut PageWalk,
        saver: &mut Saver,
        rows_max: usize,
        bytes_max: usize,
    ) -> usize {
        let mut visited = 0;
        while let Some(number) = walk.pages.last().copied() {
            while walk.slot < PAGE_PARTITIONS as usize {
                if visited >= rows_max || saver.pending_bytes() >= bytes_max {
                    return visited.max(1);
                }
                let slot = walk.slot;
                walk.slot += 1;
                visited += 1;
                let page = self.pages.get_mut(&number);
                if let Some(partition) = page.and_then(|page| page.slots[slot].as_mut()) {
                    let id = PartitionId(number * PAGE_PARTITIONS + slot as u64);
                    partition.save(id, saver);
                }
            }
            walk.pages.pop();
            walk.slot = 0;
        }
        visited
    }

    /// Appends every row, in the order of the ids.
    pub fn digest(&self, out: &mut Encoder) {
        let mut pages: Vec<_> = self.pages.keys().copied().collect();
        pages.sort_unstable();
        for number in pages {
            let slots = self.pages.get(&number).map(|page| page.slots.iter());
            for (slot, partition) in slots.into_iter().flatten().enumerate() {
                if let Some(partition) = partition {
                    let id = PartitionId(number * PAGE_PARTITIONS + slot as u64);
                    partition.write_row(id, out);
                }
            }
        }
    }
}

/// How far a snapshot has walked through the partitions: pages still to come.
pub(crate) struct PageWalk {
    pages: Vec<u64>,
    slot: usize,
}
