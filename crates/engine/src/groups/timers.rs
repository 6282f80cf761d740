//! What is due when: a heap that is put right lazily.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// What a timer is about. Whether it still holds is looked up when it comes up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A member's session.
    Member(Arc<str>, String),
    /// The end of a round that began in this generation.
    Round(Arc<str>, i32),
    /// Members of this generation that have not asked for their assignment.
    Sync(Arc<str>, i32),
}

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(u64, Key)>>,
    /// Until when the timer task sleeps.
    sleeps_until_ms: u64,
}

impl Timers {
    /// Returns whether the task has to be woken for it.
    pub fn push(&mut self, due_ms: u64, key: Key) -> bool {
        self.heap.push(Reverse((due_ms, key)));
        due_ms < self.sleeps_until_ms
    }

    /// The next timer that is due at `now_ms`.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<Key> {
        let Reverse((due_ms, _)) = self.heap.peek()?;
        if *due_ms > now_ms {
            return None;
        }
        self.heap.pop().map(|Reverse((_, key))| key)
    }

    /// The task goes to sleep, until this time at the latest.
    pub fn sleep(&mut self, latest_ms: u64) -> u64 {
        let next = self.heap.peek().map(|Reverse((due_ms, _))| *due_ms);
        self.sleeps_until_ms = next.map_or(latest_ms, |due_ms| due_ms.min(latest_ms));
        self.sleeps_until_ms
    }

    /// The task is awake and looks at all timers before it sleeps.
    pub fn awake(&mut self) {
        self.sleeps_until_ms = 0;
    }
}
