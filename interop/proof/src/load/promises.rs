//! A partition's promises, eight bytes each: a long run makes millions of them.

use std::collections::VecDeque;
use std::ops::Range;

use super::ledger::Mark;

/// Bits of a slot that hold the count; the writer's number stands above them, from 1.
const COUNT_BITS: u32 = 48;
const NOTHING: u64 = 0;

#[derive(Default)]
pub(super) struct Promises {
    writers: Vec<String>,
    /// The offset of the first slot.
    start: i64,
    slots: VecDeque<u64>,
}

impl Promises {
    fn number(&mut self, writer: &str) -> u64 {
        let known = self.writers.iter().position(|name| name == writer);
        let index = known.unwrap_or_else(|| {
            self.writers.push(writer.to_owned());
            self.writers.len() - 1
        });
        index as u64 + 1
    }

    fn mark(&self, slot: u64) -> Option<Mark> {
        let index = (slot >> COUNT_BITS).checked_sub(1)?;
        Some(Mark {
            writer: self.writers.get(index as usize)?.clone(),
            count: slot & ((1 << COUNT_BITS) - 1),
        })
    }

    fn slot(&self, offset: i64) -> u64 {
        let index = usize::try_from(offset - self.start).ok();
        let slot = index.and_then(|index| self.slots.get(index));
        slot.copied().unwrap_or(NOTHING)
    }

    /// Keeps a promise; gives the one that stood there if it was another.
    pub fn put(&mut self, offset: i64, mark: &Mark) -> Option<Mark> {
        let slot = self.number(&mark.writer) << COUNT_BITS | mark.count;
        if offset < self.start {
            return None; // forgotten: a slow consumer's line
        }
        let index = (offset - self.start) as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, NOTHING);
        }
        let before = std::mem::replace(&mut self.slots[index], slot);
        if before == slot {
            return None;
        }
        self.mark(before)
    }

    /// What was promised at the offset, if it is not this.
    pub fn differs(&self, offset: i64, mark: &Mark) -> Option<Mark> {
        let slot = self.slot(offset);
        let index = (slot >> COUNT_BITS).checked_sub(1)?;
        let is_same = slot & ((1 << COUNT_BITS) - 1) == mark.count
            && self.writers.get(index as usize) == Some(&mark.writer);
        if is_same { None } else { self.mark(slot) }
    }

    pub fn within(&self, offsets: Range<i64>) -> Vec<(i64, Mark)> {
        let end = (self.start + self.slots.len() as i64).min(offsets.end);
        let mine = offsets.start.max(self.start)..end;
        mine.filter_map(|offset| Some((offset, self.mark(self.slot(offset))?)))
            .collect()
    }

    pub fn last(&self) -> Option<i64> {
        // The last slot always holds something: it was made to be filled.
        let length = i64::try_from(self.slots.len()).ok()?;
        (length > 0).then(|| self.start + length - 1)
    }

    pub fn forget_below(&mut self, offset: i64) {
        let count = usize::try_from(offset - self.start).unwrap_or(0);
        self.slots.drain(..count.min(self.slots.len()));
        self.start = self.start.max(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(count: u64) -> Mark {
        Mark {
            writer: "w".into(),
            count,
        }
    }

    #[test]
    fn promises_are_given_back_as_they_were_made() {
        let mut promises = Promises::default();
        assert_eq!(promises.last(), None);
        assert_eq!(promises.put(5, &mark(50)), None);
        assert_eq!(promises.put(3, &mark(30)), None);
        assert_eq!(promises.put(5, &mark(50)), None);
        assert_eq!(promises.put(5, &mark(51)), Some(mark(50)));
        assert_eq!(promises.last(), Some(5));
        assert_eq!(promises.within(0..100), [(3, mark(30)), (5, mark(51))]);
        assert_eq!(promises.differs(4, &mark(1)), None);
        assert_eq!(promises.differs(3, &mark(31)), Some(mark(30)));
    }

    #[test]
    fn what_is_forgotten_is_promised_no_more() {
        let mut promises = Promises::default();
        for offset in 0..10 {
            promises.put(offset, &mark(offset as u64));
        }
        promises.forget_below(8);
        assert_eq!(promises.within(0..100), [(8, mark(8)), (9, mark(9))]);
        promises.forget_below(20);
        promises.put(2, &mark(9));
        assert_eq!(promises.last(), None);
        promises.put(21, &mark(21));
        assert_eq!(promises.within(0..100), [(21, mark(21))]);
    }
}
