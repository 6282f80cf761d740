//! A consumer of partitions that it is told to read.
//!
//! Each leader has one fetch under way at most. The next one leaves as soon as an answer has come
//! and the read-ahead has room, so that the network works while the caller does.

mod answer;
mod batch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use levada_wire_kafka::messages::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use levada_wire_kafka::{KStr, Uuid};

use crate::admin::OffsetAt;
use crate::cluster::Client;
use crate::connection::Connection;
use crate::error::{ClientError, ClientResult};

pub use batch::{ConsumedBatch, ConsumedRecord};

/// Pause of a partition whose fetch failed, before it is tried again.
const PARTITION_PAUSE: Duration = Duration::from_millis(100);
/// Greatest version of Fetch that names topics by name.
const FETCH_BY_NAME_MAX: i16 = 12;

/// Where to go on when an offset is out of range, or nothing is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetTo {
    Earliest,
    #[default]
    Latest,
    /// Nowhere: it is an error.
    Fail,
}

/// How a consumer fetches.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// How long a broker may wait for `bytes_min`.
    pub wait_max: Duration,
    pub bytes_min: i32,
    /// Most bytes of one answer, and of one partition in it.
    pub bytes_max: i32,
    pub partition_bytes_max: i32,
    /// What may lie here ready, in bytes as sent.
    pub read_ahead_bytes_max: usize,
    /// Most bytes that one batch may take when decompressed.
    pub batch_bytes_max: usize,
    pub reset: ResetTo,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            wait_max: Duration::from_millis(500),
            bytes_min: 1,
            bytes_max: 16 * 1024 * 1024,
            partition_bytes_max: 1024 * 1024,
            read_ahead_bytes_max: 32 * 1024 * 1024,
            batch_bytes_max: 128 * 1024 * 1024,
            reset: ResetTo::Latest,
        }
    }
}

/// Topic and partition.
type Place = (Arc<str>, i32);

struct Assigned {
    /// The next offset that the caller gets.
    position: i64,
    /// The next offset to fetch: ahead of the position by what lies ready.
    fetch_from: i64,
    high_watermark: Option<i64>,
    partition_bytes_max: i32,
    /// A fetch for it is under way.
    busy: bool,
    not_before: Duration,
}

struct Fetched {
    node: i32,
    generation: u64,
    asked: Vec<(Place, i64)>,
    ids: Vec<(Uuid, Arc<str>)>,
    answer: ClientResult<FetchResponse>,
}

/// Reads assigned partitions.
pub struct Consumer {
    client: Client,
    options: ConsumerOptions,
    assigned: BTreeMap<Place, Assigned>,
    connections: BTreeMap<i32, Arc<Connection>>,
    fetching: FuturesUnordered<BoxFuture<'static, Fetched>>,
    nodes_busy: BTreeSet<i32>,
    ready: VecDeque<ConsumedBatch>,
    ready_bytes: usize,
    /// Grows with each assignment, so that late answers are known as such.
    generation: u64,
    /// Since when fetches fail, and whether because of the network.
    failing: Option<(Duration, bool)>,
}

impl Consumer {
    /// A consumer without partitions; `client` is shared, its connections are the consumer's own.
    pub fn new(client: &Client, options: ConsumerOptions) -> Self {
        Self {
            client: client.clone(),
            options,
            assigned: BTreeMap::new(),
            connections: BTreeMap::new(),
            fetching: FuturesUnordered::new(),
            nodes_busy: BTreeSet::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            generation: 0,
            failing: None,
        }
    }

    /// Reads these partitions from these offsets, and no others.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = (String, i32, i64)>) {
        self.generation += 1;
        self.ready.clear();
        self.ready_bytes = 0;
        let partition_bytes_max = self.options.partition_bytes_max;
        self.assigned = partitions
            .into_iter()
            .map(|(topic, partition, position)| {
                let assigned = Assigned {
                    position,
                    fetch_from: position,
                    high_watermark: None,
                    partition_bytes_max,
                    busy: false,
                    not_before: Duration::ZERO,
                };
                ((Arc::from(topic), partition), assigned)
            })
            .collect();
    }

    /// Goes on with another offset in one assigned partition.
    pub fn seek(&mut self, topic: &str, partition: i32, offset: i64) {
        let place: Place = (Arc::from(topic), partition);
        let Some(mut assigned) = self.assigned.remove(&place) else {
            return;
        };
        assigned.position = offset;
        assigned.fetch_from = offset;
        self.assigned.insert(place, assigned);
        let ready = std::mem::take(&mut self.ready);
        self.ready = ready
            .into_iter()
            .filter(|batch| *batch.topic != *topic || batch.partition != partition)
            .collect();
        self.ready_bytes = self.ready.iter().map(|batch| batch.bytes.len()).sum();
    }

    /// Stops reading one partition.
    pub fn unassign(&mut self, topic: &str, partition: i32) {
        self.seek(topic, partition, 0);
        self.assigned.remove(&(Arc::from(topic), partition));
    }

    /// Topic, partition and the next offset of everything assigned.
    pub fn positions(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.assigned
            .iter()
            .map(|((topic, partition), assigned)| (&**topic, *partition, assigned.position))
    }

    /// How many records lie between the positions and the ends that were seen last; `None` until
    /// each partition's end is known.
    pub fn lag(&self) -> Option<i64> {
        self.assigned.values().try_fold(0i64, |sum, assigned| {
            let behind = assigned.high_watermark?.saturating_sub(assigned.position);
            Some(sum.saturating_add(behind.max(0)))
        })
    }

    /// The next batch, or `None` when there is none within `wait`. May be dropped and called again
    /// without losing anything.
    ///
    /// # Errors
    /// What does not pass: refusals, and networks that stay broken for longer than the client's
    /// patience.
    pub async fn poll(&mut self, wait: Duration) -> ClientResult<Option<ConsumedBatch>> {
        let env = self.client.env().clone();
        let deadline = env.monotonic().saturating_add(wait);
        loop {
            while let Some(Some(fetched)) = self.fetching.next().now_or_never() {
                self.take_answer(fetched).await?;
            }
            let started = self.start_fetches().await;
            self.tolerate(started)?;
            if let Some(batch) = self.ready.pop_front() {
                self.ready_bytes = self.ready_bytes.saturating_sub(batch.bytes.len());
                if let Some(assigned) = self
                    .assigned
                    .get_mut(&(batch.topic.clone(), batch.partition))
                {
                    assigned.position = batch.next_offset();
                }
                return Ok(Some(batch));
            }
            let now = env.monotonic();
            if now >= deadline {
                return Ok(None);
            }
            let pause = (deadline - now).min(PARTITION_PAUSE.max(self.next_retry(now)));
            if self.fetching.is_empty() {
                env.sleep(pause).await;
            } else if let Ok(Some(fetched)) =
                env.timeout(deadline - now, self.fetching.next()).await
            {
                self.take_answer(fetched).await?;
            }
        }
    }

    fn next_retry(&self, now: Duration) -> Duration {
        let idle = self.assigned.values().filter(|assigned| !assigned.busy);
        idle.map(|assigned| assigned.not_before.saturating_sub(now))
            .min()
            .unwrap_or(PARTITION_PAUSE)
    }

    /// Lets errors pass that may pass by themselves, for a while.
    fn tolerate(&mut self, result: ClientResult<()>) -> ClientResult<()> {
        match result {
            Ok(()) => Ok(()),
            Err(error) if error.is_retriable() => {
                let now = self.client.env().monotonic();
                let network = error.is_network();
                let since = match self.failing {
                    // What is refused behind an outage has not failed for as long.
                    Some((since, same)) if same == network => since,
                    _ => now,
                };
                self.failing = Some((since, network));
                let patience = self.client.patience();
                if now.saturating_sub(since) >= patience.limit(&error) {
                    return Err(error);
                }
                tracing::debug!(%error, "fetching is tried again");
                patience.failing(&error, now);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a fetch to each leader that has none under way, for what is idle there.
    async fn start_fetches(&mut self) -> ClientResult<()> {
        if self.ready_bytes >= self.options.read_ahead_bytes_max {
            return Ok(());
        }
        let now = self.client.env().monotonic();
        let idle: Vec<Place> = self
            .assigned
            .iter()
            .filter(|(_, assigned)| !assigned.busy && assigned.not_before <= now)
            .map(|(place, _)| place.clone())
            .collect();
        let mut by_leader: BTreeMap<i32, Vec<(Place, Uuid)>> = BTreeMap::new();
        for place in idle {
            match self.client.topic(&place.0, false).await {
                Ok(topic) => {
                    let leader = topic.partition(place.1)?.leader;
                    if !self.nodes_busy.contains(&leader) {
                        by_leader.entry(leader).or_default().push((place, topic.id));
                    }
                }
                Err(error) => {
                    self.pause(&place);
                    return Err(error);
                }
            }
        }
        for (leader, places) in by_leader {
            if let Err(error) = self.fetch_from(leader, &places).await {
                for (place, _) in &places {
                    self.client.forget_topic(&place.0);
                    self.pause(place);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn pause(&mut self, place: &Place) {
        let not_before = self.client.env().monotonic() + PARTITION_PAUSE;
        if let Some(assigned) = self.assigned.get_mut(place) {
            assigned.not_before = not_before;
        }
    }

    async fn fetch_from(&mut self, node: i32, places: &[(Place, Uuid)]) -> ClientResult<()> {
        let open = self.connections.get(&node).filter(|open| open.is_open());
        let connection = match open {
            Some(open) => open.clone(),
            None => self.client.dedicated(node).await?,
        };
        self.connections.insert(node, connection.clone());
        let by_name = places.iter().any(|(_, id)| id.is_zero());
        let most = if by_name { FETCH_BY_NAME_MAX } else { i16::MAX };
        let version = connection.version_up_to::<FetchRequest>(most)?;
        let mut asked = Vec::with_capacity(places.len());
        let mut ids: Vec<(Uuid, Arc<str>)> = Vec::new();
        let mut topics: Vec<FetchTopic> = Vec::new();
        for (place, id) in places {
            let Some(assigned) = self.assigned.get_mut(place) else {
                continue;
            };
            assigned.busy = true;
            if ids.last().is_none_or(|(_, topic)| *topic != place.0) {
                ids.push((*id, place.0.clone()));
                topics.push(FetchTopic {
                    topic: KStr::from(&*place.0),
                    topic_id: *id,
                    partitions: Vec::new(),
                });
            }
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(FetchPartition {
                    partition: place.1,
                    fetch_offset: assigned.fetch_from,
                    partition_max_bytes: assigned.partition_bytes_max,
                    ..Default::default()
                });
            }
            asked.push((place.clone(), assigned.fetch_from));
        }
        let request = FetchRequest {
            max_wait_ms: self.options.wait_max.as_millis() as i32,
            min_bytes: self.options.bytes_min,
            max_bytes: self.options.bytes_max,
            topics,
            ..Default::default()
        };
        let submitted = connection.submit(&request, version);
        let generation = self.generation;
        self.nodes_busy.insert(node);
        self.fetching.push(Box::pin(async move {
            let answer = match submitted {
                Ok(submitted) => connection.receive(submitted).await,
                Err(error) => Err(error),
            };
            Fetched {
                node,
                generation,
                asked,
                ids,
                answer,
            }
        }));
        Ok(())
    }

    /// The offset at which reading begins by the reset policy.
    ///
    /// # Errors
    /// Those of the look-up; [`ClientError::Invalid`] if the policy is to fail.
    // `&mut`, so that the future is Send: what is being fetched cannot be shared between threads.
    pub(crate) async fn reset_offset(&mut self, topic: &str, partition: i32) -> ClientResult<i64> {
        let at = match self.options.reset {
            ResetTo::Earliest => OffsetAt::Earliest,
            ResetTo::Latest => OffsetAt::Latest,
            ResetTo::Fail => {
                return Err(ClientError::Invalid(format!(
                    "there is no offset to begin with in partition {partition} of '{topic}'"
                )));
            }
        };
        let found = self.client.list_offsets(topic, &[(partition, at)]).await?;
        Ok(found
            .first()
            .copied()
            .flatten()
            .map_or(0, |found| found.offset))
    }
}
