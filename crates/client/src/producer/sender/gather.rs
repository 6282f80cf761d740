//! Which batches leave now, to whom, and sending them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use levada_model::Sequence;
use levada_records::{Producer as Numbers, with_producer};
use levada_wire_kafka::messages::{PartitionProduceData, ProduceRequest, TopicProduceData};
use levada_wire_kafka::{KStr, Records, Uuid};

use super::super::Acks;
use super::super::queue::{Outcome, Queue, Sent};
use super::{Event, Place, Sender};
use crate::cluster::Lane;
use crate::error::{ClientError, ClientResult};

/// Most bytes of batches in one request, beyond its first batch.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Batches of a partition that an idempotent producer may have under way (Kafka's window).
const IN_FLIGHT_IDEMPOTENT_MAX: usize = 5;
/// Greatest version of Produce that names topics by name.
const PRODUCE_BY_NAME_MAX: i16 = 12;

/// Batches to be sent to each leader.
type ByNode = BTreeMap<i32, Vec<(Place, Sent)>>;

/// A batch that cannot be encoded.
struct Broken {
    outcome: Arc<Outcome>,
    records: u32,
    charge: usize,
    error: ClientError,
}

impl Sender {
    /// Sends everything that may be sent now.
    pub(super) fn send_due(&mut self) {
        loop {
            let (by_node, unknown) = self.gather();
            for topic in unknown {
                self.refresh(topic);
            }
            if by_node.is_empty() {
                return;
            }
            for (node, batches) in by_node {
                self.send(node, batches);
            }
        }
    }

    /// Takes at most one batch of each partition, for leaders that are connected and have room.
    fn gather(&mut self) -> (ByNode, Vec<Arc<str>>) {
        let shared = self.shared.clone();
        let now = shared.env.monotonic();
        let mut unknown = Vec::new();
        let mut by_node = ByNode::new();
        let mut bytes: BTreeMap<i32, usize> = BTreeMap::new();
        let mut broken = Vec::new();
        let mut queues = shared.queues.lock();
        let flushing = queues.flushing > 0;
        for (topic, queue) in queues.all() {
            if !self.may_send(queue, now, flushing) {
                continue;
            }
            let Some(known) = shared.client.topic_if_known(topic) else {
                if unknown.last() != Some(topic) {
                    unknown.push(topic.clone());
                }
                continue;
            };
            let Ok(leader) = known.partition(queue.partition).map(|found| found.leader) else {
                continue;
            };
            let busy = self.in_flight.get(&leader).copied().unwrap_or(0);
            let gathered = bytes.entry(leader).or_default();
            if busy >= shared.options.in_flight_max || *gathered >= REQUEST_BYTES_MAX {
                continue;
            }
            if shared.client.node_if_open(leader, Lane::Produce).is_none() {
                self.connect(leader);
                continue;
            }
            match self.take_batch(queue, now, flushing) {
                Some(Ok(sent)) => {
                    *gathered += sent.bytes.len();
                    queue.in_flight += 1;
                    let place = (topic.clone(), queue.partition);
                    by_node.entry(leader).or_default().push((place, sent));
                }
                Some(Err(failed)) => broken.push(failed),
                None => {}
            }
        }
        drop(queues);
        for broken in broken {
            let error = Err(broken.error);
            self.settle(&broken.outcome, broken.records, broken.charge, 0, error);
        }
        (by_node, unknown)
    }

    fn may_send(&self, queue: &Queue, now: Duration, flushing: bool) -> bool {
        if queue.not_before > now {
            return false;
        }
        if !queue.again.is_empty() {
            // One after the other until all is in order again.
            return queue.in_flight == 0;
        }
        let most = match self.identity {
            Some(_) if queue.known_to_broker => IN_FLIGHT_IDEMPOTENT_MAX,
            _ => 1,
        };
        let due = !queue.full.is_empty()
            || queue.open.as_ref().is_some_and(|open| {
                flushing || now >= open.since.saturating_add(self.shared.options.linger)
            });
        // While a refused batch's gap is not closed, nothing new may be numbered.
        let numbered = queue.renumber_from.is_none() || queue.in_flight == 0;
        due && queue.in_flight < most && !self.renewing && numbered
    }

    /// The next batch of a queue, encoded; or what could not be encoded.
    fn take_batch(
        &self,
        queue: &mut Queue,
        now: Duration,
        flushing: bool,
    ) -> Option<Result<Sent, Broken>> {
        if let Some(from) = queue.renumber_from.take() {
            queue.next_sequence = from;
            for sent in &mut queue.again {
                sent.sequence = queue.next_sequence;
                let numbers = self.numbers(sent.sequence);
                if let Ok(bytes) = with_producer(&sent.bytes, numbers) {
                    sent.bytes = bytes;
                }
                queue.next_sequence = Sequence(queue.next_sequence).plus(sent.records).0;
            }
        }
        if let Some(again) = queue.again.pop_front() {
            return Some(Ok(again));
        }
        let linger = self.shared.options.linger;
        let mut filling = queue.take_due(now, linger, flushing)?;
        let records = filling.builder.len() as u32;
        let sequence = queue.next_sequence;
        match filling.builder.finish(self.numbers(sequence)) {
            Ok(bytes) => {
                queue.next_sequence = Sequence(sequence).plus(records).0;
                Some(Ok(Sent {
                    bytes,
                    records,
                    sequence,
                    outcome: filling.outcome,
                    since: filling.since,
                    charge: filling.charge,
                }))
            }
            Err(error) => {
                let what = "a batch cannot be encoded".to_owned();
                let error = ClientError::Records { what, error };
                Some(Err(Broken {
                    outcome: filling.outcome,
                    records,
                    charge: filling.charge,
                    error,
                }))
            }
        }
    }

    fn numbers(&self, base_sequence: i32) -> Numbers {
        self.identity.map_or(Numbers::NONE, |(id, epoch)| Numbers {
            id,
            epoch,
            base_sequence,
        })
    }

    fn send(&mut self, node: i32, batches: Vec<(Place, Sent)>) {
        let client = &self.shared.client;
        let Some(connection) = client.node_if_open(node, Lane::Produce) else {
            let reason = "it was closed".to_owned();
            let address = format!("broker {node}");
            let answer = Err(ClientError::Disconnected { address, reason });
            self.answered(batches, answer, &[]);
            return;
        };
        let mut ids: Vec<(Uuid, Arc<str>)> = Vec::new();
        let mut topic_data: Vec<TopicProduceData> = Vec::new();
        let mut by_name = false;
        for ((topic, partition), sent) in &batches {
            if ids.last().is_none_or(|(_, last)| last != topic) {
                let id = client
                    .topic_if_known(topic)
                    .map_or(Uuid::ZERO, |known| known.id);
                by_name |= id.is_zero();
                ids.push((id, topic.clone()));
                topic_data.push(TopicProduceData {
                    name: KStr::from(&**topic),
                    topic_id: id,
                    partition_data: Vec::new(),
                });
            }
            if let Some(data) = topic_data.last_mut() {
                data.partition_data.push(PartitionProduceData {
                    index: *partition,
                    records: Some(Records::from(sent.bytes.clone())),
                });
            }
        }
        let request = ProduceRequest {
            transactional_id: None,
            acks: self.shared.options.acks.code(),
            timeout_ms: client.options().connection.request_timeout.as_millis() as i32,
            topic_data,
        };
        let most = if by_name {
            PRODUCE_BY_NAME_MAX
        } else {
            i16::MAX
        };
        let version = match connection.version_up_to::<ProduceRequest>(most) {
            Ok(version) => version,
            Err(error) => return self.answered(batches, Err(error), &[]),
        };
        if self.shared.options.acks == Acks::None {
            let sent = connection.submit_unanswered(&request, version);
            return self.unanswered(batches, sent);
        }
        let submitted = connection.submit(&request, version);
        *self.in_flight.entry(node).or_default() += 1;
        self.events.push(Box::pin(async move {
            let answer = match submitted {
                Ok(submitted) => connection.receive(submitted).await,
                Err(error) => Err(error),
            };
            Event::Answered {
                node,
                batches,
                answer,
                ids,
            }
        }));
    }

    fn unanswered(&mut self, batches: Vec<(Place, Sent)>, sent: ClientResult<()>) {
        if let Err(error) = sent {
            return self.answered(batches, Err(error), &[]);
        }
        for ((topic, partition), sent) in batches {
            if let Some(queue) = self.shared.queues.lock().get(&topic, partition) {
                queue.in_flight -= 1;
            }
            self.settle(
                &sent.outcome,
                sent.records,
                sent.charge,
                sent.bytes.len(),
                Ok(-1),
            );
        }
    }
}
