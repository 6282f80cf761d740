//! What the two durability ports share: their errors, by what the caller may do, and tickets.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

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
