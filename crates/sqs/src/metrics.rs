//! What the listener counts. Relaxed atomics: read one by one, they steer nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::actions::Action;

#[derive(Debug, Default)]
struct ActionCounters {
    requests: AtomicU64,
    errors: AtomicU64,
}

/// Totals since the start.
#[derive(Debug)]
pub struct SqsMetrics {
    actions: Vec<ActionCounters>,
    open: AtomicU64,
    connections: AtomicU64,
    /// Refused before their action was known: no signature, no such action, no body.
    refused: AtomicU64,
}

/// One action at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionSnapshot {
    pub action: &'static str,
    /// Requests answered.
    pub requests: u64,
    /// Of these, refused.
    pub errors: u64,
}

/// All counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsSnapshot {
    /// Those that were called.
    pub actions: Vec<ActionSnapshot>,
    /// Requests whose action works or waits now.
    pub open: u64,
    pub connections: u64,
    pub refused: u64,
}

impl Default for SqsMetrics {
    fn default() -> Self {
        Self {
            actions: Action::ALL
                .iter()
                .map(|_| ActionCounters::default())
                .collect(),
            open: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

/// Counts a request as open for as long as it is there.
pub(crate) struct Open<'m>(&'m SqsMetrics);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl SqsMetrics {
    pub(crate) fn open(&self) -> Open<'_> {
        self.open.fetch_add(1, Relaxed);
        Open(self)
    }

    pub(crate) fn answered(&self, action: Action, is_error: bool) {
        if let Some(counters) = self.actions.get(action as usize) {
            counters.requests.fetch_add(1, Relaxed);
            counters.errors.fetch_add(u64::from(is_error), Relaxed);
        }
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// What was counted until now.
    pub fn snapshot(&self) -> MetricsSnapshot {
        let actions = Action::ALL.iter().zip(&self.actions);
        let actions = actions
            .map(|(action, counters)| ActionSnapshot {
                action: action.name(),
                requests: counters.requests.load(Relaxed),
                errors: counters.errors.load(Relaxed),
            })
            .filter(|snapshot| snapshot.requests > 0);
        MetricsSnapshot {
            actions: actions.collect(),
            open: self.open.load(Relaxed),
            connections: self.connections.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}
