//! Messages that were received too often go to the dead-letter queue.

use super::live::Picked;
use super::send::moved_from;
use super::{Found, QueueError};
use crate::Engine;

impl Engine {
    /// Moves what was received too often, and gives the rest. Two steps: a crash between them
    /// leaves the message in both queues, never in none.
    pub(super) async fn give_up_on(
        &self,
        found: &Found,
        picked: Vec<Picked>,
        has_changed: &mut bool,
    ) -> Result<Vec<Picked>, QueueError> {
        let Some((target, attempts_max)) = found.attempts_max() else {
            return Ok(picked);
        };
        let (dead, alive): (Vec<_>, Vec<_>) = picked
            .into_iter()
            .partition(|one| one.lease.attempts > attempts_max);
        if dead.is_empty() {
            return Ok(alive);
        }
        // Without its target a message stays where it is.
        let Ok(target) = self.inner.find_queue(target) else {
            return Ok(alive.into_iter().chain(dead).collect());
        };
        for same in dead.chunk_by(|a, b| a.partition == b.partition) {
            if let Err(error) = self.bury(found, &target, same).await {
                tracing::warn!(
                    %error,
                    queue = found.name,
                    dead_letter_queue = target.name,
                    "messages could not be moved to the dead-letter queue; tried again when they \
                     become visible"
                );
            }
        }
        *has_changed = true;
        Ok(alive)
    }

    async fn bury(&self, found: &Found, target: &Found, dead: &[Picked]) -> Result<(), QueueError> {
        let Some(first) = dead.first() else {
            return Ok(());
        };
        let (id, number) = (first.partition, first.number);
        let mut order = dead.to_vec();
        order.sort_unstable_by_key(|one| one.offset);
        let offsets: Vec<_> = order.iter().map(|one| one.offset).collect();
        let records = self.inner.records_at(found, number, &offsets).await?;
        let moved = records.into_iter().zip(&order).filter_map(|(record, one)| {
            let message = record?.into_message(found, number, String::new(), &one.lease);
            Some(moved_from(found, message))
        });
        let turn = self.inner.env.random_u64();
        for sent in self.send_to(target, moved.collect(), turn).await {
            sent?;
        }
        self.inner.settle(id, offsets, found.settings.is_fifo).await
    }
}
