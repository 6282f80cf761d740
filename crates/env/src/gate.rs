//! Stopping every task of a world between any two polls, as a crash does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Decides whether a world's tasks go on.
pub trait Gate: Send + Sync {
    /// Called before each poll of a task. `false`: the task is not polled, now and ever after.
    fn enter(&self) -> bool;
}

pin_project_lite::pin_project! {
    /// A task behind a gate, if there is one.
    pub(crate) struct Gated<F> {
        gate: Option<Arc<dyn Gate>>,
        #[pin]
        task: F,
    }
}

impl<F> Gated<F> {
    pub(crate) fn new(gate: Option<Arc<dyn Gate>>, task: F) -> Self {
        Self { gate, task }
    }
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.gate.as_ref().is_some_and(|gate| !gate.enter()) {
            return Poll::Pending;
        }
        this.task.poll(cx)
    }
}
