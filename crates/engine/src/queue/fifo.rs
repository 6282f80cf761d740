//! Message groups of a FIFO queue: each gives its messages in order, to one receiver at a time.
//!
//! Which group a message belongs to stands in its record only, so the queue reads ahead: it knows
//! the groups of a bounded number of messages that are not done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use levada_model::Offset;

use super::live::Picked;

/// Messages that are known by their group and not done, at most: what lies behind so many of
/// groups that are held does not come forward (Amazon SQS looks at 120,000 too).
pub(super) const LOOKAHEAD_MAX: usize = 120_000;

#[derive(Default)]
struct Group {
    /// Not given out, in order.
    waiting: BTreeSet<i64>,
    /// Given out and not done, or delayed: as long as there are any, the group gives nothing.
    held: usize,
}

/// How long what an attempt was given is remembered, and how many attempts are (SQS:
/// ReceiveRequestAttemptId).
const ATTEMPT_MS: i64 = 5 * 60 * 1000;
const ATTEMPTS_MAX: usize = 1024;

/// What a receiver was given under a name of its own.
struct Attempt {
    at_ms: i64,
    name: String,
    /// Each with the number of its delivery.
    given: Vec<(Offset, u32)>,
}

/// The groups of one partition.
#[derive(Default)]
pub(super) struct Fifo {
    /// Messages before are known.
    scanned: i64,
    groups: HashMap<Bytes, Group, FixedState>,
    /// The group of each message that is known and not done.
    group_of: BTreeMap<i64, Bytes>,
    /// Groups that may give, by their first message.
    ready: BTreeMap<i64, Bytes>,
    /// The newest last.
    attempts: VecDeque<Attempt>,
}

impl Fifo {
    pub fn scanned(&self) -> Offset {
        Offset(self.scanned)
    }

    pub fn start_at(&mut self, offset: i64) {
        self.scanned = offset;
    }

    /// There is room to look further.
    pub fn may_look_ahead(&self) -> bool {
        self.group_of.len() < LOOKAHEAD_MAX
    }

    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Notes the next message. `is_held`: it was given out or is delayed.
    pub fn note(&mut self, offset: i64, group: Bytes, is_held: bool) {
        self.scanned = offset + 1;
        self.group_of.insert(offset, group.clone());
        self.change(&group, |group| match is_held {
            true => group.held += 1,
            false => {
                group.waiting.insert(offset);
            }
        });
    }

    /// Everything before was looked at.
    pub fn scanned_to(&mut self, offset: i64) {
        self.scanned = self.scanned.max(offset);
    }

    /// Gives out the oldest messages that may be: as many of one group as there are, then of the
    /// next.
    pub fn take(&mut self, messages_max: usize) -> Vec<Offset> {
        let mut taken = Vec::new();
        while taken.len() < messages_max
            && let Some((_, name)) = self.ready.first_key_value()
        {
            let name = name.clone();
            let left = messages_max - taken.len();
            self.change(&name, |group| {
                let some: Vec<_> = group.waiting.iter().copied().take(left).collect();
                for offset in &some {
                    group.waiting.remove(offset);
                }
                group.held += some.len();
                taken.extend(some.into_iter().map(Offset));
            });
        }
        taken
    }

    /// The group of a message that is known and not done.
    pub fn group_of(&self, offset: Offset) -> Option<&Bytes> {
        self.group_of.get(&offset.0)
    }

    /// Messages among these that are known and not done.
    pub fn known(&self, offsets: Range<i64>) -> impl Iterator<Item = i64> {
        self.group_of.range(offsets).map(|(offset, _)| *offset)
    }

    /// A message that was held is not any more, and not done.
    pub fn give_back(&mut self, offset: i64) {
        let Some(name) = self.group_of.get(&offset).cloned() else {
            return;
        };
        self.change(&name, |group| {
            if group.waiting.insert(offset) {
                group.held = group.held.saturating_sub(1);
            }
        });
    }

    /// The message is done.
    pub fn settle(&mut self, offset: i64) {
        let Some(name) = self.group_of.remove(&offset) else {
            return;
        };
        self.change(&name, |group| {
            if !group.waiting.remove(&offset) {
                group.held = group.held.saturating_sub(1);
            }
        });
    }

    pub fn note_attempt(&mut self, name: &str, now_ms: i64, given: &[Picked]) {
        self.attempts.retain(|one| one.name != name);
        if self.attempts.len() >= ATTEMPTS_MAX {
            self.attempts.pop_front();
        }
        self.attempts.push_back(Attempt {
            at_ms: now_ms,
            name: name.to_owned(),
            given: given
                .iter()
                .map(|one| (one.offset, one.lease.attempts))
                .collect(),
        });
    }

    /// What the attempt was given, if that is not too long ago.
    pub fn attempt(&mut self, name: &str, now_ms: i64) -> Option<Vec<(Offset, u32)>> {
        let is_old = |one: &Attempt| now_ms.saturating_sub(one.at_ms) >= ATTEMPT_MS;
        while self.attempts.front().is_some_and(is_old) {
            self.attempts.pop_front();
        }
        let known = self.attempts.iter().find(|one| one.name == name)?;
        Some(known.given.clone())
    }

    /// Changes a group and keeps `ready` true to it.
    fn change(&mut self, name: &Bytes, change: impl FnOnce(&mut Group)) {
        let group = self.groups.entry(name.clone()).or_default();
        if let Some(first) = group.waiting.first() {
            self.ready.remove(first);
        }
        change(group);
        match group.waiting.first() {
            Some(first) if group.held == 0 => {
                self.ready.insert(*first, name.clone());
            }
            None if group.held == 0 => {
                self.groups.remove(name);
            }
            _ => {}
        }
    }
}
