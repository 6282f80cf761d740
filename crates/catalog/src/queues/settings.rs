//! What makes a topic a queue: its `queue.*` settings, parsed.

use crate::topic_config::Values;

/// Where a queue comes from: what its deletion deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueOrigin {
    /// The topic was made as a queue and goes with it.
    Queue,
    /// The topic was there before: only the queue side goes.
    Topic,
}

/// The settings of a topic with `queue.enabled`. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    pub origin: QueueOrigin,
    /// Messages of a group are received in their order, one receiver at a time.
    pub is_fifo: bool,
    /// Acknowledged messages stay for Kafka readers, until retention takes them.
    pub retains: bool,
    pub visibility_timeout_ms: i64,
    pub delay_ms: i64,
    pub receive_wait_ms: i64,
    pub message_bytes_max: u32,
    /// Messages that are received and not acknowledged, at most.
    pub in_flight_max: u32,
    /// The queue that gets what was received too often.
    pub dead_letter_topic: Option<String>,
    /// Deliveries after which a message goes there.
    pub attempts_max: u32,
}

impl QueueSettings {
    /// `None`: the topic is no queue.
    pub(crate) fn of(values: &Values<'_>) -> Option<Box<QueueSettings>> {
        if !values.flag("queue.enabled") {
            return None;
        }
        let dead_letter_topic = values.text("queue.dead.letter.topic");
        Some(Box::new(QueueSettings {
            origin: match values.text("queue.origin") {
                "queue" => QueueOrigin::Queue,
                _ => QueueOrigin::Topic,
            },
            is_fifo: values.flag("queue.fifo"),
            retains: values.flag("queue.retain"),
            visibility_timeout_ms: values.number("queue.visibility.timeout.ms"),
            delay_ms: values.number("queue.delay.ms"),
            receive_wait_ms: values.number("queue.receive.wait.ms"),
            message_bytes_max: values.size("queue.message.bytes.max"),
            in_flight_max: values.size("queue.in.flight.max"),
            dead_letter_topic: Some(dead_letter_topic.to_owned()).filter(|name| !name.is_empty()),
            attempts_max: values.size("queue.attempts.max"),
        }))
    }
}
