//! Topics of one partition: where they end, and the records that are kept for consumers.

use std::collections::BTreeMap;
use std::io::{IoSlice, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use crate::answer;

/// Where Kafka's batch header says how many records follow.
const LAST_OFFSET_DELTA_AT: usize = 23;

/// A consumer that waits for the next batch, or asks for one that is there.
pub struct Fetch {
    pub stream: Arc<TcpStream>,
    pub correlation_id: i32,
    pub offset: i64,
    pub bytes_max: usize,
}

#[derive(Default)]
struct Topic {
    end: i64,
    /// Batches one after the other, base offsets in place.
    kept: Vec<u8>,
    /// First offset and place of each batch.
    batches: Vec<(i64, usize)>,
    waiting: Vec<Fetch>,
}

pub struct Topics {
    topics: Mutex<BTreeMap<Vec<u8>, Topic>>,
    keep_bytes: usize,
    /// Touched memory for the first topic that keeps something.
    memory: Mutex<Vec<u8>>,
}

impl Topics {
    // Zeros that were written: `vec![0; n]` leaves the first touch to whoever is measured.
    #[allow(clippy::slow_vector_initialization)]
    pub fn new(keep_bytes: usize) -> Self {
        let mut memory = Vec::with_capacity(keep_bytes);
        memory.resize(keep_bytes, 0);
        memory.clear();
        Self {
            topics: Mutex::default(),
            keep_bytes,
            memory: Mutex::new(memory),
        }
    }

    pub fn end(&self, topic: &[u8]) -> i64 {
        let topics = self.topics.lock().expect("no holder panics");
        topics.get(topic).map_or(0, |topic| topic.end)
    }

    /// Gives a durable batch its place, keeps it if there is room, and serves those who wait for it.
    /// Returns its first offset.
    pub fn append(&self, name: &[u8], batch: &[u8]) -> i64 {
        let mut topics = self.topics.lock().expect("no holder panics");
        let topic = match topics.get_mut(name) {
            Some(topic) => topic,
            None => topics.entry(name.to_vec()).or_default(),
        };
        let base = topic.end;
        topic.end += i64::from(last_offset_delta(batch)) + 1;
        if topic.kept.capacity() == 0 {
            topic.kept = std::mem::take(&mut self.memory.lock().expect("no holder panics"));
        }
        if topic.kept.len() + batch.len() <= self.keep_bytes {
            topic.batches.push((base, topic.kept.len()));
            topic.kept.extend_from_slice(&base.to_be_bytes());
            topic.kept.extend_from_slice(&batch[8..]);
        }
        for fetch in std::mem::take(&mut topic.waiting) {
            topic.serve(name, &fetch);
        }
        base
    }

    /// Answers at once, or with the next batch.
    pub fn fetch(&self, name: &[u8], fetch: Fetch) {
        let mut topics = self.topics.lock().expect("no holder panics");
        let topic = topics.entry(name.to_vec()).or_default();
        if fetch.offset >= topic.end {
            topic.waiting.push(fetch);
        } else {
            topic.serve(name, &fetch);
        }
    }
}

impl Topic {
    /// Writes whole batches from where they lie to the socket.
    fn serve(&self, name: &[u8], fetch: &Fetch) {
        let after = self
            .batches
            .partition_point(|(base, _)| *base <= fetch.offset);
        let first = after.saturating_sub(1);
        let start = self.batches.get(first).map_or(0, |(_, at)| *at);
        let later = self.batches.iter().skip(first + 1).map(|(_, at)| *at);
        let mut end = start;
        for next in later.chain([self.kept.len()]) {
            // At least one batch, however large.
            if end > start && next - start > fetch.bytes_max {
                break;
            }
            end = next;
        }
        let records = &self.kept[start..end];
        let (head, tail) = answer::fetch(fetch.correlation_id, name, self.end, records.len());
        let mut slices = [
            IoSlice::new(&head),
            IoSlice::new(records),
            IoSlice::new(&tail),
        ];
        let mut left = &mut slices[..];
        while !left.is_empty() {
            match (&*fetch.stream).write_vectored(left) {
                Ok(written) if written > 0 => IoSlice::advance_slices(&mut left, written),
                // The consumer has gone.
                _ => return,
            }
        }
    }
}

fn last_offset_delta(batch: &[u8]) -> i32 {
    let field = batch
        .get(LAST_OFFSET_DELTA_AT..)
        .and_then(|rest| rest.first_chunk());
    field.map_or(0, |field| i32::from_be_bytes(*field))
}
