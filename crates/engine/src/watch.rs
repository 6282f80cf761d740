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
    waiting: Mutex<Waiting>,
}

/// The readers of each partition, in the order of their numbers: who leaves is found without a walk
/// past all the others, who may be thousands that leave at once.
#[derive(Default)]
struct Waiting {
    next: u64,
    readers: HashMap<PartitionId, Vec<(u64, Arc<Notify>)>, FixedState>,
}

/// One waiting reader; leaves the table when dropped.
pub(crate) struct Watch<'a> {
    watchers: &'a Watchers,
    number: u64,
    partitions: Vec<PartitionId>,
    notify: Arc<Notify>,
}

impl Watchers {
    /// Watches `partitions`; whatever changes after this call is noticed.
    pub fn watch(&self, partitions: Vec<PartitionId>) -> Watch<'_> {
        let notify = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock();
        let number = waiting.next;
        waiting.next += 1;
        for partition in &partitions {
            let readers = waiting.readers.entry(*partition).or_default();
            // A partition that is named twice is watched once.
            if readers.last().is_none_or(|(last, _)| *last != number) {
                readers.push((number, Arc::clone(&notify)));
            }
        }
        drop(waiting);
        Watch {
            watchers: self,
            number,
            partitions,
            notify,
        }
    }

    /// Wakes everybody who watches one of `partitions`.
    pub fn wake(&self, partitions: impl Iterator<Item = PartitionId>) {
        let waiting = self.waiting.lock();
        if waiting.readers.is_empty() {
            return;
        }
        for partition in partitions {
            for (_, notify) in waiting.readers.get(&partition).into_iter().flatten() {
                notify.notify_one();
            }
        }
    }

    /// Wakes everybody: the service stops.
    pub fn wake_all(&self) {
        for (_, notify) in self.waiting.lock().readers.values().flatten() {
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
            let Some(readers) = waiting.readers.get_mut(partition) else {
                continue;
            };
            if let Ok(at) = readers.binary_search_by_key(&self.number, |(number, _)| *number) {
                readers.remove(at);
            }
            if readers.is_empty() {
                waiting.readers.remove(partition);
            }
        }
    }
}
