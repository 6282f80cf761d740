//! Readers that wait at the end of a partition, and how an append wakes them.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use levada_model::PartitionId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Who waits for which partitions. An idle partition that nobody waits for has no entry.
#[derive(Default)]
pub(crate) struct Watchers {
    waiting: Mutex<HashMap<PartitionId, Vec<Arc<Notify>>, FixedState>>,
}

/// One waiting reader; leaves the table when dropped.
pub(crate) struct Watch<'a> {
    watchers: &'a Watchers,
    partitions: Vec<PartitionId>,
    notify: Arc<Notify>,
}

impl Watchers {
    /// Watches `partitions`; whatever changes after this call is noticed.
    pub fn watch(&self, partitions: Vec<PartitionId>) -> Watch<'_> {
        let notify = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock();
        for partition in &partitions {
            waiting
                .entry(*partition)
                .or_default()
                .push(Arc::clone(&notify));
        }
        drop(waiting);
        Watch {
            watchers: self,
            partitions,
            notify,
        }
    }

    /// Wakes everybody who watches one of `partitions`.
    pub fn wake(&self, partitions: impl Iterator<Item = PartitionId>) {
        let waiting = self.waiting.lock();
        if waiting.is_empty() {
            return;
        }
        for partition in partitions {
            for notify in waiting.get(&partition).into_iter().flatten() {
                notify.notify_one();
            }
        }
    }

    /// Wakes everybody: the service stops.
    pub fn wake_all(&self) {
        for notify in self.waiting.lock().values().flatten() {
            notify.notify_one();
        }
    }
}

impl Watch<'_> {
    /// Resolves when a watched partition has changed since the last call.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut waiting = self.watchers.waiting.lock();
        for partition in &self.partitions {
            if let Some(list) = waiting.get_mut(partition) {
                list.retain(|other| !Arc::ptr_eq(other, &self.notify));
                if list.is_empty() {
                    waiting.remove(partition);
                }
            }
        }
    }
}
