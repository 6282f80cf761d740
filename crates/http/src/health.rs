//! Whether the process is ready for work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where the process stands between start and stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Starting,
    Ready,
    Draining,
}

/// The phase, shared. It starts as [`Phase::Starting`].
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<AtomicU8>);

impl Health {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn set(&self, phase: Phase) {
        let code = match phase {
            Phase::Starting => 0,
            Phase::Ready => 1,
            Phase::Draining => 2,
        };
        self.0.store(code, Ordering::Release);
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }
}
