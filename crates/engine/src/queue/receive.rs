//! Receiving: chooses messages, hides them, reads them, and waits for the first if asked to.

use levada_catalog::command::{Delivery, QueueCommand};
use levada_catalog::{Command, Partition};
use levada_env::port::Urgency;
use levada_model::PartitionId;
use levada_sequencer::Proposal;

use super::live::{Picked, Wish};
use super::load::{Slot, Stretch};
use super::receipt::Receipt;
use super::{Desk, Found, Message, QueueError, Receive};
use crate::Engine;
use crate::engine::Inner;

/// What a look at a queue found.
#[derive(Default)]
struct Look {
    messages: Vec<Message>,
    /// Something was given up on or gone: look again at once.
    has_changed: bool,
    /// As many are in flight as may be.
    is_full: bool,
    /// When the next message becomes visible.
    next_due_ms: Option<i64>,
}

impl Engine {
    /// Receives messages, waiting for the first one if asked to. None in time: an empty list.
    ///
    /// # Errors
    /// [`QueueError::TooManyInFlight`] for a standard queue when the receive does not wait.
    pub async fn receive(&self, name: &str, receive: Receive) -> Result<Vec<Message>, QueueError> {
        let inner = &self.inner;
        let found = inner.find_queue(name)?;
        let own = std::time::Duration::from_millis(found.settings.receive_wait_ms.unsigned_abs());
        let wait = receive.wait.unwrap_or(own);
        let deadline = inner.env.monotonic() + wait;
        loop {
            let look = self.look(name, &receive).await?;
            if !look.messages.is_empty() {
                return Ok(look.messages);
            }
            if look.has_changed {
                continue;
            }
            let left = deadline.saturating_sub(inner.env.monotonic());
            if left.is_zero() || inner.is_draining() {
                return match look.is_full && !found.settings.is_fifo && wait.is_zero() {
                    true => Err(QueueError::TooManyInFlight),
                    false => Ok(Vec::new()),
                };
            }
            let watch = inner.queues.receivers.watch(found.partitions.clone());
            // What came between the look and the watch would wake nobody.
            let look = self.look(name, &receive).await?;
            if !look.messages.is_empty() {
                return Ok(look.messages);
            }
            if look.has_changed {
                continue;
            }
            let due = look.next_due_ms.map(|at| at - inner.env.now_ms());
            let due = due.map(|ms| std::time::Duration::from_millis(ms.max(1).unsigned_abs()));
            let pause = due.map_or(left, |due| due.min(left));
            let _ = inner.env.timeout(pause, watch.changed()).await;
        }
    }

    async fn look(&self, name: &str, receive: &Receive) -> Result<Look, QueueError> {
        let inner = &self.inner;
        let found = inner.find_queue(name)?;
        let own_ms = found.settings.visibility_timeout_ms;
        let visibility_ms = receive
            .visibility
            .map_or(own_ms, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        let mut look = Look::default();
        let mut picked = Vec::new();
        let count = found.partitions.len();
        let turn = match count {
            0 | 1 => 0,
            several => (inner.env.random_u64() % several as u64) as usize,
        };
        for nth in 0..count {
            let at = (turn + nth) % count;
            let id = found.partitions[at];
            let desk = inner.queues.desk(id);
            let left = receive.messages_max.saturating_sub(picked.len());
            let place = (id, at as i32);
            match found.settings.is_fifo {
                true => inner.look_ahead(&found, place, &desk).await?,
                false => self.look_for_quiet(&found, place, &desk, left).await?,
            }
            // The state's lock before the queue's, everywhere.
            inner.sequencer.read(|state| {
                let mut live = desk.live.lock();
                // Now, not before the reading ahead: a short lease would be over before it begins.
                let now_ms = inner.env.now_ms();
                let allowed = u64::from(found.settings.in_flight_max);
                let in_flight = match (live.leases.len() as u64) < allowed {
                    true => 0,
                    false => live.in_flight(now_ms),
                };
                look.is_full |= in_flight >= allowed;
                let wish = Wish {
                    now_ms,
                    messages_max: left.min(allowed.saturating_sub(in_flight) as usize),
                    visible_ms: now_ms.saturating_add(visibility_ms),
                    attempt: receive.attempt.as_deref(),
                };
                let some = live.pick(state, (id, at as i32), &found.settings, &wish);
                if some.is_empty() && wish.messages_max > 0 && !found.settings.is_fifo {
                    let end = state.partition(id).map(Partition::high_watermark);
                    look.has_changed |= end.is_some_and(|end| live.is_behind(end));
                }
                picked.extend(some);
                let due = live.next_due();
                look.next_due_ms = look.next_due_ms.into_iter().chain(due).min();
            });
            if picked.len() >= receive.messages_max {
                break;
            }
        }
        if picked.is_empty() {
            return Ok(look);
        }
        let alive = self
            .give_up_on(&found, picked, &mut look.has_changed)
            .await?;
        self.hand_out(&found, alive, receive, &mut look).await?;
        Ok(look)
    }

    /// Reads the messages and notes that they are given out.
    async fn hand_out(
        &self,
        found: &Found,
        picked: Vec<Picked>,
        receive: &Receive,
        look: &mut Look,
    ) -> Result<(), QueueError> {
        let inner = &self.inner;
        let key = inner.receipt_key().await?;
        let oldest_ms = found
            .retention_ms
            .map(|ms| inner.env.now_ms().saturating_sub(ms));
        let mut bytes = 0;
        for same in picked.chunk_by(|a, b| a.partition == b.partition) {
            let (id, number) = (same[0].partition, same[0].number);
            // By offset to read, and back in the order of their choice.
            let mut order: Vec<_> = same.to_vec();
            order.sort_unstable_by_key(|one| one.offset);
            let offsets: Vec<_> = order.iter().map(|one| one.offset).collect();
            let records = match inner.records_at(found, number, &offsets).await {
                Ok(records) => records,
                Err(error) => {
                    inner.put_back(id, same);
                    return Err(error);
                }
            };
            let (mut given, mut gone, mut kept) = (Vec::new(), Vec::new(), Vec::new());
            let before = look.messages.len();
            for (one, record) in order.into_iter().zip(records) {
                let is_young = |ms: i64| oldest_ms.is_none_or(|oldest| ms >= oldest);
                let record = match record {
                    Slot::Record(record) if is_young(record.timestamp_ms) => record,
                    Slot::Record(_) | Slot::Gone => {
                        gone.push(one.offset);
                        continue;
                    }
                    Slot::Damaged => {
                        look.has_changed = true;
                        continue;
                    }
                };
                let length = record.record.value.as_ref().map_or(0, bytes::Bytes::len);
                if bytes > 0 && bytes + length > receive.bytes_max {
                    kept.push(one);
                    continue;
                }
                bytes += length;
                let receipt = Receipt {
                    topic: found.topic,
                    partition: number,
                    offset: one.offset,
                    attempts: one.lease.attempts,
                    received_ms: one.lease.received_ms,
                };
                given.push(one);
                let receipt = receipt.sign(&key);
                let message = record.into_message(found, number, receipt, &one.lease);
                look.messages.push(message);
            }
            inner.put_back(id, &kept);
            if !found.settings.is_fifo {
                inner.note_groups(id, look.messages.get(before..).unwrap_or_default());
            }
            look.has_changed |= !gone.is_empty();
            inner.settle(found, id, gone).await?;
            inner.note_given(id, &given, found.settings.is_fifo).await?;
        }
        Ok(())
    }
}

impl Inner {
    fn put_back(&self, id: PartitionId, picked: &[Picked]) {
        if picked.is_empty() {
            return;
        }
        let now_ms = self.env.now_ms();
        if let Some(desk) = self.queues.known_desk(id) {
            let mut live = desk.live.lock();
            for one in picked {
                live.put_back(one, now_ms);
            }
        }
        self.queues.receivers.wake([id].into_iter());
    }

    /// How often a message was delivered rides in the next group commit, and nobody waits for it;
    /// a full disk has no room for it, and the receiver gets its message all the same. The order of
    /// a FIFO queue needs it: who was given a message must be known before the next.
    async fn note_given(
        &self,
        partition: PartitionId,
        given: &[Picked],
        is_awaited: bool,
    ) -> Result<(), QueueError> {
        if given.is_empty() {
            return Ok(());
        }
        let deliveries = given.iter().map(|one| Delivery {
            offset: one.offset,
            attempts: one.lease.attempts,
            visible_ms: one.lease.visible_ms,
        });
        let command = QueueCommand::Deliver {
            partition,
            deliveries: deliveries.collect(),
        };
        if is_awaited {
            let noted = self.propose_queue(command, Urgency::Reserve).await;
            if noted.is_err() {
                self.put_back(partition, given);
            }
            return noted;
        }
        let proposal = Proposal {
            command: Command::Queue(command),
            tickets: Vec::new(),
            urgency: Urgency::Normal,
        };
        self.sequencer.submit_with(proposal, drop);
        Ok(())
    }

    /// Learns the groups of the next messages of a FIFO queue, until one may be given or there are
    /// no more to learn.
    async fn look_ahead(
        &self,
        found: &Found,
        (id, number): (PartitionId, i32),
        desk: &Desk,
    ) -> Result<(), QueueError> {
        let _turn = desk.looking.lock().await;
        loop {
            let from = {
                let live = desk.live.lock();
                // Those whose time has come are given back by the look itself.
                let has_due = live.next_due().is_some_and(|due| due <= self.env.now_ms());
                if live.fifo.is_ready() || has_due || !live.fifo.may_look_ahead() {
                    return Ok(());
                }
                live.fifo.scanned()
            };
            let Stretch { records, end, .. } = self.records_from(found, number, from).await?;
            if end <= from {
                return Ok(());
            }
            let now_ms = self.env.now_ms();
            self.sequencer.read(|state| {
                let progress = state.queue_progress(id);
                let mut live = desk.live.lock();
                for placed in records {
                    let at = placed.offset;
                    let is_done = progress.is_some_and(|row| at < row.floor() || row.is_done(at));
                    // Somebody purged meanwhile.
                    if is_done || at < live.fifo.scanned() {
                        continue;
                    }
                    let known = progress.and_then(|row| row.exception(at));
                    let held = known.filter(|one| one.visible_ms > now_ms);
                    let delayed = progress.and_then(|row| row.delayed(at, now_ms));
                    let group = placed.record.key.unwrap_or_default();
                    // Its own memory: the record's is the whole batch's.
                    let group = bytes::Bytes::copy_from_slice(&group);
                    let is_held = held.is_some() || delayed.is_some();
                    live.fifo.note(at.0, group, is_held);
                    match (held, delayed) {
                        (Some(held), _) => live.hold(at, held),
                        (None, Some((_, visible_ms))) => live.delay(at, visible_ms),
                        (None, None) => {}
                    }
                }
                live.fifo.scanned_to(end.0);
            });
        }
    }
}
