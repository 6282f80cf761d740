//! A producer: records are gathered into a batch for each partition and sent by one task.
//!
//! Batches of a partition arrive in the order in which they were filled, through retries too: with
//! idempotence up to five are under way and the broker finds out what came twice; without it, one.

pub mod partitioner;
mod queue;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use levada_env::Env;
use levada_records::{Compression, NewRecord, record_bytes};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;

use crate::cluster::Client;
use crate::error::{ClientError, ClientResult};
use crate::metadata::Topic;
use queue::{Outcome, Queues};

/// What a broker must have done before it acknowledges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// Nothing: there is no answer, and no way to know.
    None,
    Leader,
    #[default]
    All,
}

impl Acks {
    fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How a producer gathers and sends.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    pub acks: Acks,
    pub compression: Compression,
    /// How long a batch that is not full waits for more records.
    pub linger: Duration,
    /// Most bytes of a batch before compression; one larger record goes alone.
    pub batch_bytes_max: usize,
    /// What may wait here to be sent and acknowledged; then `send` waits.
    pub buffer_bytes_max: usize,
    /// Requests under way to one broker.
    pub in_flight_max: usize,
    /// Sequences, so that retries leave no duplicates; needs [`Acks::All`].
    pub idempotent: bool,
    /// After so long a batch is given up, from its first record.
    pub delivery_timeout: Duration,
    /// Whether the broker may create topics that do not exist.
    pub create_topics: bool,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            compression: Compression::None,
            linger: Duration::from_millis(5),
            batch_bytes_max: 256 * 1024,
            buffer_bytes_max: 32 * 1024 * 1024,
            in_flight_max: 5,
            idempotent: true,
            delivery_timeout: Duration::from_secs(60),
            create_topics: true,
        }
    }
}

/// Where a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub partition: i32,
    /// -1 with [`Acks::None`].
    pub offset: i64,
}

/// Tells later whether a record was written.
#[derive(Clone, Debug)]
pub struct Delivery {
    outcome: Arc<Outcome>,
    partition: i32,
    index: i64,
}

impl Delivery {
    /// Waits until the record is acknowledged or given up.
    ///
    /// # Errors
    /// The broker's refusal, or [`ClientError::Expired`].
    pub async fn wait(&self) -> ClientResult<Delivered> {
        let base = self.outcome.wait().await?;
        Ok(Delivered {
            partition: self.partition,
            offset: if base < 0 { -1 } else { base + self.index },
        })
    }
}

/// What became of the records so far.
#[derive(Clone, Debug, Default)]
pub struct ProducerCounts {
    pub acknowledged: u64,
    pub failed: u64,
    /// Bytes of acknowledged batches, as sent.
    pub bytes: u64,
    pub first_error: Option<ClientError>,
}

/// What the callers and the sender's task share.
struct Shared {
    env: Env,
    client: Client,
    options: ProducerOptions,
    queues: Mutex<Queues>,
    /// The sender has something to do.
    wake: Notify,
    /// Nothing waits any more.
    idle: Notify,
    /// Free bytes of the buffer.
    room: Semaphore,
}

/// A producer; [`Producer::flush`] it before it is dropped, or what waits is lost.
pub struct Producer {
    shared: Arc<Shared>,
    sender: AbortHandle,
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.sender.abort();
    }
}

impl Producer {
    /// Starts a producer; an idempotent one asks for its id first.
    ///
    /// # Errors
    /// Those of asking for the id, and options that contradict each other.
    pub async fn start(client: &Client, options: ProducerOptions) -> ClientResult<Self> {
        if options.idempotent && options.acks != Acks::All {
            return Err(ClientError::Invalid(
                "an idempotent producer needs acks=all".into(),
            ));
        }
        let identity = match options.idempotent {
            true => Some(sender::ask_identity(client).await?),
            false => None,
        };
        let shared = Arc::new(Shared {
            env: client.env().clone(),
            client: client.clone(),
            queues: Mutex::default(),
            wake: Notify::new(),
            idle: Notify::new(),
            room: Semaphore::new(options.buffer_bytes_max.min(Semaphore::MAX_PERMITS)),
            options,
        });
        let task = sender::run(shared.clone(), identity);
        let sender = client.env().spawn("producer", task).abort_handle();
        Ok(Self { shared, sender })
    }

    /// Adds a record to its partition's batch: to `partition`, else by its key's hash as Java does,
    /// else to the partition whose batch is being filled. Waits while the buffer is full.
    ///
    /// # Errors
    /// An unknown topic or partition, or no metadata. Whether the record was written is told by
    /// the [`Delivery`].
    pub async fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        record: &NewRecord<'_>,
    ) -> ClientResult<Delivery> {
        let shared = &self.shared;
        let known = shared
            .client
            .topic(topic, shared.options.create_topics)
            .await?;
        if let Some(partition) = partition {
            known.partition(partition)?;
        }
        let charge = record_bytes(record).min(shared.options.buffer_bytes_max);
        let permits = u32::try_from(charge).unwrap_or(u32::MAX);
        match shared.room.acquire_many(permits).await {
            // Given back with the batch.
            Ok(permits) => permits.forget(),
            Err(_) => return Err(ClientError::Closed),
        }
        Ok(self.append(&known, partition, record, charge))
    }

    fn append(
        &self,
        topic: &Topic,
        partition: Option<i32>,
        record: &NewRecord<'_>,
        charge: usize,
    ) -> Delivery {
        let shared = &self.shared;
        let now = shared.env.monotonic();
        let mut queues = shared.queues.lock();
        let queue = queues.choose(topic, partition, record.key, || shared.env.random_u64());
        let appended = queue.append(record, charge, now, &shared.options);
        let partition = queue.partition;
        queues.waiting += usize::from(appended.opened);
        drop(queues);
        if appended.opened {
            shared.wake.notify_one();
        }
        Delivery {
            outcome: appended.outcome,
            partition,
            index: appended.index,
        }
    }

    /// Waits until everything that was sent is acknowledged or given up.
    pub async fn flush(&self) {
        self.shared.queues.lock().flushing += 1;
        self.shared.wake.notify_one();
        loop {
            let idle = self.shared.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.shared.queues.lock().waiting == 0 {
                break;
            }
            idle.await;
        }
        self.shared.queues.lock().flushing -= 1;
    }

    /// What became of the records so far.
    pub fn counts(&self) -> ProducerCounts {
        self.shared.queues.lock().counts.clone()
    }
}
