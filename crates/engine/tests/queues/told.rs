//! Counts what is told to a person: lines of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// Warnings and errors of one module, on this thread.
pub struct Told {
    module: &'static str,
    count: AtomicUsize,
}

impl Told {
    /// Counts from now on, as long as the guard lives.
    pub fn listen(module: &'static str) -> (Arc<Self>, DefaultGuard) {
        let count = AtomicUsize::new(0);
        let told = Arc::new(Self { module, count });
        let guard = tracing::subscriber::set_default(Arc::clone(&told));
        (told, guard)
    }

    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == self.module && *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.count.fetch_add(1, Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
