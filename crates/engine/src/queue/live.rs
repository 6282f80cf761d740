//! What a queue remembers of one partition while it is in use: how far messages have been given
//! out, and which are hidden. Nothing of it is durable: after a restart a standard queue's messages
//! that were in flight are visible again, which costs a delivery and loses nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use levada_catalog::State;
use levada_catalog::queues::{Exception, Progress, QueueSettings};
use levada_model::{Offset, PartitionId};

use super::cursor::{STEPS_MAX, Step, next_open};
use super::dead_letters::Refused;
use super::fair::{Fair, GroupDigest};
use super::fifo::Fifo;

/// A message that was given out, or one of a FIFO queue that was found to be delayed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    /// From then on it can be received (again).
    pub visible_ms: i64,
    /// 0: delayed.
    pub attempts: u32,
    pub first_received_ms: i64,
    /// When this delivery began; 0: before a restart, or delayed.
    pub received_ms: i64,
    /// The group that counts it as in flight; 0: none.
    pub group: GroupDigest,
}

/// A message that was chosen for a receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picked {
    pub partition: PartitionId,
    pub number: i32,
    pub offset: Offset,
    pub lease: Lease,
}

/// What a look wants.
pub(super) struct Wish<'a> {
    pub now_ms: i64,
    pub messages_max: usize,
    pub visible_ms: i64,
    /// The receiver's name for this receive: asked again, it gets the same messages.
    pub attempt: Option<&'a str>,
}

/// One partition of a queue.
#[derive(Default)]
pub(super) struct Live {
    /// Messages from here on have not been looked at since the queue came into use.
    pub(super) cursor: i64,
    /// Delayed messages before it: when they are visible, the first, one past the last.
    pub(super) delayed: BTreeSet<(i64, i64, i64)>,
    /// Those of them whose time has come and who have not been looked at since.
    pub(super) shown: VecDeque<(i64, i64)>,
    pub leases: BTreeMap<i64, Lease>,
    /// The leases by the time when they end.
    pub due: BTreeSet<(i64, i64)>,
    pub fifo: Fifo,
    pub fair: Fair,
    /// What the dead-letter queue did not take.
    pub refused: Refused,
    /// Messages that cannot be read: first offset to one past the last, and when to try again.
    damaged: BTreeMap<i64, (i64, i64)>,
    /// Somebody has looked since [`Live::tidy`] did.
    is_used: bool,
}

impl Live {
    /// Chooses messages and hides them. Fewer than asked for: there are no more now.
    pub fn pick(
        &mut self,
        state: &State,
        (id, number): (PartitionId, i32),
        settings: &QueueSettings,
        wish: &Wish,
    ) -> Vec<Picked> {
        self.is_used = true;
        let Some(partition) = state.partition(id) else {
            return Vec::new();
        };
        let progress = state.queue_progress(id);
        let start = partition.log_start();
        let open = |at: Offset| next_open(progress, start, at);
        self.try_damaged_again(start, wish.now_ms);
        let mut offsets = self.take_due(settings.is_fifo, wish, |at| open(at) == at);
        if settings.is_fifo {
            if let Some(again) = self.repeat((id, number), wish) {
                return again;
            }
            offsets = self.fifo.take(wish.messages_max);
        } else {
            let all = self.leases.len();
            while offsets.len() < wish.messages_max
                && let Some(at) = self.fair.take_any(all)
            {
                // By what is due, not by the clock: it may have stepped back since this one was.
                let held = |lease: &Lease| self.due.contains(&(lease.visible_ms, at.0));
                let is_held = self.leases.get(&at.0).is_some_and(held);
                if open(at) == at && !is_held && !offsets.contains(&at) {
                    offsets.push(at);
                }
            }
            self.show(wish.now_ms);
            let end = partition.high_watermark();
            for _ in 0..STEPS_MAX {
                if offsets.len() >= wish.messages_max {
                    break;
                }
                match self.step(progress, &open, end, wish.now_ms) {
                    Step::End => break,
                    Step::Over => {}
                    // Damaged messages are tried again with those between them.
                    Step::Take(at) if offsets.contains(&at) => {}
                    Step::Take(at) => offsets.push(at),
                }
            }
        }
        let picked = offsets.into_iter().map(|offset| {
            let known = progress.and_then(|progress| progress.exception(offset));
            let lease = self.lease(offset, known, wish);
            Picked {
                partition: id,
                number,
                offset,
                lease,
            }
        });
        let picked: Vec<_> = picked.collect();
        if let Some(attempt) = wish
            .attempt
            .filter(|_| settings.is_fifo && !picked.is_empty())
        {
            self.fifo.note_attempt(attempt, wish.now_ms, &picked);
        }
        picked
    }

    /// What an attempt was given before, if all of it is still in its hands.
    fn repeat(&mut self, (id, number): (PartitionId, i32), wish: &Wish) -> Option<Vec<Picked>> {
        let given = self.fifo.attempt(wish.attempt?, wish.now_ms)?;
        // Of this delivery: who was given the message since holds it.
        let held = |(offset, attempts): &(Offset, u32)| {
            let lease = self.leases.get(&offset.0).copied()?;
            (lease.attempts == *attempts && lease.visible_ms > wish.now_ms).then_some(lease)
        };
        let leases: Option<Vec<_>> = given.iter().map(held).collect();
        let again = given.iter().zip(leases?).map(|((offset, _), mut lease)| {
            self.due.remove(&(lease.visible_ms, offset.0));
            lease.visible_ms = wish.visible_ms;
            self.due.insert((lease.visible_ms, offset.0));
            self.leases.insert(offset.0, lease);
            Picked {
                partition: id,
                number,
                offset: *offset,
                lease,
            }
        });
        Some(again.collect())
    }

    /// Messages whose time has come, in the order of that time. Those of a FIFO queue go back to
    /// their groups first.
    fn take_due(
        &mut self,
        is_fifo: bool,
        wish: &Wish,
        is_open: impl Fn(Offset) -> bool,
    ) -> Vec<Offset> {
        let mut offsets = Vec::new();
        while let Some((visible_ms, offset)) = self.due.first().copied() {
            if visible_ms > wish.now_ms || !is_fifo && offsets.len() >= wish.messages_max {
                break;
            }
            self.due.pop_first();
            let is_open = is_open(Offset(offset));
            if !is_open {
                self.settle(Offset(offset));
            } else if is_fifo {
                // Its lease stays for the count: the state may not have heard of it yet.
                self.fifo.give_back(offset);
            } else {
                let all = self.leases.len();
                match self.end_flight(offset) {
                    group if self.fair.is_noisy(group, all) => self.fair.park(offset, group),
                    _ => offsets.push(Offset(offset)),
                }
            }
        }
        offsets
    }

    /// The message counts for its group no more; which that was.
    fn end_flight(&mut self, offset: i64) -> GroupDigest {
        let lease = self.leases.get_mut(&offset);
        let group = lease.map_or(0, |lease| std::mem::take(&mut lease.group));
        if group != 0 {
            self.fair.ended(group);
        }
        group
    }

    /// A message of this group was given out.
    pub fn note_group(&mut self, offset: Offset, group: GroupDigest) {
        if let Some(lease) = self.leases.get_mut(&offset.0)
            && lease.group == 0
        {
            lease.group = group;
            self.fair.given(group);
        }
    }

    /// Takes a message for hidden as long as the state says.
    pub fn hold(&mut self, at: Offset, known: &Exception) {
        let lease = Lease {
            visible_ms: known.visible_ms,
            attempts: known.attempts,
            first_received_ms: known.first_received_ms,
            received_ms: 0,
            group: 0,
        };
        self.leases.insert(at.0, lease);
        self.due.insert((lease.visible_ms, at.0));
    }

    /// Takes a message for delayed.
    pub fn delay(&mut self, at: Offset, visible_ms: i64) {
        let delayed = Exception {
            visible_ms,
            attempts: 0,
            first_received_ms: 0,
        };
        self.hold(at, &delayed);
    }

    fn lease(&mut self, offset: Offset, known: Option<&Exception>, wish: &Wish) -> Lease {
        let before = self.leases.get(&offset.0);
        let attempts = before.map_or(0, |lease| lease.attempts);
        let attempts = attempts.max(known.map_or(0, |known| known.attempts));
        let firsts = [
            before.map_or(0, |lease| lease.first_received_ms),
            known.map_or(0, |known| known.first_received_ms),
        ];
        let first = firsts.into_iter().find(|first| *first > 0);
        let lease = Lease {
            visible_ms: wish.visible_ms,
            attempts: attempts.saturating_add(1),
            first_received_ms: first.unwrap_or(wish.now_ms),
            received_ms: wish.now_ms,
            group: 0,
        };
        self.leases.insert(offset.0, lease);
        self.due.insert((lease.visible_ms, offset.0));
        lease
    }

    /// The lease changes its end; `None`: there is none of this delivery that still holds.
    pub fn change(
        &mut self,
        offset: Offset,
        attempts: u32,
        (now_ms, visible_ms): (i64, i64),
    ) -> Option<()> {
        let lease = self.leases.get_mut(&offset.0)?;
        if lease.attempts != attempts || lease.visible_ms <= now_ms {
            return None;
        }
        self.due.remove(&(lease.visible_ms, offset.0));
        lease.visible_ms = visible_ms;
        self.due.insert((visible_ms, offset.0));
        Some(())
    }

    /// A receiver was not given the message after all: it is as before, and visible from then on.
    /// Not when its time was over meanwhile and somebody else holds it.
    pub fn put_back(&mut self, picked: &Picked, visible_ms: i64) {
        let offset = picked.offset.0;
        let is_same = |lease: &&mut Lease| {
            let (attempts, visible_ms) = (picked.lease.attempts, picked.lease.visible_ms);
            lease.attempts == attempts && lease.visible_ms == visible_ms
        };
        if let Some(lease) = self.leases.get_mut(&offset).filter(is_same) {
            self.due.remove(&(lease.visible_ms, offset));
            lease.attempts = lease.attempts.saturating_sub(1);
            lease.visible_ms = visible_ms;
            self.due.insert((visible_ms, offset));
        }
    }

    /// The message is done.
    pub fn settle(&mut self, offset: Offset) {
        self.end_flight(offset.0);
        if let Some(lease) = self.leases.remove(&offset.0) {
            self.due.remove(&(lease.visible_ms, offset.0));
        }
        self.refused.forget(offset.0);
        self.fifo.settle(offset.0);
    }

    /// These messages cannot be read: nobody is given them before `again_ms`. Whether that is news.
    pub fn step_over(&mut self, range: Range<i64>, again_ms: i64) -> bool {
        let leased = self.leases.range(range.clone()).map(|(offset, _)| *offset);
        let known = self.fifo.known(range.clone());
        for offset in leased.chain(known).collect::<Vec<_>>() {
            self.settle(Offset(offset));
        }
        let end = (self.damaged.get(&range.start)).map_or(range.start, |known| known.0);
        if end >= range.end {
            return false;
        }
        self.damaged.insert(range.start, (range.end, again_ms));
        true
    }

    /// Where the damaged messages end that this one is among.
    pub(super) fn damaged_to(&self, at: Offset) -> Option<i64> {
        let (_, (end, _)) = self.damaged.range(..=at.0).next_back()?;
        (*end > at.0).then_some(*end)
    }

    /// The cursor goes back to damaged messages that are to be tried again; those that retention
    /// took are forgotten.
    fn try_damaged_again(&mut self, start: Offset, now_ms: i64) {
        if self.damaged.is_empty() {
            return;
        }
        let cursor = &mut self.cursor;
        self.damaged.retain(|from, (end, again_ms)| {
            if *again_ms <= now_ms {
                *cursor = (*cursor).min(*from);
            }
            *again_ms > now_ms && *end > start.0
        });
    }

    /// Messages that are not done and cannot be read, as far as that is known.
    pub fn damaged(&self, progress: Option<&Progress>) -> u64 {
        let ranges = self.damaged.iter();
        let open = ranges.map(|(from, (end, _))| match progress {
            Some(progress) => progress.open_between(Offset(*from), Offset(*end)),
            None => (end - from).unsigned_abs(),
        });
        open.sum()
    }

    /// Everything below is done.
    pub fn purge(&mut self, end: Offset) {
        *self = Self::default();
        self.cursor = end.0;
        self.fifo.start_at(end.0);
    }

    /// When the next message becomes visible.
    pub fn next_due(&self) -> Option<i64> {
        let due = self.due.first().map(|(visible_ms, _)| *visible_ms);
        let delayed = self.delayed.first().map(|(visible_ms, _, _)| *visible_ms);
        due.into_iter().chain(delayed).min()
    }

    /// Messages that were received and are hidden at this time.
    pub fn in_flight(&self, now_ms: i64) -> u64 {
        let hidden = self.due.range((now_ms + 1, i64::MIN)..);
        let received = hidden.filter(|(_, offset)| {
            let lease = self.leases.get(offset);
            lease.is_some_and(|lease| lease.attempts > 0)
        });
        received.count() as u64
    }

    /// Whether it may be forgotten: nobody has used it since the last call, and all that it knows
    /// can be found again.
    pub fn tidy(&mut self) -> bool {
        let is_bare = self.leases.is_empty() && self.damaged.is_empty();
        !std::mem::take(&mut self.is_used) && is_bare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_still_holds_a_message_puts_it_back() {
        let (id, offset) = (PartitionId(1), Offset(7));
        let mut live = Live::default();
        let wish = |now_ms: i64, visible_ms: i64| Wish {
            now_ms,
            messages_max: 1,
            visible_ms,
            attempt: None,
        };
        let mut pick = |wish: &Wish| Picked {
            partition: id,
            number: 0,
            offset,
            lease: live.lease(offset, None, wish),
        };
        // A look of no time, and while it reads somebody is given the message.
        let (first, second) = (pick(&wish(10, 10)), pick(&wish(10, 40)));
        live.due.remove(&(10, offset.0));
        live.put_back(&first, 11);
        let lease = live.leases[&offset.0];
        assert_eq!((lease.attempts, lease.visible_ms), (2, 40));
        live.put_back(&second, 12);
        let lease = live.leases[&offset.0];
        assert_eq!((lease.attempts, lease.visible_ms), (1, 12));
        assert_eq!(live.due, BTreeSet::from([(12, offset.0)]));
    }
}
