//! How a standard queue goes through its messages: past those that are done, given out, damaged or
//! delayed, and back to the delayed ones when their time has come.

use levada_catalog::State;
use levada_catalog::queues::Progress;
use levada_model::{Offset, PartitionId};

use super::live::Live;

/// Messages that one look steps over; a look holds the state's lock.
pub(super) const STEPS_MAX: usize = 4096;

pub(super) enum Step {
    Take(Offset),
    Over,
    End,
}

/// The first message at or after `at` that is there and not done.
pub(super) fn next_open(progress: Option<&Progress>, start: Offset, at: Offset) -> Offset {
    let at = at.max(start);
    progress.map_or(at, |progress| progress.next_open(at))
}

impl Live {
    /// Delayed messages whose time has come.
    pub(super) fn show(&mut self, now_ms: i64) {
        while let Some((visible_ms, from, end)) = self.delayed.first().copied()
            && visible_ms <= now_ms
        {
            self.delayed.pop_first();
            self.shown.push_back((from, end));
        }
    }

    /// Goes one step on: among those whose delay is over, else at the cursor.
    pub(super) fn step(
        &mut self,
        progress: Option<&Progress>,
        open: &impl Fn(Offset) -> Offset,
        end: Offset,
        now_ms: i64,
    ) -> Step {
        let shown = self.shown.front().copied();
        let (next, end) = shown.unwrap_or((self.cursor, end.0));
        let at = open(Offset(next));
        if at.0 >= end {
            return match self.shown.pop_front() {
                Some(_) => Step::Over,
                None => {
                    self.cursor = at.0;
                    Step::End
                }
            };
        }
        let wait = progress.and_then(|row| row.delayed(at, now_ms));
        let (next, step) = match (self.damaged_to(at), wait) {
            (Some(behind), _) => (behind, Step::Over),
            (None, Some((behind, visible_ms))) => {
                self.delayed.insert((visible_ms, at.0, behind.0));
                (behind.0, Step::Over)
            }
            (None, None) if self.leases.contains_key(&at.0) => (at.0 + 1, Step::Over),
            (None, None) => (at.0 + 1, Step::Take(at)),
        };
        match self.shown.front_mut() {
            Some(first) => first.0 = next,
            None => self.cursor = next,
        }
        step
    }

    /// What comes next, if it is open.
    pub(super) fn position(&self) -> Offset {
        let shown = self.shown.front().map(|(next, _)| *next);
        Offset(shown.unwrap_or(self.cursor))
    }

    /// Goes on step by step, as long as `each` says so; it is told which messages are open.
    pub(super) fn walk(
        &mut self,
        state: &State,
        id: PartitionId,
        now_ms: i64,
        mut each: impl FnMut(&mut Self, Option<Offset>) -> bool,
    ) {
        let Some(partition) = state.partition(id) else {
            return;
        };
        let (progress, start) = (state.queue_progress(id), partition.log_start());
        let open = |at: Offset| next_open(progress, start, at);
        for _ in 0..STEPS_MAX {
            let at = match self.step(progress, &open, partition.high_watermark(), now_ms) {
                Step::End => return,
                Step::Over => None,
                Step::Take(at) => Some(at),
            };
            if !each(self, at) {
                return;
            }
        }
    }

    /// There are messages that no look has come to: one more would.
    pub(super) fn is_behind(&self, end: Offset) -> bool {
        !self.shown.is_empty() || self.cursor < end.0
    }
}
