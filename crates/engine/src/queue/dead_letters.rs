//! Messages that were received too often go to the dead-letter queue.

use std::collections::BTreeMap;

use levada_model::{Offset, PartitionId};

use super::live::Picked;
use super::load::Slot;
use super::send::moved_from;
use super::{Found, QueueError};
use crate::Engine;
use crate::engine::Inner;

/// How long a message stays hidden that its dead-letter queue did not take: doubled with each time,
/// up to the most. Shorter than the time by which a message is known that was sent and not settled.
const PAUSE_MS_MIN: i64 = 1_000;
const PAUSE_MS_MAX: i64 = 60_000;

const _: () = assert!(PAUSE_MS_MAX < levada_catalog::queues::DEDUPLICATION_MS);

/// Messages that could not be moved, as long as there are any: one episode, told once.
#[derive(Default)]
pub(super) struct Refused {
    /// How often each was tried.
    tries: BTreeMap<i64, u32>,
    /// The queue as a whole took nothing: until then nobody tries.
    stopped_until_ms: i64,
}

impl Refused {
    fn is_stopped(&self, now_ms: i64) -> bool {
        now_ms < self.stopped_until_ms
    }

    /// Notes a failure; when to try again, and whether an episode begins with it.
    fn note(&mut self, offset: Offset, now_ms: i64) -> (i64, bool) {
        let is_first = self.tries.is_empty();
        let tries = self.tries.entry(offset.0).or_default();
        let pause_ms = PAUSE_MS_MIN << (*tries).min(16);
        *tries = tries.saturating_add(1);
        (now_ms.saturating_add(pause_ms.min(PAUSE_MS_MAX)), is_first)
    }

    /// The message is not here any more.
    pub fn forget(&mut self, offset: i64) {
        self.tries.remove(&offset);
    }
}

impl Engine {
    /// Moves what was received too often, and gives the rest. Two steps: a crash between them
    /// leaves the message in both queues, never in none. What cannot be moved stays hidden for a
    /// pause.
    pub(super) async fn give_up_on(
        &self,
        found: &Found,
        picked: Vec<Picked>,
        has_changed: &mut bool,
    ) -> Result<Vec<Picked>, QueueError> {
        let Some((target, attempts_max)) = found.attempts_max() else {
            return Ok(picked);
        };
        let is_dead = |one: &Picked| one.lease.attempts > attempts_max;
        if !picked.iter().any(is_dead) {
            return Ok(picked);
        }
        // Without its target a message stays where it is.
        let Ok(target) = self.inner.find_queue(target) else {
            return Ok(picked);
        };
        let (dead, mut alive): (Vec<_>, Vec<_>) = picked.into_iter().partition(is_dead);
        for same in dead.chunk_by(|a, b| a.partition == b.partition) {
            let Some(id) = same.first().map(|one| one.partition) else {
                continue;
            };
            let desk = self.inner.queues.desk(id);
            let now_ms = self.inner.env.now_ms();
            let is_stopped = desk.live.lock().refused.is_stopped(now_ms);
            let refused: Vec<_> = match is_stopped {
                true => same.iter().map(|one| (*one, None)).collect(),
                false => {
                    let refused = self.bury(found, &target, same).await;
                    let told = |(one, error)| (one, Some(error));
                    refused.into_iter().map(told).collect()
                }
            };
            self.inner.put_off(found, &target, id, &refused);
            if found.settings.is_fifo {
                self.inner.keep_order(id, &refused, &mut alive);
            }
        }
        // Each of them is gone, or hidden for a while: those behind come next.
        *has_changed = true;
        Ok(alive)
    }

    /// Moves messages of one partition; gives those that could not be, with the reason.
    async fn bury(
        &self,
        found: &Found,
        target: &Found,
        dead: &[Picked],
    ) -> Vec<(Picked, QueueError)> {
        let Some(first) = dead.first() else {
            return Vec::new();
        };
        let (id, number) = (first.partition, first.number);
        let mut order = dead.to_vec();
        order.sort_unstable_by_key(|one| one.offset);
        let all = |order: &[Picked], error: &QueueError| -> Vec<_> {
            order.iter().map(|one| (*one, error.clone())).collect()
        };
        let offsets: Vec<_> = order.iter().map(|one| one.offset).collect();
        let records = match self.inner.records_at(found, number, &offsets).await {
            Ok(records) => records,
            Err(error) => return all(&order, &error),
        };
        let (mut moving, mut moved, mut done) = (Vec::new(), Vec::new(), Vec::new());
        for (one, record) in order.into_iter().zip(records) {
            match record {
                Slot::Record(record) => {
                    let message = record.into_message(found, number, String::new(), &one.lease);
                    moved.push(moved_from(found, message));
                    moving.push(one);
                }
                // Gone already.
                Slot::Gone => done.push(one),
                // It stays, and receivers pass over it.
                Slot::Damaged => {}
            }
        }
        let turn = self.inner.env.random_u64();
        let mut refused = Vec::new();
        let sent = self.send_to(target, moved, turn).await;
        for (one, sent) in moving.into_iter().zip(sent) {
            match sent {
                Ok(_) => done.push(one),
                Err(error) => refused.push((one, error)),
            }
        }
        if done.is_empty() {
            return refused;
        }
        done.sort_unstable_by_key(|one| one.offset);
        let offsets = done.iter().map(|one| one.offset).collect();
        let settled = self.inner.settle(found, id, offsets).await;
        if let Err(error) = settled {
            refused.extend(all(&done, &error));
        }
        refused
    }
}

impl Inner {
    /// Hides what could not be moved, without counting a delivery, and tells it once for each
    /// episode.
    fn put_off(
        &self,
        found: &Found,
        target: &Found,
        id: PartitionId,
        refused: &[(Picked, Option<QueueError>)],
    ) {
        let now_ms = self.env.now_ms();
        let desk = self.queues.desk(id);
        let mut told = None;
        {
            let mut live = desk.live.lock();
            for (one, error) in refused {
                let (again_ms, is_first) = live.refused.note(one.offset, now_ms);
                live.put_back(one, again_ms);
                if let Some(QueueError::Storage(_)) = error {
                    let until = &mut live.refused.stopped_until_ms;
                    *until = (*until).max(again_ms);
                }
                let error = error.as_ref().filter(|_| is_first);
                told = told.or(error.map(|error| (one, error)));
            }
        }
        // They may be due before those who wait think.
        self.queues.receivers.wake([id].into_iter());
        if let Some((one, error)) = told {
            tracing::warn!(
                %error,
                queue = found.name,
                dead_letter_queue = target.name,
                partition = one.number,
                offset = one.offset.0,
                "a message was received too often and its dead-letter queue does not take it: it \
                 stays hidden here and is tried again, up to once a minute; told once until all \
                 such messages have moved; make room, let the other queue take such messages \
                 (queue.message.bytes.max), or delete them"
            );
        }
    }

    /// What follows a message in its group waits as long as the message does.
    fn keep_order(
        &self,
        id: PartitionId,
        refused: &[(Picked, Option<QueueError>)],
        alive: &mut Vec<Picked>,
    ) {
        let now_ms = self.env.now_ms();
        let desk = self.queues.desk(id);
        let mut live = desk.live.lock();
        let groups: Vec<_> = refused
            .iter()
            .filter_map(|(one, _)| live.fifo.group_of(one.offset).cloned())
            .collect();
        alive.retain(|one| {
            let group = live.fifo.group_of(one.offset);
            let waits = one.partition == id && group.is_some_and(|group| groups.contains(group));
            if waits {
                live.put_back(one, now_ms);
            }
            !waits
        });
    }
}
