//! Sending: messages become records of the queue's topic, by the same write path as all others.

use levada_catalog::command::CommitBatch;
use levada_model::{BatchHeader, PartitionId};
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};

use super::{Found, MessageId, NewMessage, QueueError, Sent};
use crate::accumulator::{PendingBatch, Queued};
use crate::engine::Inner;
use crate::{AppendError, Engine};

/// Messages that go into one batch together, and which of the call they are.
struct Bundle {
    batch: PendingBatch,
    messages: Vec<usize>,
}

impl Engine {
    /// Sends messages; on return each is durable or refused. One result each, in order.
    pub async fn send(
        &self,
        name: &str,
        messages: Vec<NewMessage>,
    ) -> Vec<Result<Sent, QueueError>> {
        let found = match self.inner.find_queue(name) {
            Ok(found) => found,
            Err(error) => return vec![Err(error); messages.len()],
        };
        // By turns over the partitions of a topic that has several; a group has its own.
        let turn = self.inner.env.random_u64();
        self.send_to(&found, messages, turn).await
    }

    pub(super) async fn send_to(
        &self,
        found: &Found,
        messages: Vec<NewMessage>,
        turn: u64,
    ) -> Vec<Result<Sent, QueueError>> {
        let inner = &self.inner;
        let now_ms = inner.env.now_ms();
        let bytes_max = found.settings.message_bytes_max as usize;
        let mut results: Vec<_> = messages
            .iter()
            .map(|message| match message.bytes() {
                bytes if bytes > bytes_max => Err(QueueError::TooLarge {
                    bytes,
                    max: bytes_max,
                }),
                _ => Err(QueueError::Storage("the service is stopping".into())),
            })
            .collect();
        let fits = |at: &usize| !matches!(results.get(*at), Some(Err(QueueError::TooLarge { .. })));
        let taken: Vec<_> = (0..messages.len()).filter(fits).collect();
        let mut bundles = Vec::new();
        for (partition, delay_ms, at) in arrange(found, &messages, taken, turn) {
            let made = match delay_ms > 0 && !inner.takes_delayed(partition, now_ms) {
                true => Err(QueueError::TooManyDelayed),
                false => bundle(&messages, at.clone(), partition, delay_ms, now_ms)
                    .map_err(QueueError::from),
            };
            match made {
                Ok(bundle) => bundles.push(bundle),
                Err(error) => {
                    for index in at {
                        results[index] = Err(error.clone());
                    }
                }
            }
        }
        let bytes = bundles.iter().map(|bundle| bundle.batch.bytes.len()).sum();
        let permit = inner.take_in_flight(bytes).await;
        let (batches, members): (Vec<_>, Vec<_>) = bundles
            .into_iter()
            .map(|bundle| (bundle.batch, bundle.messages))
            .unzip();
        let places: Vec<_> = batches.iter().map(|batch| batch.commit.partition).collect();
        let Ok(appended) = inner.accumulate(batches, permit).await else {
            return results;
        };
        for ((outcome, partition), members) in appended.into_iter().zip(places).zip(members) {
            let number = found.number(partition).unwrap_or_default();
            for (nth, index) in members.into_iter().enumerate() {
                results[index] = match &outcome {
                    Ok(appended) => {
                        let offset = appended.base_offset.plus(nth as u64);
                        Ok(Sent {
                            id: MessageId::of(found.topic, number, offset),
                            offset,
                            sent_ms: appended.append_time_ms.unwrap_or(now_ms),
                        })
                    }
                    Err(error) => Err(error.clone().into()),
                };
            }
        }
        results
    }
}

impl Inner {
    /// Those under way at once go over the limit by their number.
    fn takes_delayed(&self, partition: PartitionId, now_ms: i64) -> bool {
        self.sequencer.read(|state| {
            let row = state.queue_progress(partition);
            row.is_none_or(|row| row.takes_delayed(now_ms))
        })
    }
}

/// Which messages go together: those to one partition with one delay, in their order. What may be
/// refused as a duplicate goes by itself.
fn arrange(
    found: &Found,
    messages: &[NewMessage],
    taken: Vec<usize>,
    turn: u64,
) -> Vec<(PartitionId, i64, Vec<usize>)> {
    let mut bundles: Vec<(PartitionId, i64, Vec<usize>)> = Vec::new();
    for at in taken {
        let Some(message) = messages.get(at) else {
            continue;
        };
        let count = found.partitions.len().max(1) as u64;
        let home = match &message.group {
            Some(group) => crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, group),
            None => turn,
        };
        let Some(partition) = found.partition((home % count) as i32) else {
            continue;
        };
        let own = message.delay.map(|delay| delay.as_millis());
        let own = own.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let delay_ms = own.unwrap_or(found.settings.delay_ms);
        match bundles.last_mut() {
            Some((of, delay, members))
                if *of == partition
                    && *delay == delay_ms
                    && !found.settings.is_fifo
                    && message.deduplication.is_none() =>
            {
                members.push(at);
            }
            _ => bundles.push((partition, delay_ms, vec![at])),
        }
    }
    bundles
}

fn bundle(
    messages: &[NewMessage],
    members: Vec<usize>,
    partition: PartitionId,
    delay_ms: i64,
    now_ms: i64,
) -> Result<Bundle, AppendError> {
    let mut builder = BatchBuilder::new(Compression::None);
    let mut deduplication = None;
    for message in members.iter().filter_map(|at| messages.get(*at)) {
        let headers: Vec<_> = message
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        builder.push(&NewRecord {
            timestamp_ms: message.sent_ms.unwrap_or(now_ms),
            key: message.group.as_deref(),
            value: Some(&message.body),
            headers: &headers,
        });
        deduplication = message.deduplication;
    }
    let invalid = |error: &dyn std::fmt::Display| AppendError::InvalidBatch(error.to_string());
    let bytes = builder
        .finish(Producer::NONE)
        .map_err(|error| invalid(&error))?;
    let header = BatchHeader::parse(&bytes).map_err(|error| invalid(&error))?;
    let queued = Queued {
        delay_ms,
        deduplication,
    };
    Ok(Bundle {
        batch: PendingBatch {
            commit: CommitBatch {
                partition,
                position: 0,
                length: bytes.len() as u32,
                offset_count: header.offset_count(),
                max_timestamp_ms: header.max_timestamp,
                crc: header.crc,
                producer: None,
            },
            bytes,
            queued: (delay_ms > 0 || deduplication.is_some()).then_some(queued),
        },
        messages: members,
    })
}

impl NewMessage {
    /// Body and headers, as the queue's limit counts them.
    fn bytes(&self) -> usize {
        let own = |(name, _): &&(String, _)| !name.starts_with(OWN_HEADERS);
        let of = |(name, value): &(String, Option<bytes::Bytes>)| {
            name.len() + value.as_ref().map_or(0, bytes::Bytes::len)
        };
        let headers = self.headers.iter().filter(own).map(of);
        self.body.len() + headers.sum::<usize>()
    }
}

/// What is noted beside a message, and does not count as a part of it.
const OWN_HEADERS: &str = "levada.";
/// Keeps the message's identity over a move: see [`super::load`].
pub(super) const MESSAGE_ID_HEADER: &str = "levada.message-id";
/// The queue that gave up on a message, in its dead-letter queue.
pub(super) const SOURCE_HEADER: &str = "levada.dead-letter-source";

/// What a moved message was, for its new place.
pub(super) fn moved_from(found: &Found, message: super::Message) -> NewMessage {
    let own = [MESSAGE_ID_HEADER, SOURCE_HEADER];
    let mut headers = message.headers;
    headers.retain(|(name, _)| !own.contains(&name.as_str()));
    let id = bytes::Bytes::copy_from_slice(&message.id.0);
    headers.push((MESSAGE_ID_HEADER.to_owned(), Some(id)));
    let source = bytes::Bytes::copy_from_slice(found.name.as_bytes());
    headers.push((SOURCE_HEADER.to_owned(), Some(source)));
    NewMessage {
        body: message.body,
        group: message.group,
        headers,
        delay: Some(std::time::Duration::ZERO),
        // Moved twice if a crash comes between the two steps of its move, it is one message.
        deduplication: Some(message.id.0),
        sent_ms: Some(message.sent_ms),
    }
}
