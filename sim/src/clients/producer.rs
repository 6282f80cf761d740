//! Producers: idempotent ones send again until they know, plain ones take what comes.

use levada_client::Connection;
use levada_client::connection::Answer as Waiting;
use levada_model::{Offset, ProducerEpoch, ProducerId, Sequence, TopicId};
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};
use levada_wire_kafka::messages::{
    InitProducerIdRequest, PartitionProduceData, ProduceRequest, TopicProduceData,
};
use levada_wire_kafka::{ErrorCode, KStr, Records};
use std::collections::BTreeMap;

use super::link::{Link, by_id, by_name, is, is_gone, may_be_named, uuid};
use crate::faults::Fault;
use crate::history::{Answer, CallId, Op, RecordId, Sequenced};
use crate::world::KnownTopic;

/// The greatest version of Produce that names topics by name.
const BY_NAME_MAX: i16 = 12;
/// Attempts of a batch before it is given up.
const ATTEMPTS_MAX: u32 = 40;

#[derive(Clone)]
struct Batch {
    topic: KnownTopic,
    partition: i32,
    sequenced: Option<Sequenced>,
    records: Vec<RecordId>,
    bytes: bytes::Bytes,
}

/// How one attempt ended.
enum Sent {
    Written,
    /// Nobody knows, or it may work later.
    Again,
    /// It will never work.
    Refused(i16),
}

struct Identity {
    id: i64,
    epoch: i16,
    next: BTreeMap<(TopicId, i32), Sequence>,
}

/// Produces until the run is calm.
pub async fn work(mut link: Link, idempotent: bool) {
    let mut identity = None;
    while !link.is_ending() {
        link.rest(60).await;
        if idempotent && identity.is_none() {
            identity = ask_identity(&mut link).await;
            if identity.is_none() {
                continue;
            }
        }
        let Some(topic) = link.world.any_topic(&link.random) else {
            continue;
        };
        let partition = link.random.below(topic.partitions as u64) as i32;
        let count = 1 + link.random.below(3);
        let mut batches = Vec::new();
        for _ in 0..count {
            batches.push(build(&link, &topic, partition, identity.as_mut()));
        }
        let repeat = batches.last().cloned();
        let all_written = deliver(&mut link, batches).await;
        if !all_written {
            // What is not known to be written leaves a gap in the sequences.
            identity = None;
        } else if idempotent && link.random.one_in(8) {
            send_twice(&mut link, repeat).await;
        }
    }
}

async fn ask_identity(link: &mut Link) -> Option<Identity> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    let answer = link.ask(&request).await?;
    (answer.error_code == 0).then(|| Identity {
        id: answer.producer_id,
        epoch: answer.producer_epoch,
        next: BTreeMap::new(),
    })
}

fn build(
    link: &Link,
    topic: &KnownTopic,
    partition: i32,
    identity: Option<&mut Identity>,
) -> Batch {
    let compression = match link.random.below(6) {
        0 => Compression::Lz4,
        1 => Compression::Zstd,
        _ => Compression::None,
    };
    let mut builder = BatchBuilder::new(compression);
    let count = 1 + link.random.below(4) as u32;
    let mut records = Vec::new();
    for _ in 0..count {
        let record = link.recorder().fresh_record();
        let size = [10, 100, 900, 3_000][link.random.below(4) as usize];
        let value = record.value(size);
        builder.push(&NewRecord {
            timestamp_ms: link.env.now_ms(),
            value: Some(&value),
            ..NewRecord::default()
        });
        records.push(record);
    }
    let (producer, sequenced) = match identity {
        None => (Producer::NONE, None),
        Some(own) => {
            let next = own.next.entry((topic.id, partition)).or_default();
            let base = *next;
            *next = base.plus(count);
            let producer = Producer {
                id: own.id,
                epoch: own.epoch,
                base_sequence: base.0,
            };
            let sequenced = Sequenced {
                producer: ProducerId(own.id),
                epoch: ProducerEpoch(own.epoch),
                base,
            };
            (producer, Some(sequenced))
        }
    };
    Batch {
        topic: topic.clone(),
        partition,
        sequenced,
        records,
        bytes: builder.finish(producer).expect("a small batch"),
    }
}

/// Sends batches of one partition, all at once and in order, until each is written. False if one
/// was given up.
async fn deliver(link: &mut Link, mut waiting: Vec<Batch>) -> bool {
    for attempt in 0..ATTEMPTS_MAX {
        if attempt > 0 {
            if link.is_ending() && attempt > 10 {
                return false;
            }
            link.retried();
            link.rest(150).await;
        }
        let Some(open) = link.open().await else {
            continue;
        };
        let mut under_way = Vec::new();
        for batch in &waiting {
            under_way.push(submit(link, &open, batch));
        }
        let mut left = Vec::new();
        for (batch, sent) in waiting.into_iter().zip(under_way) {
            let end = match sent {
                Some((call, answer)) => receive(link, &open, call, answer).await,
                None => Sent::Again,
            };
            match end {
                Sent::Written => {}
                Sent::Again => left.push(batch),
                // One before it is missing, which is sent again first.
                Sent::Refused(code)
                    if is(code, ErrorCode::OutOfOrderSequenceNumber) && !left.is_empty() =>
                {
                    left.push(batch);
                }
                Sent::Refused(code) => {
                    if is_gone(code) {
                        forget(link, &batch.topic);
                    }
                    return false;
                }
            }
            // A plain batch is not sent again while nobody knows: it would stand there twice.
            if left.iter().any(|batch| batch.sequenced.is_none()) {
                return false;
            }
        }
        if left.is_empty() {
            return true;
        }
        waiting = left;
    }
    false
}

/// An answer that was lost makes a client send a batch that stands there already.
async fn send_twice(link: &mut Link, batch: Option<Batch>) {
    let Some(batch) = batch else { return };
    if let Some(open) = link.open().await
        && let Some((call, answer)) = submit(link, &open, &batch)
    {
        link.world.tally.add(Fault::Duplicate, 1);
        receive(link, &open, call, answer).await;
    }
}

type UnderWay = (CallId, Waiting<ProduceRequest>);

fn submit(link: &mut Link, open: &Connection, batch: &Batch) -> Option<UnderWay> {
    let named = may_be_named(link, &batch.topic);
    let most = if named { BY_NAME_MAX } else { i16::MAX };
    let version = open.version_up_to::<ProduceRequest>(most).ok()?;
    let request = ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 5_000,
        topic_data: vec![TopicProduceData {
            name: KStr::from(batch.topic.name.as_str()),
            topic_id: uuid(batch.topic.id),
            partition_data: vec![PartitionProduceData {
                index: batch.partition,
                records: Some(Records::from(batch.bytes.clone())),
            }],
        }],
    };
    let at = match version > BY_NAME_MAX {
        true => by_id(&batch.topic, batch.partition),
        false => by_name(&batch.topic, batch.partition),
    };
    let op = Op::Produce {
        at,
        sequenced: batch.sequenced,
        records: batch.records.clone(),
    };
    let call = link.recorder().invoke(link.id, op);
    let submitted = open.submit(&request, version);
    link.answered(call, submitted).map(|answer| (call, answer))
}

async fn receive(
    link: &mut Link,
    open: &Connection,
    call: CallId,
    answer: Waiting<ProduceRequest>,
) -> Sent {
    let answer = open.receive(answer).await;
    let Some(answer) = link.answered(call, answer) else {
        return Sent::Again;
    };
    let partition = answer.responses.first();
    let partition = partition.and_then(|topic| topic.partition_responses.first());
    let (code, base) = partition.map_or((-1, -1), |p| (p.error_code, p.base_offset));
    let base = Offset(base);
    match link.end(call, code, Answer::Appended { base }) {
        Ok(()) => Sent::Written,
        // It stands there, its offset is not remembered.
        Err(code) if is(code, ErrorCode::DuplicateSequenceNumber) => Sent::Written,
        Err(code) => match ErrorCode::try_from(code) {
            Ok(known) if known.is_retriable() && !is_gone(code) => Sent::Again,
            _ => Sent::Refused(code),
        },
    }
}

/// The topic was deleted by somebody else.
fn forget(link: &Link, topic: &KnownTopic) {
    let mut topics = link.world.topics.lock();
    topics.retain(|known| known.id != topic.id);
}
