//! Queues: a topic read as messages that somebody receives, hides from others, and acknowledges.

mod errors;
mod requests;

pub use errors::QueueError;
pub use requests::{
    Message, MessageId, NewMessage, NewQueue, QueueCounts, QueueInfo, QueueOrigin, QueueSettings,
    Receive, Sent,
};

use std::time::Duration;

use crate::Engine;

impl Engine {
    /// What a queue is and holds now.
    ///
    /// # Errors
    /// [`QueueError::Unknown`]: no topic of this name, or one that is no queue.
    pub fn queue(&self, name: &str) -> Result<QueueInfo, QueueError> {
        let _ = name;
        Err(QueueError::Unknown)
    }

    /// Names of queues that begin with `prefix`, in their order, behind `after`, at most `max`.
    pub fn queue_names(&self, prefix: &str, after: Option<&str>, max: usize) -> Vec<String> {
        let _ = (prefix, after, max);
        Vec::new()
    }

    /// Names of the queues whose dead-letter queue is `name`, in their order, behind `after`.
    pub fn dead_letter_sources(&self, name: &str, after: Option<&str>, max: usize) -> Vec<String> {
        let _ = (name, after, max);
        Vec::new()
    }

    /// Makes a queue, durably. One that is there already is given as it is: whoever asked compares.
    ///
    /// # Errors
    /// Its name or a setting is refused, or storage is.
    pub async fn create_queue(&self, new: NewQueue) -> Result<(QueueInfo, bool), QueueError> {
        let _ = new;
        Err(QueueError::Unknown)
    }

    /// Sets (`Some`) or resets (`None`) settings; all or none.
    ///
    /// # Errors
    /// As [`Engine::create_queue`].
    pub async fn alter_queue(
        &self,
        name: &str,
        changes: Vec<(String, Option<String>)>,
    ) -> Result<(), QueueError> {
        let _ = (name, changes);
        Err(QueueError::Unknown)
    }

    /// Deletes a queue: the topic if it was made as a queue, else the queue side.
    ///
    /// # Errors
    /// There is none, or storage refused.
    pub async fn delete_queue(&self, name: &str) -> Result<(), QueueError> {
        let _ = name;
        Err(QueueError::Unknown)
    }

    /// Drops every message, received ones included.
    ///
    /// # Errors
    /// [`QueueError::PurgeInProgress`] within a minute of the last one.
    pub async fn purge_queue(&self, name: &str) -> Result<(), QueueError> {
        let _ = name;
        Err(QueueError::Unknown)
    }

    /// Sends messages; on return each is durable or refused. One result each, in order.
    pub async fn send(
        &self,
        name: &str,
        messages: Vec<NewMessage>,
    ) -> Vec<Result<Sent, QueueError>> {
        let _ = name;
        vec![Err(QueueError::Unknown); messages.len()]
    }

    /// Receives messages, waiting for the first one if asked to. None in time: an empty list.
    ///
    /// # Errors
    /// [`QueueError::TooManyInFlight`] for a standard queue when the receive does not wait.
    pub async fn receive(&self, name: &str, receive: Receive) -> Result<Vec<Message>, QueueError> {
        let _ = (name, receive);
        Err(QueueError::Unknown)
    }

    /// The messages of these receipts are done, durably. One result each, in order; a message that
    /// is done already is no error.
    pub async fn acknowledge(
        &self,
        name: &str,
        receipts: &[String],
    ) -> Vec<Result<(), QueueError>> {
        let _ = name;
        vec![Err(QueueError::Unknown); receipts.len()]
    }

    /// Hides messages for so long from now on, or shows them again at once. One result each.
    pub async fn change_visibility(
        &self,
        name: &str,
        receipts: &[(String, Duration)],
    ) -> Vec<Result<(), QueueError>> {
        let _ = name;
        vec![Err(QueueError::Unknown); receipts.len()]
    }
}
