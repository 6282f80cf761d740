//! What the two durability ports share: their errors, by what the caller may do, and tickets.

use std::{future::Future, pin::Pin};

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
pub type Ticket = PortFuture<'static, ()>;

/// Whether a write may use the reserve that a full disk leaves for what makes room or keeps place:
/// retention, deletes, offset commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urgency {
    #[default]
    Normal,
    Reserve,
}
