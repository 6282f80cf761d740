//! Fair queues: on a standard queue a message group with much in flight does not delay the others.
//!
//! Which group a message belongs to stands in its record only. As long as a group is noisy, the
//! queue reads ahead, a bounded number of messages, and gives those of quiet groups first. Where no
//! group is noisy nothing is read ahead, and messages without a group are never noisy.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use levada_model::{Offset, PartitionId};

use super::load::Stretch;
use super::{Desk, Found, Message};
use crate::engine::Inner;
use crate::{Engine, ReadError};

/// A group is noisy with so many messages in flight, if they are more than one of so many
/// (Amazon SQS: above 10% of what is in flight, and at least 30).
const NOISY_MIN: usize = 30;
const NOISY_PART: usize = 10;
/// Messages that are known by their group and were not given out, at most.
const AHEAD_MAX: usize = 120_000;
/// Reads ahead that one receive makes, at most; the next one goes on.
const READS_MAX: usize = 8;

/// A group by a digest of its name: two that share one would be judged together. 0: none.
pub(super) type GroupDigest = u64;

fn digest(group: Option<&Bytes>) -> GroupDigest {
    group.map_or(0, |name| checksum(CrcAlgorithm::Crc64Nvme, name).max(1))
}

/// The groups of one partition.
#[derive(Default)]
pub(super) struct Fair {
    in_flight: HashMap<GroupDigest, usize, FixedState>,
    /// Those with at least [`NOISY_MIN`].
    busy: HashSet<GroupDigest, FixedState>,
    /// Messages that were read ahead, of groups that were quiet then.
    quiet: BTreeMap<i64, GroupDigest>,
    /// Messages of groups that were noisy, not given out (again).
    parked: HashMap<GroupDigest, BTreeSet<i64>, FixedState>,
    parked_count: usize,
}

impl Fair {
    /// A message of the group was given out.
    pub fn given(&mut self, group: GroupDigest) {
        let count = self.in_flight.entry(group).or_default();
        *count += 1;
        if *count >= NOISY_MIN {
            self.busy.insert(group);
        }
    }

    /// A message of the group is not in flight any more.
    pub fn ended(&mut self, group: GroupDigest) {
        let Some(count) = self.in_flight.get_mut(&group) else {
            return;
        };
        *count -= 1;
        if *count < NOISY_MIN {
            self.busy.remove(&group);
        }
        if *count == 0 {
            self.in_flight.remove(&group);
        }
    }

    /// `all`: messages in flight, of whatever group.
    pub fn is_noisy(&self, group: GroupDigest, all: usize) -> bool {
        let count = || self.in_flight.get(&group).copied().unwrap_or_default();
        self.busy.contains(&group) && count() * NOISY_PART > all
    }

    /// To give so many messages, those of quiet groups have to be looked for.
    fn wants_more(&self, messages_max: usize, all: usize) -> bool {
        self.quiet.len() < messages_max
            && self.quiet.len() + self.parked_count < AHEAD_MAX
            && self.busy.iter().any(|group| self.is_noisy(*group, all))
    }

    /// Notes a message that is not given out yet.
    pub fn note(&mut self, offset: i64, group: GroupDigest, all: usize) {
        match self.is_noisy(group, all) {
            true => self.park(offset, group),
            false => drop(self.quiet.insert(offset, group)),
        }
    }

    pub fn park(&mut self, offset: i64, group: GroupDigest) {
        self.parked_count += usize::from(self.parked.entry(group).or_default().insert(offset));
    }

    /// The oldest known message of a quiet group.
    pub fn take_quiet(&mut self, all: usize) -> Option<Offset> {
        while let Some((offset, group)) = self.quiet.first_key_value()
            && self.is_noisy(*group, all)
        {
            let (offset, group) = (*offset, *group);
            self.quiet.remove(&offset);
            self.park(offset, group);
        }
        let next = self.quiet.first_key_value().map(|(offset, _)| *offset);
        let calmed = self.first_parked(|group| !self.is_noisy(group, all));
        if let Some((offset, group)) = calmed.filter(|one| next.is_none_or(|next| one.0 < next)) {
            return Some(self.unpark(offset, group));
        }
        self.quiet.remove(&next?);
        next.map(Offset)
    }

    /// The oldest known message, of a noisy group too.
    pub fn take_any(&mut self, all: usize) -> Option<Offset> {
        if let Some(quiet) = self.take_quiet(all) {
            return Some(quiet);
        }
        let (offset, group) = self.first_parked(|_| true)?;
        Some(self.unpark(offset, group))
    }

    fn first_parked(&self, wanted: impl Fn(GroupDigest) -> bool) -> Option<(i64, GroupDigest)> {
        let groups = self.parked.iter().filter(|(group, _)| wanted(**group));
        let firsts = groups.filter_map(|(group, offsets)| Some((*offsets.first()?, *group)));
        firsts.min()
    }

    fn unpark(&mut self, offset: i64, group: GroupDigest) -> Offset {
        if let Some(offsets) = self.parked.get_mut(&group) {
            self.parked_count -= usize::from(offsets.remove(&offset));
            if offsets.is_empty() {
                self.parked.remove(&group);
            }
        }
        Offset(offset)
    }
}

impl Engine {
    /// Reads ahead for messages of quiet groups if a group is noisy, until there are enough.
    pub(super) async fn look_for_quiet(
        &self,
        found: &Found,
        (id, number): (PartitionId, i32),
        desk: &Desk,
        messages_max: usize,
    ) -> Result<(), ReadError> {
        if desk.live.lock().fair.busy.is_empty() {
            return Ok(());
        }
        let _turn = desk.looking.lock().await;
        for _ in 0..READS_MAX {
            let inner = &self.inner;
            let from = inner.sequencer.read(|state| {
                let live = desk.live.lock();
                let end = state.partition(id)?.high_watermark();
                let wants = live.fair.wants_more(messages_max, live.leases.len());
                let progress = state.queue_progress(id);
                let next = progress.map_or(live.position(), |row| row.next_open(live.position()));
                (wants && next < end).then_some(next)
            });
            let Some(from) = from else { break };
            let stretch = inner.records_from(found, number, from).await?;
            if stretch.end <= from {
                break;
            }
            inner.note_ahead(id, desk, from, stretch);
            // Who looked meanwhile did not see them.
            inner.queues.receivers.wake([id].into_iter());
        }
        Ok(())
    }
}

impl Inner {
    /// Counts messages that are given out for their groups.
    pub(super) fn note_groups(&self, id: PartitionId, messages: &[Message]) {
        if messages.iter().all(|one| one.group.is_none()) {
            return;
        }
        let desk = self.queues.desk(id);
        let mut live = desk.live.lock();
        for one in messages.iter().filter(|one| one.group.is_some()) {
            live.note_group(one.offset, digest(one.group.as_ref()));
        }
    }

    /// Passes over a stretch that was read, and notes its messages by their groups.
    fn note_ahead(&self, id: PartitionId, desk: &Desk, from: Offset, stretch: Stretch) {
        let now_ms = self.env.now_ms();
        let Stretch { records, end, .. } = stretch;
        let mut records = records.into_iter().peekable();
        self.sequencer.read(|state| {
            let mut live = desk.live.lock();
            live.walk(state, id, now_ms, |live, at| {
                if let Some(at) = at {
                    while records.next_if(|placed| placed.offset < at).is_some() {}
                    let record = records.next_if(|placed| placed.offset == at);
                    let group = record.and_then(|placed| placed.record.key);
                    let all = live.leases.len();
                    live.fair.note(at.0, digest(group.as_ref()), all);
                }
                // Somebody else may have gone on, or purged.
                (from..end).contains(&live.position())
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_noisy_with_thirty_in_flight_and_more_than_a_tenth() {
        let mut fair = Fair::default();
        (0..29).for_each(|_| fair.given(1));
        assert!(!fair.is_noisy(1, 29));
        fair.given(1);
        assert!(fair.is_noisy(1, 30) && fair.is_noisy(1, 299));
        assert!(!fair.is_noisy(1, 300));
        fair.ended(1);
        assert!(!fair.is_noisy(1, 29));
        (0..29).for_each(|_| fair.ended(1));
        assert!(fair.in_flight.is_empty() && fair.busy.is_empty());
    }

    #[test]
    fn quiet_groups_come_first_and_parked_ones_once_they_are_quiet() {
        let mut fair = Fair::default();
        (0..30).for_each(|_| fair.given(1));
        for (offset, group) in [(5, 1), (6, 1), (7, 2), (8, 0)] {
            fair.note(offset, group, 30);
        }
        assert_eq!(fair.take_quiet(30), Some(Offset(7)));
        assert_eq!(fair.take_quiet(31), Some(Offset(8)));
        assert_eq!(fair.take_quiet(32), None);
        assert_eq!(fair.take_any(32), Some(Offset(5)));
        fair.ended(1);
        fair.note(9, 2, 31);
        assert_eq!(fair.take_quiet(31), Some(Offset(6)));
        assert_eq!(fair.take_any(31), Some(Offset(9)));
        assert_eq!(fair.take_any(31), None);
        assert_eq!(fair.parked_count, 0);
    }
}
