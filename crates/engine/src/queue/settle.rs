//! What becomes of a delivery: acknowledged, hidden longer, or shown again.

use std::collections::BTreeMap;
use std::time::Duration;

use levada_catalog::command::{Delivery, QueueCommand};
use levada_env::port::Urgency;
use levada_model::limits::QUEUE_HIDDEN_MS_MAX;
use levada_model::{Offset, PartitionId};

use super::receipt::Receipt;
use super::{Found, QueueError, urgency_of_done};
use crate::Engine;
use crate::engine::Inner;

impl Engine {
    /// The messages of these receipts are done, durably. One result each, in order; a message that
    /// is done already is no error.
    pub async fn acknowledge(
        &self,
        name: &str,
        receipts: &[String],
    ) -> Vec<Result<(), QueueError>> {
        let inner = &self.inner;
        let (found, mut results, verified) = match inner.verify(name, receipts.iter()).await {
            Ok(verified) => verified,
            Err(error) => return vec![Err(error); receipts.len()],
        };
        let mut by_partition = BTreeMap::<PartitionId, Vec<(usize, Offset)>>::new();
        for (at, receipt) in verified {
            let checked = found.partition(receipt.partition);
            let checked = checked.ok_or(QueueError::InvalidReceipt);
            match checked.and_then(|id| inner.check_held(&found, id, &receipt).map(|()| id)) {
                Ok(id) => by_partition
                    .entry(id)
                    .or_default()
                    .push((at, receipt.offset)),
                Err(error) => results[at] = Err(error),
            }
        }
        for (id, mut members) in by_partition {
            members.sort_unstable_by_key(|(_, offset)| *offset);
            let offsets: Vec<_> = members.iter().map(|(_, offset)| *offset).collect();
            let outcome = inner.settle(&found, id, offsets).await;
            for (at, _) in members {
                results[at] = outcome.clone();
            }
        }
        results
    }

    /// Hides messages for so long from now on, or shows them again at once. One result each.
    pub async fn change_visibility(
        &self,
        name: &str,
        receipts: &[(String, Duration)],
    ) -> Vec<Result<(), QueueError>> {
        let inner = &self.inner;
        let texts = receipts.iter().map(|(receipt, _)| receipt);
        let (found, mut results, verified) = match inner.verify(name, texts).await {
            Ok(verified) => verified,
            Err(error) => return vec![Err(error); receipts.len()],
        };
        for (at, receipt) in verified {
            let hidden = receipts[at].1;
            let hidden_ms = i64::try_from(hidden.as_millis()).unwrap_or(i64::MAX);
            results[at] = inner.change_one(&found, &receipt, hidden_ms).await;
        }
        results
    }
}

/// The queue, a place for each result, and the receipts that are real with their places.
type Verified = (Found, Vec<Result<(), QueueError>>, Vec<(usize, Receipt)>);

impl Inner {
    async fn verify(
        &self,
        name: &str,
        receipts: impl ExactSizeIterator<Item = &String>,
    ) -> Result<Verified, QueueError> {
        let found = self.find_queue(name)?;
        let key = self.receipt_key().await?;
        let mut results = Vec::with_capacity(receipts.len());
        let mut verified = Vec::with_capacity(receipts.len());
        for (at, text) in receipts.enumerate() {
            let receipt = Receipt::verify(text, found.topic, &key);
            results.push(receipt.as_ref().map(|_| ()).map_err(Clone::clone));
            verified.extend(receipt.ok().map(|receipt| (at, receipt)));
        }
        Ok((found, results, verified))
    }

    /// The receipt of a FIFO queue's message counts only while its delivery holds: after that the
    /// message may be somebody else's, and its group has moved on. A standard queue takes any.
    fn check_held(
        &self,
        found: &Found,
        id: PartitionId,
        receipt: &Receipt,
    ) -> Result<(), QueueError> {
        if !found.settings.is_fifo {
            return Ok(());
        }
        let now_ms = self.env.now_ms();
        self.sequencer.read(|state| {
            let Some(progress) = state.queue_progress(id) else {
                return Err(QueueError::NotInFlight);
            };
            if receipt.offset < progress.floor() || progress.is_done(receipt.offset) {
                return Ok(());
            }
            let held = progress
                .exception(receipt.offset)
                .filter(|one| one.attempts == receipt.attempts && one.visible_ms > now_ms);
            held.map(drop).ok_or(QueueError::NotInFlight)
        })
    }

    pub(super) async fn settle(
        &self,
        found: &Found,
        id: PartitionId,
        offsets: Vec<Offset>,
    ) -> Result<(), QueueError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let command = QueueCommand::Acknowledge {
            partition: id,
            offsets: offsets.clone(),
        };
        let urgency = urgency_of_done(&found.settings);
        self.propose_queue(command, urgency).await?;
        let mut was_full = false;
        if let Some(desk) = self.queues.known_desk(id) {
            let mut live = desk.live.lock();
            was_full = live.leases.len() >= found.settings.in_flight_max as usize;
            for offset in offsets {
                live.settle(offset);
            }
        }
        if found.settings.is_fifo || was_full {
            // The group's next message may be given now, or any.
            self.queues.receivers.wake([id].into_iter());
        }
        Ok(())
    }

    async fn change_one(
        &self,
        found: &Found,
        receipt: &Receipt,
        hidden_ms: i64,
    ) -> Result<(), QueueError> {
        let id = found.partition(receipt.partition);
        let id = id.ok_or(QueueError::InvalidReceipt)?;
        let now_ms = self.env.now_ms();
        let visible_ms = now_ms.saturating_add(hidden_ms);
        // In whole seconds, as it is asked for: who asks for all of it at once gets it.
        let held_ms = now_ms.saturating_sub(receipt.received_ms) / 1000 * 1000;
        if hidden_ms.saturating_add(held_ms) > QUEUE_HIDDEN_MS_MAX {
            return Err(QueueError::HiddenTooLong);
        }
        let desk = self.queues.desk(id);
        self.sequencer.read(|state| {
            let progress = state.queue_progress(id);
            let known = progress.and_then(|row| row.exception(receipt.offset));
            let mut live = desk.live.lock();
            // After a restart the delivery is known to the state only, and holds as long as nobody
            // else was given the message.
            let is_known = live.leases.contains_key(&receipt.offset.0);
            if let Some(known) = known
                && !is_known
                && !found.settings.is_fifo
                && known.attempts == receipt.attempts
                && known.visible_ms > now_ms
            {
                live.hold(receipt.offset, known);
            }
            live.change(receipt.offset, receipt.attempts, (now_ms, visible_ms))
                .ok_or(QueueError::NotInFlight)
        })?;
        if found.settings.is_fifo {
            let delivery = Delivery {
                offset: receipt.offset,
                attempts: receipt.attempts,
                visible_ms,
            };
            let command = QueueCommand::Deliver {
                partition: id,
                deliveries: vec![delivery],
            };
            self.propose_queue(command, Urgency::Reserve).await?;
        }
        // Who waits may have to look sooner.
        self.queues.receivers.wake([id].into_iter());
        Ok(())
    }
}
