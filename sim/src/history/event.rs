//! The vocabulary of a history: calls with their outcomes, and notes about what was done to the
//! broker.
//!
//! A call is an invoke and, unless the client went away, a return. Their places in the list are
//! the order of real time: a call that returned before another was invoked happened before it;
//! calls that overlap may have happened in either order.

use levada_model::{Offset, ProducerEpoch, ProducerId, Sequence, TopicId};

use super::RecordId;
use super::queue::{QueueAnswer, QueueOp};

/// A simulated client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

/// The number of a call, in order of invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A topic as a request named it.
///
/// A name can stand for several topics one after another; the id says which. A request that can
/// only carry a name has no id here, even if its client believes to know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic {
    pub name: String,
    pub id: Option<TopicId>,
}

/// A partition as a request named it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub topic: Topic,
    pub partition: i32,
}

/// Whether records of a topic may go away by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Only DeleteRecords moves the log's start.
    Keep,
    /// Time or size may move it at any moment.
    Trim,
}

/// Where an idempotent batch stands among its producer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequenced {
    pub producer: ProducerId,
    pub epoch: ProducerEpoch,
    pub base: Sequence,
}

/// Which end of a partition ListOffsets asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Earliest,
    Latest,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// CreateTopics of one topic. Answered by [`Answer::Created`].
    CreateTopic {
        name: String,
        partitions: i32,
        retention: Retention,
    },
    /// DeleteTopics of one topic. [`Answer::Done`].
    DeleteTopic { topic: Topic },
    /// Metadata of all topics. [`Answer::Topics`].
    ListTopics,
    /// Produce of one batch to one partition, acks=all. [`Answer::Appended`]. Each attempt of a
    /// retry is a call of its own with the same records and the same sequence.
    Produce {
        at: Place,
        sequenced: Option<Sequenced>,
        records: Vec<RecordId>,
    },
    /// Fetch of one partition. [`Answer::Fetched`].
    Fetch { at: Place, from: Offset },
    /// ListOffsets of one partition. [`Answer::At`].
    ListOffset { at: Place, end: End },
    /// DeleteRecords of one partition. [`Answer::At`] the new log start.
    DeleteRecords { at: Place, before: Offset },
    /// JoinGroup and SyncGroup together. [`Answer::Joined`].
    Join { group: String },
    /// OffsetCommit of one partition by a member (or with no generation: by an outsider).
    /// [`Answer::Done`].
    Commit {
        group: String,
        generation: Option<i32>,
        at: Place,
        offset: Offset,
    },
    /// OffsetFetch of one partition. [`Answer::Committed`].
    FetchCommitted { group: String, at: Place },
    /// DeleteGroups of one group. [`Answer::Done`].
    DeleteGroup { group: String },
    /// An action on a queue. [`Answer::Queue`].
    Queue { queue: String, op: QueueOp },
}

/// A topic in the answer to a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTopic {
    pub name: String,
    pub id: TopicId,
    pub partitions: i32,
}

/// What a successful call told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Created {
        id: TopicId,
    },
    Topics(Vec<ListedTopic>),
    /// The offset of the batch's first record.
    Appended {
        base: Offset,
    },
    /// Records from the asked offset on (what lies before it in the first batch is left out).
    Fetched {
        records: Vec<(Offset, RecordId)>,
        high_watermark: Offset,
        log_start: Offset,
    },
    At(Offset),
    Joined {
        generation: i32,
        assignment: Vec<Place>,
    },
    /// None: the group has committed nothing there.
    Committed(Option<Offset>),
    Queue(QueueAnswer),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok(Answer),
    /// The broker answered with this error code of Kafka's. What it means for the call is said by
    /// [`crate::history::is_definite`].
    Refused(i16),
    /// No answer: the connection was cut, the time was up, or the broker went away.
    Unknown(String),
}

/// Which records a damaged frame may cost, end exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    pub at: Place,
    pub from: Offset,
    pub until: Offset,
}

/// What was done to the broker, or by a client without the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The broker's process ended: nothing is answered until it starts again.
    Crash,
    /// The broker accepts connections again.
    Start,
    /// A stored bit was flipped for good. With `may_cost` the frame that it hit is known to hold
    /// these records and no others (an empty list: it costs none).
    Damage {
        what: String,
        may_cost: Option<Vec<Cost>>,
    },
    /// The broker's wall clock was set: what it measures by it says nothing from here on.
    ClockJump { by_ms: i64 },
    /// Any other fault, for whoever reads the trace.
    Fault { what: String },
    /// A group has no committed offset in a partition and begins here. Without this note it
    /// begins at 0.
    GroupBegins {
        group: String,
        at: Place,
        offset: Offset,
    },
    /// A member has handled the records of these offsets, end exclusive.
    Delivered {
        group: String,
        client: ClientId,
        at: Place,
        from: Offset,
        until: Offset,
    },
    /// From here on nothing is injected, the broker is up, and everything that is left is read
    /// back: both ends of each partition are listed, it is fetched from its log start to its end
    /// (going on behind a damaged batch), and each group's committed offsets are fetched. The
    /// checks want to see every acknowledged record once more.
    Audit,
}

/// One entry of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Invoke {
        call: CallId,
        client: ClientId,
        op: Op,
    },
    Return {
        call: CallId,
        client: ClientId,
        outcome: Outcome,
    },
    Note(Note),
}

/// One entry with its simulated time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at_us: u64,
    pub what: What,
}
