//! What clients ask of a queue over SQS, and what they are told.

use std::fmt::{self, Display, Formatter};

use levada_model::Offset;

use super::RecordId;
use super::render::Spaced;

/// A message to be sent. Each has its own record: it is the message's body, and in a FIFO queue what
/// it is deduplicated by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    pub record: RecordId,
    /// FIFO queues: the message group.
    pub group: Option<u64>,
    pub delay_ms: u64,
}

/// A message where it stands. With its place, a FIFO queue tells apart what was sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageKey {
    pub record: RecordId,
    /// FIFO queues: SequenceNumber.
    pub sequence: Option<i64>,
}

/// One delivery of a message, as its receipt names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub key: MessageKey,
    /// ApproximateReceiveCount.
    pub count: u32,
    pub group: Option<u64>,
}

/// An action on one queue. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueOp {
    /// CreateQueue. [`QueueAnswer::Done`].
    Create {
        is_fifo: bool,
        delay_ms: u64,
        /// The queue that gets what was received so often.
        dead_letters: Option<(String, u32)>,
    },
    /// SendMessage or SendMessageBatch. [`QueueAnswer::Parts`].
    Send(Vec<NewMessage>),
    /// ReceiveMessage. [`QueueAnswer::Received`].
    Receive {
        most: u64,
        visible_ms: u64,
        wait_ms: u64,
    },
    /// DeleteMessage or DeleteMessageBatch. [`QueueAnswer::Parts`].
    Delete(Vec<Delivery>),
    /// ChangeMessageVisibility or its batch. [`QueueAnswer::Parts`].
    Hide {
        deliveries: Vec<Delivery>,
        visible_ms: u64,
    },
    /// PurgeQueue. [`QueueAnswer::Done`].
    Purge,
    /// GetQueueAttributes. [`QueueAnswer::Counts`].
    Count,
    /// A Kafka fetch of the queue's topic. [`QueueAnswer::Log`].
    Log { from: Offset },
}

/// What became of one message of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// With the SequenceNumber, if it was sent to a FIFO queue.
    Done(Option<i64>),
    /// The sender's fault: nothing happened.
    Refused(String),
    /// The receiver's: nobody knows.
    Unknown(String),
}

/// What a call to a queue was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueAnswer {
    Done,
    /// One for each message of the call.
    Parts(Vec<Part>),
    Received(Vec<Delivery>),
    /// Visible, in flight, delayed.
    Counts([u64; 3]),
    Log(Vec<(Offset, RecordId)>),
    /// The whole call, as the sender's fault: nothing happened.
    Refused(String),
}

impl Display for MessageKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.record)?;
        match self.sequence {
            Some(sequence) => write!(f, "@{sequence}"),
            None => Ok(()),
        }
    }
}

impl Display for Delivery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}*{}", self.key, self.count)?;
        match self.group {
            Some(group) => write!(f, "/{group}"),
            None => Ok(()),
        }
    }
}

impl Display for NewMessage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.record)?;
        if let Some(group) = self.group {
            write!(f, "/{group}")?;
        }
        match self.delay_ms {
            0 => Ok(()),
            delay_ms => write!(f, "+{delay_ms}ms"),
        }
    }
}

impl Display for QueueOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            QueueOp::Create {
                is_fifo,
                delay_ms,
                dead_letters,
            } => {
                write!(f, "create fifo={is_fifo} delay={delay_ms}")?;
                match dead_letters {
                    Some((target, most)) => write!(f, " after {most} to {target}"),
                    None => Ok(()),
                }
            }
            QueueOp::Send(messages) => write!(f, "send {}", Spaced(messages)),
            QueueOp::Receive {
                most,
                visible_ms,
                wait_ms,
            } => write!(f, "receive {most} visible={visible_ms} wait={wait_ms}"),
            QueueOp::Delete(deliveries) => write!(f, "delete {}", Spaced(deliveries)),
            QueueOp::Hide {
                deliveries,
                visible_ms,
            } => write!(f, "hide {visible_ms} {}", Spaced(deliveries)),
            QueueOp::Purge => f.write_str("purge"),
            QueueOp::Count => f.write_str("count"),
            QueueOp::Log { from } => write!(f, "log from={from}"),
        }
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Part::Done(None) => f.write_str("done"),
            Part::Done(Some(sequence)) => write!(f, "@{sequence}"),
            Part::Refused(code) => write!(f, "refused:{code}"),
            Part::Unknown(code) => write!(f, "unknown:{code}"),
        }
    }
}

impl Display for QueueAnswer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            QueueAnswer::Done => f.write_str("done"),
            QueueAnswer::Parts(parts) => Spaced(parts).fmt(f),
            QueueAnswer::Received(deliveries) => write!(f, "[{}]", Spaced(deliveries)),
            QueueAnswer::Counts([visible, in_flight, delayed]) => {
                write!(
                    f,
                    "visible={visible} in-flight={in_flight} delayed={delayed}"
                )
            }
            QueueAnswer::Log(records) => {
                let mut all = records.iter();
                all.try_for_each(|(offset, id)| write!(f, "@{offset} {id} "))
            }
            QueueAnswer::Refused(code) => write!(f, "refused {code}"),
        }
    }
}
