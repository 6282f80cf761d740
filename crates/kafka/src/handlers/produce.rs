//! Produce 3-13: record batches in. The answer comes when they are on stable storage, whatever
//! `acks` says; with `acks` -1 not later than `timeout_ms`, as in Kafka; with `acks` 0 there is none, and an error closes the connection, as in Kafka.
//!
//! Versions 0-2 are advertised (old librdkafka switches compression on by that) but refused.

use bytes::Bytes;
use levada_engine::{
    AppendEntry, AppendError, AppendTicket, Appended, BadRecord, OffsetSpec, TopicRef,
};
use levada_model::{BatchError, BatchHeader};
use levada_wire_kafka::messages::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use levada_wire_kafka::{ErrorCode, KStr, Reader, Records, Uuid, WireError, Writer};

use crate::call::Call;
use crate::deadline::Deadline;
use crate::dispatch::{Done, Handling, Incoming, Outcome};
use crate::errors::{NO_TRANSACTIONS, Refusal, model_id, of_append, text};

/// The first version with a body that we read: format v2 came with it.
const VERSION_MIN: i16 = 3;
/// The first version that names topics by id.
const IDS_FROM: i16 = 13;
const ACKS_ALL: i16 = -1;
/// With these errors Kafka tells where the log begins: its rules on content refused the batch.
const TELL_LOG_START: [ErrorCode; 5] = [
    ErrorCode::InvalidRecord,
    ErrorCode::InvalidTimestamp,
    ErrorCode::OutOfOrderSequenceNumber,
    ErrorCode::DuplicateSequenceNumber,
    ErrorCode::InvalidProducerEpoch,
];

pub fn handle(incoming: Incoming) -> Handling {
    Box::pin(async move {
        if incoming.call.version < VERSION_MIN {
            return refuse_old(incoming);
        }
        let (call, request) = incoming.decode::<ProduceRequest>()?;
        let (answer, submitted) = begin(&call, request).await;
        Ok(Outcome::Later(Box::pin(async move {
            answer.settle(&call, submitted).await
        })))
    })
}

/// Records that were taken in; or why none of the request's were.
type Submitted = Result<AppendTicket, Refusal>;

/// One partition of the answer: refused at once, or at this place among the submitted entries.
type Slot = Result<usize, Refusal>;

/// The answer while its records are on their way.
struct Answer {
    acks: i16,
    deadline: Deadline,
    /// Without results.
    response: ProduceResponse,
    slots: Vec<Slot>,
}

/// Submits what is right; on return its order is fixed.
async fn begin(call: &Call, request: ProduceRequest) -> (Answer, Option<Submitted>) {
    let deadline = match request.acks {
        ACKS_ALL => Deadline::after(call.env(), request.timeout_ms),
        _ => Deadline::NONE,
    };
    let refused = refuse_all(&request);
    let (mut entries, mut slots) = (Vec::new(), Vec::new());
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for partition in topic.partition_data {
            partition_responses.push(PartitionProduceResponse {
                index: partition.index,
                ..Default::default()
            });
            let checked = match &refused {
                Some(refusal) => Err(refusal.clone()),
                None => one_batch(partition),
            };
            slots.push(checked.map(|(index, records)| {
                entries.push(AppendEntry {
                    topic: reference(call, &topic.name, topic.topic_id),
                    partition: index,
                    records,
                });
                entries.len() - 1
            }));
        }
        responses.push(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses,
        });
    }
    let answer = Answer {
        acks: request.acks,
        deadline,
        response: ProduceResponse {
            responses,
            ..Default::default()
        },
        slots,
    };
    match entries.is_empty() {
        true => (answer, None),
        false => {
            let submitted = call.engine().submit(entries);
            (answer, Some(deadline.wait(call.env(), submitted).await))
        }
    }
}

/// What is wrong with the request as a whole.
fn refuse_all(request: &ProduceRequest) -> Option<Refusal> {
    if !(-1..=1).contains(&request.acks) {
        let message = format!("acks must be -1, 0 or 1, not {}", request.acks);
        return Some(Refusal::new(ErrorCode::InvalidRequiredAcks, message));
    }
    let transactional = request.transactional_id.is_some();
    transactional.then(|| Refusal::new(NO_TRANSACTIONS, "transactions are not supported yet"))
}

/// Kafka's rule since version 3: each partition comes with exactly one batch, of format v2.
fn one_batch(partition: PartitionProduceData) -> Result<(i32, Bytes), Refusal> {
    let invalid = |message: &str| Refusal::new(ErrorCode::InvalidRecord, message);
    let records = partition
        .records
        .map(Records::into_bytes)
        .unwrap_or_default();
    if records.is_empty() {
        return Err(invalid(
            "each partition must come with one record batch; this has none",
        ));
    }
    let header = BatchHeader::parse(&records).map_err(|error| match error {
        BatchError::Truncated => invalid("the record batch is cut short"),
        other => {
            let error = AppendError::from(other);
            Refusal::new(of_append(&error), error.to_string())
        }
    })?;
    if header.base_offset != 0 {
        return Err(invalid(
            "the base offset of a batch from a client must be 0",
        ));
    }
    match header.total_bytes() {
        bytes if bytes > records.len() => Err(invalid("the record batch is cut short")),
        bytes if bytes < records.len() => Err(invalid(
            "each partition must come with exactly one record batch",
        )),
        _ => Ok((partition.index, records)),
    }
}

impl Answer {
    async fn settle(mut self, call: &Call, submitted: Option<Submitted>) -> Done {
        let results = match submitted {
            Some(Ok(ticket)) => self.deadline.wait(call.env(), ticket).await,
            Some(Err(late)) => Err(late),
            None => Ok(Vec::new()),
        };
        let mut failed = false;
        let mut slots = self.slots.into_iter();
        for topic in &mut self.response.responses {
            for (partition, slot) in topic.partition_responses.iter_mut().zip(&mut slots) {
                let result = slot.map(|at| match &results {
                    Ok(results) => settled(results.get(at)),
                    Err(late) => Err((late.clone(), &[][..])),
                });
                match result {
                    Ok(Ok(appended)) => succeed(partition, &appended),
                    Ok(Err((refusal, bad))) => {
                        failed = true;
                        partition.record_errors = bad.iter().map(record_error).collect();
                        let tells = TELL_LOG_START.contains(&refusal.code);
                        fail(call, partition, refusal);
                        if !tells {
                            continue;
                        }
                        let name = reference(call, &topic.name, topic.topic_id);
                        partition.log_start_offset = log_start(call, &name, partition.index).await;
                    }
                    Err(refusal) => {
                        failed = true;
                        fail(call, partition, refusal);
                    }
                }
            }
        }
        match (self.acks, failed) {
            (0, true) => Done::Close("a produce without acks failed"),
            (0, false) => Done::Silence,
            _ => Done::Frame(call.frame(&self.response)),
        }
    }
}

fn reference(call: &Call, name: &KStr, topic_id: Uuid) -> TopicRef {
    match call.version >= IDS_FROM {
        true => TopicRef::Id(model_id(topic_id)),
        false => TopicRef::Name(name.to_string()),
    }
}

/// The result of an entry, or its refusal with the records that caused it.
fn settled(
    result: Option<&Result<Appended, AppendError>>,
) -> Result<Appended, (Refusal, &[BadRecord])> {
    match result {
        Some(Ok(appended)) => Ok(*appended),
        Some(Err(error)) => {
            let refusal = Refusal::new(of_append(error), error.to_string());
            Err((refusal, error.bad_records()))
        }
        None => {
            let message = "the service is stopping";
            Err((Refusal::new(ErrorCode::KafkaStorageError, message), &[]))
        }
    }
}

fn record_error(bad: &BadRecord) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage {
        batch_index: i32::try_from(bad.index).unwrap_or(i32::MAX),
        batch_index_error_message: text(&bad.why),
    }
}

async fn log_start(call: &Call, topic: &TopicRef, partition: i32) -> i64 {
    let start = call
        .engine()
        .find_offset(topic, partition, OffsetSpec::Earliest);
    start.await.map_or(-1, |found| found.offset)
}

fn succeed(partition: &mut PartitionProduceResponse, appended: &Appended) {
    partition.base_offset = appended.base_offset.0;
    partition.log_append_time_ms = appended.append_time_ms.unwrap_or(-1);
    partition.log_start_offset = appended.log_start.0;
}

fn fail(call: &Call, partition: &mut PartitionProduceResponse, refusal: Refusal) {
    partition.error_code = call.code(refusal.code);
    partition.base_offset = -1;
    partition.error_message = text(refusal.message);
}

/// Answers versions 0-2, whose bodies our tables do not hold: UNSUPPORTED_VERSION for each
/// partition, or a closed connection if no answer is expected.
fn refuse_old(incoming: Incoming) -> Result<Outcome, WireError> {
    let Incoming { call, mut reader } = incoming;
    let acks = reader.i16()?;
    let _timeout_ms = reader.i32()?;
    let code = call.code(ErrorCode::UnsupportedVersion);
    let mut body = Writer::new();
    refuse_old_topics(&mut reader, &mut body, call.version, code)?;
    if acks == 0 {
        return Ok(Outcome::Now(Done::Close(
            "Produce before version 3 is not supported",
        )));
    }
    let body = body.finish().into_bytes();
    Ok(call.frame_with(|writer| writer.raw(&body)).into())
}

fn refuse_old_topics(
    reader: &mut Reader,
    body: &mut Writer,
    version: i16,
    code: i16,
) -> Result<(), WireError> {
    let topics = reader.i32()?;
    body.i32(topics.max(0));
    for _ in 0..topics {
        let name_bytes = reader.i16()?;
        let name = reader.slice(length(name_bytes.into())?)?;
        let partitions = reader.i32()?;
        body.i16(name_bytes);
        body.raw(&name);
        body.i32(partitions.max(0));
        for _ in 0..partitions {
            let index = reader.i32()?;
            let records_bytes = reader.i32()?;
            reader.slice(length(records_bytes.max(0))?)?;
            body.i32(index);
            body.i16(code);
            body.i64(-1); // base offset
            if version >= 2 {
                body.i64(-1); // log append time
            }
        }
    }
    if version >= 1 {
        body.i32(0); // throttle time
    }
    Ok(())
}

fn length(bytes: i32) -> Result<usize, WireError> {
    usize::try_from(bytes).map_err(|_| WireError::BadLength(bytes.into()))
}
