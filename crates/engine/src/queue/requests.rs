//! What a listener asks of a queue and what it gets.

use std::time::Duration;

use bytes::Bytes;
use levada_model::{Offset, TopicId};

/// A queue as listeners see it: a topic, and what its queue side holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    pub topic: TopicId,
    /// The topic's name; that of a FIFO queue ends in `.fifo`.
    pub name: String,
    pub created_ms: i64,
    /// The settings that act, parsed.
    pub settings: QueueSettings,
    /// The topic's settings that differ from the defaults, as text: what listeners keep beside
    /// (policies, tags) stands here too.
    pub configs: Vec<(String, String)>,
    pub counts: QueueCounts,
}

pub use levada_catalog::queues::{QueueOrigin, QueueSettings};

/// Exact when no command is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Can be received now.
    pub visible: u64,
    /// Received, not acknowledged, and not visible again yet.
    pub in_flight: u64,
    /// Sent with a delay that is not over.
    pub delayed: u64,
}

/// A queue to be made. What is not named has its default; a topic of that name becomes a queue and
/// keeps its records.
#[derive(Clone, Debug, Default)]
pub struct NewQueue {
    pub name: String,
    /// `queue.*` and other settings of the topic.
    pub configs: Vec<(String, String)>,
}

/// One message to be sent. Nothing of it is interpreted but the delay and the deduplication.
#[derive(Clone, Debug, Default)]
pub struct NewMessage {
    /// The record's value.
    pub body: Bytes,
    /// The record's key: the message group, if there is one.
    pub group: Option<Bytes>,
    /// The record's headers, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Overrides the queue's own delay.
    pub delay: Option<Duration>,
    /// FIFO queues: a second message with the same within five minutes is taken and not delivered.
    /// A digest of id (or content) and, where deduplication goes by group, the group.
    pub deduplication: Option<[u8; 16]>,
    /// When it was sent first, if it is moved here; `None`: now. Milliseconds since the Unix epoch.
    pub sent_ms: Option<i64>,
}

/// Where a message lies once it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub id: MessageId,
    pub offset: Offset,
    pub sent_ms: i64,
}

/// Names a message for its whole life, in this queue and those that it is moved to. Made from the
/// topic's id, partition and offset; shown as a UUID (version 8, RFC 9562).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// The first half tells the partition, the second the offset.
    pub(super) fn of(topic: TopicId, partition: i32, offset: Offset) -> Self {
        // Odd, so that no two partitions of a topic meet.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let half = |at: usize| {
            let bytes = topic.0[at..].first_chunk::<8>();
            bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
        };
        let place = u64::from(partition.cast_unsigned()).wrapping_mul(SPREAD);
        let first = half(0) ^ half(8).rotate_left(32) ^ place;
        let version = first & !0xf000 | 0x8000;
        let variant = offset.0.cast_unsigned() & (u64::MAX >> 2) | 1 << 63;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&version.to_be_bytes());
        id[8..].copy_from_slice(&variant.to_be_bytes());
        Self(id)
    }
}

impl std::fmt::Display for MessageId {
    /// As a UUID.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(36);
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(DIGITS[usize::from(nibble)]));
            }
        }
        f.write_str(&text)
    }
}

/// Asks for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receive {
    /// At least 1.
    pub messages_max: usize,
    /// Body bytes over all messages, at most; the first is given even when it is larger.
    pub bytes_max: usize,
    /// How long nobody else gets them; `None`: the queue's own.
    pub visibility: Option<Duration>,
    /// How long to wait for the first; `None`: the queue's own.
    pub wait: Option<Duration>,
    /// FIFO queues: the same attempt again within five minutes, as long as nothing of it was
    /// acknowledged or became visible, gives the same messages.
    pub attempt: Option<String>,
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: MessageId,
    /// Names this delivery: what acknowledges it or changes its visibility. Valid as long as the
    /// message is there, over restarts too.
    pub receipt: String,
    pub partition: i32,
    pub offset: Offset,
    pub body: Bytes,
    pub group: Option<Bytes>,
    pub headers: Vec<(String, Option<Bytes>)>,
    pub sent_ms: i64,
    pub first_received_ms: i64,
    /// This delivery included.
    pub receive_count: u32,
    /// The queue that gave up on it, if this is its dead-letter queue.
    pub dead_letter_source: Option<String>,
}
