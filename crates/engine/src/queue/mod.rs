//! Queues: a topic read as messages that somebody receives, hides from others, and acknowledges.
//!
//! A message goes in by the one write path (`send`). A receive chooses among those that are neither
//! done nor hidden (`live`, for FIFO queues by group: `fifo`), reads their records (`load`), and
//! gives each a signed `receipt`. An acknowledgement is a command; the catalog moves the queue's
//! floor and frees what is done.

mod admin;
mod ahead;
mod cursor;
mod dead_letters;
mod errors;
mod fair;
mod fifo;
mod live;
mod load;
mod moves;
mod receipt;
mod receive;
mod requests;
mod salvage;
mod send;
mod settle;

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use levada_catalog::queues::ReceiptKey;
use levada_catalog::{Command, State};
use levada_env::port::Urgency;
use levada_model::{PartitionId, TopicId};
use parking_lot::Mutex;

use ahead::Ahead;
pub use errors::QueueError;
use levada_catalog::command::QueueCommand;
use live::Live;
use moves::Moves;
pub use moves::{MoveState, MoveTask};
pub use requests::{
    Message, MessageId, NewMessage, NewQueue, QueueCounts, QueueInfo, QueueOrigin, QueueSettings,
    Receive, Sent,
};

use crate::EngineSettings;
use crate::engine::Inner;
use crate::watch::Watchers;

/// One partition of a queue in use.
#[derive(Default)]
struct Desk {
    live: Mutex<Live>,
    /// One receiver looks ahead at a time; the others find what it found.
    looking: tokio::sync::Mutex<()>,
    /// One receiver of a deep backlog reads ahead at a time.
    reading: tokio::sync::Mutex<()>,
}

/// Queues in use, and when each was purged last.
pub(crate) struct Queues {
    desks: Mutex<HashMap<PartitionId, Arc<Desk>, FixedState>>,
    purged: Mutex<HashMap<TopicId, i64, FixedState>>,
    moves: Moves,
    ahead: Ahead,
    /// Who waits for messages.
    pub receivers: Arc<Watchers>,
}

impl Queues {
    pub fn new(settings: &EngineSettings) -> Self {
        Self {
            desks: Mutex::default(),
            purged: Mutex::default(),
            moves: Moves::default(),
            ahead: Ahead::new(settings.queue_ahead_bytes),
            receivers: Arc::default(),
        }
    }

    /// A queue that nobody has used has none until then.
    fn desk(&self, partition: PartitionId) -> Arc<Desk> {
        Arc::clone(self.desks.lock().entry(partition).or_default())
    }

    fn known_desk(&self, partition: PartitionId) -> Option<Arc<Desk>> {
        self.desks.lock().get(&partition).cloned()
    }

    /// Forgets queues that are not in use any more: all they knew stands in the state.
    pub fn tidy(&self, state: &State, now_ms: i64) {
        let mut desks = self.desks.lock();
        desks.retain(|partition, desk| {
            let is_used = Arc::strong_count(desk) > 1 || !desk.live.lock().tidy();
            is_used && state.partition(*partition).is_some()
        });
        self.ahead.tidy(|partition| desks.contains_key(&partition));
        drop(desks);
        let is_recent = |at: i64| now_ms - at < admin::PURGE_PAUSE_MS;
        self.purged.lock().retain(|_, at| is_recent(*at));
    }
}

/// A queue as it stands: what a call needs of it.
struct Found {
    topic: TopicId,
    name: String,
    settings: QueueSettings,
    retention_ms: Option<i64>,
    /// In the order of their numbers.
    partitions: Vec<PartitionId>,
}

/// Partitions of a topic that are read as a queue; a queue that wants more is a stream.
const PARTITIONS_MAX: usize = 4096;

impl Found {
    fn of(state: &State, name: &str) -> Result<Self, QueueError> {
        let topic = state.topic_named(name).ok_or(QueueError::Unknown)?;
        let settings = topic.config.queue.as_deref().ok_or(QueueError::Unknown)?;
        Ok(Self {
            topic: topic.id,
            name: name.to_owned(),
            settings: settings.clone(),
            retention_ms: topic.config.retention_ms.filter(|_| topic.config.deletes),
            partitions: topic.partitions().take(PARTITIONS_MAX).collect(),
        })
    }

    fn number(&self, partition: PartitionId) -> Option<i32> {
        let at = self.partitions.iter().position(|id| *id == partition)?;
        i32::try_from(at).ok()
    }

    fn partition(&self, number: i32) -> Option<PartitionId> {
        let at = usize::try_from(number).ok()?;
        self.partitions.get(at).copied()
    }
}

impl Inner {
    fn find_queue(&self, name: &str) -> Result<Found, QueueError> {
        self.sequencer.read(|state| Found::of(state, name))
    }

    /// The key of receipts; made by the first one who needs it.
    async fn receipt_key(&self) -> Result<ReceiptKey, QueueError> {
        let known = || {
            self.sequencer
                .read(|state| state.queues().receipt_key().cloned())
        };
        if let Some(key) = known() {
            return Ok(key);
        }
        let mut key = [0; 32];
        self.env.random_bytes(&mut key);
        let command = QueueCommand::SetReceiptKey(ReceiptKey(key));
        self.propose_queue(command, Urgency::Reserve).await?;
        known().ok_or_else(|| QueueError::Storage("the receipts have no key".into()))
    }

    async fn propose_queue(
        &self,
        command: QueueCommand,
        urgency: Urgency,
    ) -> Result<(), QueueError> {
        let proposed = self.sequencer.propose(Command::Queue(command), urgency);
        let refused =
            |error: levada_sequencer::ProposeError| QueueError::Storage(error.to_string());
        proposed.await.map(drop).map_err(refused)
    }
}

/// What the end of messages may draw on when the disk is full: it makes room, unless the queue
/// retains what is done for Kafka's readers; then it keeps a place as an offset commit does.
fn urgency_of_done(settings: &QueueSettings) -> Urgency {
    match settings.retains {
        true => Urgency::Reserve,
        false => Urgency::Reclaim,
    }
}
