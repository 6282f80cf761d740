//! The way in: limits, CRC, a permit of bytes, then the accumulator.

use std::{
    future::Future,
    ops::RangeInclusive,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use levada_catalog::{
    State,
    command::{BatchProducer, CommitBatch, QueuedBatch},
};
use levada_model::{
    BatchHeader, Extent, PartitionId, ProducerEpoch, ProducerId, Sequence, batch, limits,
};
use levada_records::Batches;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    AppendEntry, AppendError, Appended, Engine, TopicRef,
    accumulator::{BatchResults, PendingAppend, PendingBatch},
    engine::Inner,
    metrics::add,
    rules,
};

type EntryResults = Vec<Result<Appended, AppendError>>;

/// Resolves to one result for each entry of a request once they are durable and applied.
/// Dropping it does not take the append back.
pub struct AppendTicket {
    outcome: Pin<Box<dyn Future<Output = EntryResults> + Send>>,
}

impl Future for AppendTicket {
    type Output = EntryResults;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<EntryResults> {
        self.outcome.as_mut().poll(cx)
    }
}

/// What the rules need of a partition.
struct Target {
    partition: PartitionId,
    batch_bytes_max: usize,
    log_append_time: bool,
    compacts: bool,
    timestamp_before_max_ms: i64,
    timestamp_after_max_ms: i64,
}

impl Engine {
    /// Takes record batches in. Waits while the in-flight bytes are all taken (back-pressure); on
    /// return the order among requests is fixed. Await the ticket for the results.
    pub async fn submit(&self, entries: Vec<AppendEntry>) -> AppendTicket {
        let inner = &self.inner;
        let bytes = entries.iter().map(|entry| entry.records.len()).sum();
        let permit = inner.take_in_flight(bytes).await;
        let targets = inner.sequencer.read(|state| {
            entries
                .iter()
                .map(|entry| target(state, entry))
                .collect::<Vec<_>>()
        });
        let now_ms = inner.env.now_ms();
        let mut known = entries.iter().zip(&targets);
        let opens = known.any(|(entry, target)| {
            let target = target.as_ref();
            target.is_ok_and(|target| target.opens(&entry.records, now_ms))
        });
        let check = move || check_all(entries, targets, now_ms);
        let (checked, batches) = match opens {
            true => inner.opening(check).await,
            false => check(),
        };
        let refused = checked.iter().filter(|result| result.is_err()).count();
        add(&inner.metrics.batches_refused, refused as u64);
        let answer = inner.accumulate(batches, permit);
        AppendTicket {
            outcome: Box::pin(gather(checked, answer)),
        }
    }
}

/// Joins the results of batches to results of entries: the first batch's place, or the first error.
async fn gather(
    checked: Vec<Result<usize, AppendError>>,
    answer: oneshot::Receiver<BatchResults>,
) -> EntryResults {
    let waits = checked.iter().any(Result::is_ok);
    let stopped = || AppendError::Storage("the service is stopping".into());
    let mut results = match waits {
        true => answer.await.ok(),
        false => None,
    }
    .map(Vec::into_iter);
    checked
        .into_iter()
        .map(|entry| {
            let count = entry?;
            let results = results.as_mut().ok_or_else(stopped)?;
            let mut batches = results.take(count);
            let first = batches.next().unwrap_or_else(|| Err(stopped()));
            batches.fold(first, |first, next| first.and_then(|f| next.map(|_| f)))
        })
        .collect()
}

fn target(state: &State, entry: &AppendEntry) -> Result<Target, AppendError> {
    let topic = match &entry.topic {
        TopicRef::Name(name) => state.topic_named(name).ok_or(AppendError::UnknownTopic)?,
        TopicRef::Id(id) => state.topic(*id).ok_or(AppendError::UnknownTopicId)?,
    };
    let partition = topic
        .partition(entry.partition)
        .ok_or(AppendError::UnknownPartition)?;
    Ok(Target {
        partition,
        batch_bytes_max: topic.config.max_message_bytes as usize,
        log_append_time: topic.config.log_append_time,
        compacts: topic.config.compacts,
        timestamp_before_max_ms: topic.config.timestamp_before_max_ms,
        timestamp_after_max_ms: topic.config.timestamp_after_max_ms,
    })
}

impl Target {
    /// The newest time that a batch may have.
    fn allowed(&self, now_ms: i64) -> RangeInclusive<i64> {
        now_ms.saturating_sub(self.timestamp_before_max_ms)
            ..=now_ms.saturating_add(self.timestamp_after_max_ms)
    }

    /// Whether a rule has to read the records in one of these batches: it wants a key in each, or
    /// their times, since the batch has none or names those that are not allowed.
    fn opens(&self, records: &Bytes, now_ms: i64) -> bool {
        let allowed = self.allowed(now_ms);
        let mut headers = Batches::new(records.clone()).flatten();
        self.compacts
            || headers.any(|(header, _)| {
                let time = header.max_timestamp;
                time < 0 || !self.log_append_time && !allowed.contains(&time)
            })
    }
}

/// For each entry how many batches it has, or why it is refused; and the batches of all.
fn check_all(
    entries: Vec<AppendEntry>,
    targets: Vec<Result<Target, AppendError>>,
    now_ms: i64,
) -> (Vec<Result<usize, AppendError>>, Vec<PendingBatch>) {
    let mut batches = Vec::with_capacity(entries.len());
    let mut checked = Vec::with_capacity(entries.len());
    for (entry, target) in entries.into_iter().zip(targets) {
        let before = batches.len();
        let result = target.and_then(|t| check(entry.records, &t, now_ms, &mut batches));
        if result.is_err() {
            batches.truncate(before);
        }
        checked.push(result);
    }
    (checked, batches)
}

/// Splits and checks an entry's batches; gives their number.
fn check(
    records: Bytes,
    target: &Target,
    now_ms: i64,
    out: &mut Vec<PendingBatch>,
) -> Result<usize, AppendError> {
    let before = out.len();
    let mut rest = records;
    while !rest.is_empty() {
        let header = BatchHeader::parse(&rest)?;
        let bytes = header.total_bytes();
        if bytes > target.batch_bytes_max.min(limits::BATCH_BYTES_CEILING) {
            return Err(AppendError::BatchTooLarge {
                bytes,
                max: target.batch_bytes_max,
            });
        }
        let header = batch::check(&rest)?;
        let whole = rest.split_to(bytes);
        out.push(pending(whole, &header, target, now_ms)?);
    }
    match out.len() - before {
        0 => Err(AppendError::InvalidBatch(
            "there are no records in it".into(),
        )),
        count => Ok(count),
    }
}

fn pending(
    bytes: Bytes,
    header: &BatchHeader,
    target: &Target,
    now_ms: i64,
) -> Result<PendingBatch, AppendError> {
    if header.base_offset != 0 {
        let why = "a producer's batch must begin at offset 0";
        return Err(AppendError::InvalidBatch(why.into()));
    }
    if header.is_control() {
        let why = "clients may not write control batches";
        return Err(AppendError::InvalidBatch(why.into()));
    }
    if header.is_transactional() {
        return Err(AppendError::Transactional);
    }
    if target.compacts {
        rules::check_keys(&bytes)?;
    }
    let max_timestamp_ms = newest_timestamp(&bytes, header)?;
    let allowed = target.allowed(now_ms);
    if !target.log_append_time && max_timestamp_ms >= 0 && !allowed.contains(&max_timestamp_ms) {
        return Err(AppendError::InvalidTimestamp {
            timestamp_ms: max_timestamp_ms,
            now_ms,
            records: rules::outside(&bytes, &allowed),
        });
    }
    let producer = (header.producer_id >= 0).then_some(BatchProducer {
        id: ProducerId(header.producer_id),
        epoch: ProducerEpoch(header.producer_epoch),
        first_sequence: Sequence(header.base_sequence),
    });
    if let Some(producer) = producer
        && (producer.epoch.0 < 0 || producer.first_sequence.0 < 0)
    {
        let why = "an idempotent batch needs an epoch and a sequence of at least 0";
        return Err(AppendError::InvalidBatch(why.into()));
    }
    Ok(PendingBatch {
        commit: CommitBatch {
            partition: target.partition,
            position: 0,
            length: bytes.len() as u32,
            offset_count: header.offset_count(),
            max_timestamp_ms,
            crc: header.crc,
            producer,
        },
        bytes,
        queued: None,
    })
}

/// The header's max timestamp; some clients leave it out, then the records tell.
fn newest_timestamp(bytes: &Bytes, header: &BatchHeader) -> Result<i64, AppendError> {
    if header.max_timestamp >= 0 {
        return Ok(header.max_timestamp);
    }
    let mut newest = None;
    let visited = crate::slices::visit_times(bytes, header, |_, time| {
        newest = newest.max(Some(time));
        true
    });
    visited.map_err(AppendError::CorruptBatch)?;
    Ok(newest.unwrap_or(-1))
}

/// Builds a segment of what waits: small batches are copied together, so that they do not pin the
/// frames they came in; large ones go as they are. Fills in the batches' places in the segment.
pub(crate) fn build_segment(appends: &mut [PendingAppend]) -> Vec<Bytes> {
    let copied: usize = appends
        .iter()
        .flat_map(|append| &append.batches)
        .map(|batch| batch.bytes.len())
        .filter(|bytes| *bytes < COPY_BELOW_BYTES)
        .sum();
    let mut run = bytes::BytesMut::with_capacity(copied);
    let mut pieces = Vec::new();
    let mut position = 0;
    for batch in appends.iter_mut().flat_map(|append| &mut append.batches) {
        batch.commit.position = position;
        position += batch.bytes.len() as u64;
        let bytes = std::mem::take(&mut batch.bytes);
        if bytes.len() < COPY_BELOW_BYTES {
            run.extend_from_slice(&bytes);
        } else {
            if !run.is_empty() {
                pieces.push(run.split().freeze());
            }
            pieces.push(bytes);
        }
    }
    if !run.is_empty() {
        pieces.push(run.freeze());
    }
    pieces
}

/// Batches from this size on are not copied: they are most of the frame that they would pin.
const COPY_BELOW_BYTES: usize = 16 * 1024;

/// Where the batches of an append lie once its segment has a place.
pub(crate) fn place(append: &PendingAppend, segment: Extent) -> impl Iterator<Item = CommitBatch> {
    append.batches.iter().map(move |batch| CommitBatch {
        position: segment.position + batch.commit.position,
        ..batch.commit
    })
}

/// What there is to say of those batches that were sent to queues.
pub(crate) fn queued(appends: &[PendingAppend]) -> Vec<QueuedBatch> {
    let batches = appends.iter().flat_map(|append| &append.batches);
    let queued = batches.enumerate().filter_map(|(at, batch)| {
        Some(QueuedBatch {
            batch: u32::try_from(at).ok()?,
            delay_ms: batch.queued?.delay_ms,
            deduplication: batch.queued?.deduplication,
        })
    });
    queued.collect()
}

impl Inner {
    /// Waits until so many bytes may be on their way.
    pub async fn take_in_flight(&self, bytes: usize) -> OwnedSemaphorePermit {
        let permits = bytes.clamp(1, self.settings.in_flight_bytes);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        // The semaphore is never closed, so this only waits.
        std::sync::Arc::clone(&self.in_flight)
            .acquire_many_owned(permits)
            .await
            .expect("the in-flight semaphore is never closed")
    }

    /// Gives checked batches to the committer. What answers is dropped when the engine has stopped.
    pub fn accumulate(
        &self,
        batches: Vec<PendingBatch>,
        permit: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<BatchResults> {
        let (reply, answer) = oneshot::channel();
        if !batches.is_empty() {
            let bytes = batches.iter().map(|batch| batch.bytes.len()).sum();
            let pending = PendingAppend {
                batches,
                bytes,
                reply,
                permit,
            };
            drop(self.accumulator.push(pending).err());
        }
        answer
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(std::sync::atomic::Ordering::Acquire)
    }
}
