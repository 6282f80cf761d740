//! Counts what is told to a person: lines of the log.

use std::cell::RefCell;
use std::sync::Once;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    /// Who told something on this thread: a test has one of its own.
    static TOLD: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Warnings and errors of one module, on this thread.
pub struct Told(&'static str);

impl Told {
    /// Counts from now on.
    pub fn listen(module: &'static str) -> Self {
        // One for all threads: what one of them does not want would be lost to the others.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
        TOLD.take();
        Self(module)
    }

    pub fn count(&self) -> usize {
        TOLD.with_borrow(|told| told.iter().filter(|module| **module == self.0).count())
    }
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        TOLD.with_borrow_mut(|told| told.push(event.metadata().target()));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
