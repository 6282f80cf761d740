//! What the two durability ports share: their errors, by what the caller may do, and tickets.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use tokio::sync::oneshot;

/// Why a port did not do what was asked, by what the caller may do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// It did not happen: retry later.
    #[error("storage refused: {0}")]
    Rejected(String),
    /// It may have happened: settle it before a retry.
    #[error("storage did not say whether it happened: {0}")]
    Indeterminate(String),
    /// Another owner holds the log: stop.
    #[error("another owner has taken over: {0}")]
    Fenced(String),
    /// The stored bytes are damaged: never serve them.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
}

pub type PortResult<T> = Result<T, PortError>;

/// A port's answer that takes time.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = PortResult<T>> + Send + 'a>>;

/// Resolves once what was staged is on stable storage.
pub struct Ticket {
    durable: PortFuture<'static, ()>,
    place: Option<Box<dyn Any + Send>>,
}

impl Ticket {
    pub fn new(durable: impl Future<Output = PortResult<()>> + Send + 'static) -> Self {
        Ticket {
            durable: Box::pin(durable),
            place: None,
        }
    }

    /// A ticket that also says where the bytes lie, in terms that a log on the same storage
    /// understands: it can then refuse a command whose bytes have failed.
    pub fn with_place(
        durable: impl Future<Output = PortResult<()>> + Send + 'static,
        place: impl Any + Send,
    ) -> Self {
        Ticket {
            durable: Box::pin(durable),
            place: Some(Box::new(place)),
        }
    }

    /// A ticket that resolves as a task of the port tells; `lost` is why it may never do so.
    pub fn told(task: oneshot::Receiver<PortResult<()>>, lost: &'static str) -> Self {
        Ticket::new(async move {
            let gone = |_| Err(PortError::Indeterminate(lost.into()));
            task.await.unwrap_or_else(gone)
        })
    }

    /// The place, if it is of this kind.
    pub fn place<T: Any>(&self) -> Option<&T> {
        self.place.as_ref()?.downcast_ref()
    }
}

impl Future for Ticket {
    type Output = PortResult<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<PortResult<()>> {
        self.durable.as_mut().poll(cx)
    }
}

/// Whether a write may use the reserve that a full disk leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urgency {
    /// None of it.
    #[default]
    Normal,
    /// Half of it: what keeps place, such as offset commits.
    Reserve,
    /// All of it: what makes room, such as deletes and retention.
    Reclaim,
}

/// Bytes that a port may hold in memory until they are stored.
#[derive(Debug)]
pub struct Budget {
    max: u64,
    reserve: u64,
    taken: AtomicU64,
}

impl Budget {
    /// `max` bytes, and `reserve` more for what is not [`Urgency::Normal`].
    pub fn new(max: u64, reserve: u64) -> Arc<Budget> {
        Arc::new(Budget {
            max,
            reserve,
            taken: AtomicU64::new(0),
        })
    }

    /// Takes `bytes` until the guard is dropped.
    ///
    /// # Errors
    /// `Rejected` when so many are not left.
    pub fn take(self: &Arc<Self>, bytes: u64, urgency: Urgency) -> PortResult<Taken> {
        let max = match urgency {
            Urgency::Normal => self.max,
            Urgency::Reserve | Urgency::Reclaim => self.max.saturating_add(self.reserve),
        };
        let fits = |now: u64| now.checked_add(bytes).filter(|after| *after <= max);
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .map_err(|now| PortError::Rejected(format!("{now} bytes wait already")))?;
        Ok(Taken {
            budget: Arc::clone(self),
            bytes,
        })
    }
}

/// Part of a [`Budget`]; gives itself back.
#[derive(Debug)]
pub struct Taken {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_comes_back_and_its_reserve_is_for_the_urgent() {
        let budget = Budget::new(100, 10);
        let first = budget.take(60, Urgency::Normal).unwrap();
        let second = budget.take(40, Urgency::Normal).unwrap();
        assert!(budget.take(1, Urgency::Normal).is_err());
        let urgent = budget.take(10, Urgency::Reserve).unwrap();
        assert!(budget.take(1, Urgency::Reserve).is_err());
        assert!(budget.take(u64::MAX, Urgency::Reserve).is_err());
        drop((first, urgent));
        assert!(budget.take(60, Urgency::Normal).is_ok());
        drop(second);
        assert!(budget.take(100, Urgency::Normal).is_ok());
    }
}
