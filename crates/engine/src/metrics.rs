//! Counters of the engine. Relaxed atomics: they are read one by one and never steer anything.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Live counters, totals since the start.
        #[derive(Debug, Default)]
        pub struct EngineMetrics {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct MetricsSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl EngineMetrics {
            pub fn snapshot(&self) -> MetricsSnapshot {
                MetricsSnapshot { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Records acknowledged.
    records_in,
    /// Bytes of record batches acknowledged.
    bytes_in,
    /// Batches acknowledged.
    batches_in,
    /// Batches that were retries of acknowledged ones.
    batches_duplicate,
    /// Batches refused, for whatever reason.
    batches_refused,
    /// Segments committed.
    segments,
    /// Bytes handed to readers.
    bytes_out,
    /// Bytes of those that came from the tail cache.
    bytes_out_tail,
    /// Reads of the journal.
    journal_reads,
    /// Partitions whose log start was moved by retention.
    retention_moves,
    /// Bytes written again to give space back.
    bytes_rewritten,
    /// Segments released.
    segments_released,
    /// Places in storage that readers found damaged, each counted once.
    places_damaged,
    /// Messages of queues that receivers passed over because they cannot be read.
    messages_stepped_over,
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Relaxed);
}
