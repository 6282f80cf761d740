//! Fetch 4-18: record batches out, with a long poll. Sessions (KIP-227) are not kept: every answer
//! carries session id 0, by which a client knows to name all partitions each time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use levada_engine::{ReadError, ReadPartition, ReadRequest, ReadSlice, TopicRef};
use levada_model::{Epoch, Offset};
use levada_wire_kafka::messages::{
    FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, PartitionData,
};
use levada_wire_kafka::{ErrorCode, KStr, Records};

use crate::call::Call;
use crate::errors::{model_id, of_read};

/// The first version that names topics by id.
const IDS_FROM: i16 = 13;
/// Session epochs by which a client asks for everything at once: without a session, and to begin one.
const FULL_EPOCHS: [i32; 2] = [-1, 0];
/// Longest wait that a client may ask for.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// How long others wait for memory before a fetch that waits for records is answered as it is.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);
const READ_COMMITTED: i8 = 1;

pub async fn handle(call: &Call, request: FetchRequest) -> FetchResponse {
    if !FULL_EPOCHS.contains(&request.session_epoch) {
        return refuse(call, ErrorCode::FetchSessionIdNotFound);
    }
    if request.session_id != 0 && request.session_epoch == 0 {
        // A session is begun without an id.
        return refuse(call, ErrorCode::FetchSessionIdNotFound);
    }
    let read_committed = request.isolation_level == READ_COMMITTED;
    let (plan, shape) = plan(call, request);
    let results = read(call, plan).await;
    answer(call, shape, results, read_committed)
}

fn refuse(call: &Call, error: ErrorCode) -> FetchResponse {
    FetchResponse {
        error_code: call.code(error),
        ..Default::default()
    }
}

/// The answer without its results. Names are copied: a fetch may wait for long, and must not keep
/// its request's frame in memory for that time.
fn plan(call: &Call, request: FetchRequest) -> (ReadRequest, Vec<FetchableTopicResponse>) {
    let by_id = call.version >= IDS_FROM;
    let bytes = |given: i32| usize::try_from(given).unwrap_or(0);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let mut partitions = Vec::new();
    let mut shape = Vec::with_capacity(request.topics.len());
    for topic in named_once(request.topics) {
        shape.push(topic_shape(&topic));
        for partition in topic.partitions {
            partitions.push(ReadPartition {
                topic: match by_id {
                    true => TopicRef::Id(model_id(topic.topic_id)),
                    false => TopicRef::Name(topic.topic.to_string()),
                },
                partition: partition.partition,
                // An epoch that never was: no offset is right in it, as Kafka answers.
                offset: match partition.last_fetched_epoch > Epoch::ONLY.0 {
                    true => Offset(-1),
                    false => Offset(partition.fetch_offset),
                },
                max_bytes: bytes(partition.partition_max_bytes),
                // Every negative epoch means that none is given.
                leader_epoch: partition.current_leader_epoch.max(-1),
            });
        }
    }
    let read = ReadRequest {
        max_wait: wait.min(WAIT_MAX),
        min_bytes: bytes(request.min_bytes),
        max_bytes: bytes(request.max_bytes).min(call.settings().fetch_bytes_max),
        partitions,
    };
    (read, shape)
}

/// What is named twice is read once, with the values given last, as in Apache Kafka: otherwise a
/// small request could have the same records read and sent thousands of times.
fn named_once(topics: Vec<FetchTopic>) -> Vec<FetchTopic> {
    if topics.len() == 1 && topics.iter().all(|topic| topic.partitions.len() == 1) {
        return topics;
    }
    let mut once: Vec<FetchTopic> = Vec::with_capacity(topics.len());
    let mut topics_at = BTreeMap::new();
    for mut topic in topics {
        let next = once.len();
        let partitions = std::mem::take(&mut topic.partitions);
        let name = (topic.topic_id.0, topic.topic.clone());
        let (at, places) = topics_at.entry(name).or_insert((next, BTreeMap::new()));
        if *at == next {
            topic.partitions.reserve(partitions.len());
            once.push(topic);
        }
        let Some(kept) = once.get_mut(*at) else {
            continue;
        };
        for partition in partitions {
            match places.entry(partition.partition) {
                Entry::Vacant(place) => {
                    place.insert(kept.partitions.len());
                    kept.partitions.push(partition);
                }
                Entry::Occupied(place) => {
                    if let Some(earlier) = kept.partitions.get_mut(*place.get()) {
                        *earlier = partition;
                    }
                }
            }
        }
    }
    once
}

fn topic_shape(topic: &FetchTopic) -> FetchableTopicResponse {
    let partition = |index: i32| PartitionData {
        partition_index: index,
        ..Default::default()
    };
    let asked = topic.partitions.iter();
    FetchableTopicResponse {
        topic: KStr::from(&*topic.topic),
        topic_id: topic.topic_id,
        partitions: asked.map(|asked| partition(asked.partition)).collect(),
    }
}

/// Reads once answers that others have not taken yet leave room; at once when the service drains,
/// and when others wait for the memory that waiting requests hold.
async fn read(call: &Call, mut request: ReadRequest) -> Vec<Result<ReadSlice, ReadError>> {
    let shared = &call.peer.shared;
    shared
        .responses
        .below(shared.settings.response_bytes_max)
        .await;
    if request.max_wait.is_zero() || request.min_bytes == 0 {
        return call.engine().read(request).await;
    }
    let now = ReadRequest {
        max_wait: Duration::ZERO,
        ..request.clone()
    };
    request.min_bytes = request.min_bytes.min(request.max_bytes.max(1));
    tokio::select! {
        biased;
        results = call.engine().read(request) => results,
        () = call.stopping().cancelled() => call.engine().read(now).await,
        () = shared.requests.is_short_for(SHORT_PATIENCE) => {
            call.engine().read(now).await
        }
    }
}

fn answer(
    call: &Call,
    mut shape: Vec<FetchableTopicResponse>,
    results: Vec<Result<ReadSlice, ReadError>>,
    read_committed: bool,
) -> FetchResponse {
    let partitions = shape.iter_mut().flat_map(|topic| &mut topic.partitions);
    for (partition, result) in partitions.zip(results) {
        partition.aborted_transactions = read_committed.then(Vec::new);
        match result {
            Ok(slice) => {
                partition.high_watermark = slice.high_watermark.0;
                partition.last_stable_offset = slice.high_watermark.0;
                partition.log_start_offset = slice.log_start.0;
                partition.records = Some(Records {
                    pieces: slice.pieces,
                });
            }
            Err(error) => {
                if is_unknown(&error) {
                    partition.aborted_transactions = Some(Vec::new());
                }
                partition.error_code = call.code(of_read(&error));
                partition.high_watermark = -1;
                partition.records = Some(Records::default());
            }
        }
    }
    FetchResponse {
        responses: shape,
        ..Default::default()
    }
}

fn is_unknown(error: &ReadError) -> bool {
    matches!(
        error,
        ReadError::UnknownTopic | ReadError::UnknownTopicId | ReadError::UnknownPartition
    )
}
