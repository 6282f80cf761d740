//! An idempotent producer over the raw protocol: three requests in flight, every batch sent again
//! with its sequence until it is acknowledged.

use std::collections::VecDeque;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};
use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::*;

use super::Random;
use super::ledger::{Ledger, Mark, Place};
use crate::connection::Connection;

const IN_FLIGHT_MAX: usize = 3;
const VERSION: i16 = 9;
const RECONNECT_WAIT: Duration = Duration::from_millis(5);
const REFUSED_WAIT: Duration = Duration::from_millis(20);

struct Batch {
    bytes: Bytes,
    marks: Vec<Mark>,
}

struct Writer<'a> {
    place: Place,
    name: String,
    producer_id: i64,
    sequence: i32,
    count: u64,
    /// The broker has acknowledged something of it.
    is_known: bool,
    /// Sent and not acknowledged, oldest first.
    open: VecDeque<Batch>,
    /// Not made yet.
    batches_left: u64,
    random: Random,
    pace: &'a Pace,
    ledger: &'a Ledger,
}

/// How fast a producer writes, and how much.
#[derive(Clone)]
pub struct Pace {
    /// After each batch: what matters is how often it is killed, not how much there is to read back.
    pub wait: Duration,
    pub batch_records: Range<u64>,
    pub value_bytes: Range<u64>,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            wait: Duration::from_millis(1),
            batch_records: 1..20,
            value_bytes: 20..400,
        }
    }
}

/// What a producer writes.
pub struct Task {
    pub place: Place,
    pub name: String,
    pub random: Random,
    pub pace: Pace,
    /// It ends when so many batches are acknowledged.
    pub batches_max: u64,
}

/// Writes until the ledger says stop. Ends early at a violation and when the task is done.
pub fn run(address: &str, task: Task, ledger: &Ledger) {
    let mut writer = Writer {
        place: task.place,
        name: task.name,
        producer_id: -1,
        sequence: 0,
        count: 0,
        is_known: false,
        open: VecDeque::new(),
        batches_left: task.batches_max,
        random: task.random,
        pace: &task.pace,
        ledger,
    };
    while !ledger.is_stopped() {
        match Connection::open(address).and_then(|mut connection| writer.talk(&mut connection)) {
            Ok(()) => return,
            Err(_) => thread::sleep(RECONNECT_WAIT),
        }
    }
}

impl Writer<'_> {
    /// Writes over one connection; an error means to take a new one. Ok ends the producer.
    fn talk(&mut self, connection: &mut Connection) -> Result<()> {
        if self.producer_id < 0 {
            let request = InitProducerIdRequest {
                transactional_id: None,
                ..Default::default()
            };
            let answer = connection.call(4, &request)?;
            if answer.error_code != 0 {
                bail!("InitProducerId: error {}", answer.error_code);
            }
            self.producer_id = answer.producer_id;
        }
        let mut sent = VecDeque::new();
        for batch in &self.open {
            sent.push_back(connection.send(VERSION, &request(&self.place, batch.bytes.clone()))?);
        }
        while !self.ledger.is_stopped() {
            // The first batch goes alone: a broker takes any first sequence of a producer that it
            // does not know, so a later one must not come before it.
            let in_flight_max = if self.is_known { IN_FLIGHT_MAX } else { 1 };
            while self.open.len() < in_flight_max && self.batches_left > 0 {
                self.batches_left -= 1;
                let batch = self.next_batch();
                let id = connection.send(VERSION, &request(&self.place, batch.bytes.clone()));
                self.open.push_back(batch);
                sent.push_back(id?);
            }
            let Some(id) = sent.pop_front() else {
                return Ok(());
            };
            let answer = connection.receive_of::<ProduceRequest>(VERSION, id)?;
            if !self.settle(&answer)? {
                return Ok(());
            }
            thread::sleep(self.pace.wait);
        }
        Ok(())
    }

    /// Takes the answer to the oldest open batch; false when the producer cannot go on.
    fn settle(&mut self, answer: &ProduceResponse) -> Result<bool> {
        let partitions = answer
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses);
        let Some(partition) = partitions.into_iter().next() else {
            bail!("an empty answer")
        };
        let code = ErrorCode::try_from(partition.error_code);
        match code {
            Ok(ErrorCode::None) => {
                let Some(batch) = self.open.pop_front() else {
                    bail!("nothing was open")
                };
                self.is_known = true;
                for (offset, mark) in (partition.base_offset..).zip(batch.marks) {
                    self.ledger.acknowledge(&self.place, offset, &mark);
                }
                Ok(true)
            }
            Ok(code) if code.is_retriable() && code != ErrorCode::OutOfOrderSequenceNumber => {
                // A full disk answers at once, again and again.
                thread::sleep(REFUSED_WAIT);
                bail!("{}: again", code.name())
            }
            _ => {
                let first = self.open.front().and_then(|batch| batch.marks.first());
                self.ledger.violation(format!(
                    "{:?}: error {} for the oldest open batch, from {first:?}",
                    self.place, partition.error_code
                ));
                Ok(false)
            }
        }
    }

    fn next_batch(&mut self) -> Batch {
        let mut builder = BatchBuilder::new(Compression::None);
        let mut marks = Vec::new();
        for _ in 0..self.random.within(self.pace.batch_records.clone()) {
            let mark = Mark {
                writer: self.name.clone(),
                count: self.count,
            };
            let value = mark.value(self.random.within(self.pace.value_bytes.clone()) as usize);
            builder.push(&NewRecord {
                timestamp_ms: now_ms(),
                value: Some(&value),
                ..NewRecord::default()
            });
            marks.push(mark);
            self.count += 1;
        }
        let producer = Producer {
            id: self.producer_id,
            epoch: 0,
            base_sequence: self.sequence,
        };
        self.sequence += marks.len() as i32;
        Batch {
            bytes: builder.finish(producer).unwrap_or_default(),
            marks,
        }
    }
}

/// The clock that records carry.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// A produce request of one batch, acknowledged once it is durable.
pub fn request(place: &Place, batch: Bytes) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 5000,
        topic_data: vec![TopicProduceData {
            name: place.0.as_str().into(),
            partition_data: vec![PartitionProduceData {
                index: place.1,
                records: Some(batch.into()),
            }],
            ..TopicProduceData::default()
        }],
    }
}
