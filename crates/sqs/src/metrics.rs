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
            connections: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

impl SqsMetrics {
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
            connections: self.connections.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}
