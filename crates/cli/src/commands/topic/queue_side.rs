//! What `levada topic describe` tells of a topic that is a queue too.

use serde::Serialize;

use crate::error::CliResult;
use crate::sqs::Sqs;

/// What the SQS listener says of the queue of the same name.
#[derive(Serialize)]
pub struct QueueSide {
    messages_visible: u64,
    messages_in_flight: u64,
    messages_delayed: u64,
    /// Where messages go that fail too often; null if they stay.
    dead_letters_to: Option<DeadLetters>,
    /// The queues whose dead letters come to this one.
    dead_letters_from: Vec<String>,
}

#[derive(Serialize)]
struct DeadLetters {
    queue: String,
    after_receives: u64,
    messages_visible: u64,
}

/// Asks for the queue `name`.
///
/// # Errors
/// As [`Sqs::call`].
pub async fn ask(sqs: &Sqs, name: &str) -> CliResult<QueueSide> {
    let told = sqs.attributes(name).await?;
    let dead_letters_to = match told.dead_letters_to() {
        None => None,
        Some((queue, after_receives)) => Some(DeadLetters {
            messages_visible: sqs.attributes(&queue).await?.visible(),
            queue,
            after_receives,
        }),
    };
    Ok(QueueSide {
        messages_visible: told.visible(),
        messages_in_flight: told.in_flight(),
        messages_delayed: told.delayed(),
        dead_letters_to,
        dead_letters_from: sqs.dead_letter_sources(name).await?,
    })
}

impl QueueSide {
    /// Some lines for people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "Queue: {} visible, {} in flight, {} delayed\n",
            self.messages_visible, self.messages_in_flight, self.messages_delayed
        );
        if let Some(dead) = &self.dead_letters_to {
            text += &format!(
                "Dead letters go to {} after {} receives; it has {} visible\n",
                dead.queue, dead.after_receives, dead.messages_visible
            );
        }
        if !self.dead_letters_from.is_empty() {
            let from = self.dead_letters_from.join(", ");
            text += &format!("Dead letters come from {from}\n");
        }
        text
    }
}
