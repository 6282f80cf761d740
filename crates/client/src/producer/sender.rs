//! The task that sends batches. It alone knows what is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use levada_model::Sequence;
use levada_records::{Producer as Numbers, with_producer};
use levada_wire_kafka::messages::{
    InitProducerIdRequest, PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use levada_wire_kafka::{ErrorCode, KStr, Records, Uuid};

use super::queue::{Filling, Outcome, Queue, Sent};
use super::{Acks, Shared};
use crate::cluster::{Client, Lane};
use crate::connection::Connection;
use crate::error::{ClientError, ClientResult, check};

/// Pause of a partition whose batch has to be sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Most bytes of batches in one request, beyond its first batch.
const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Batches of a partition that an idempotent producer may have under way (Kafka's window).
const IN_FLIGHT_IDEMPOTENT_MAX: usize = 5;
/// Greatest version of Produce that names topics by name.
const PRODUCE_BY_NAME_MAX: i16 = 12;

/// A producer's id and epoch.
pub(super) type Identity = (i64, i16);

/// Asks any broker for a producer id.
pub(super) async fn ask_identity(client: &Client) -> ClientResult<Identity> {
    let mut retries = client.retries();
    loop {
        match ask_identity_once(client).await {
            Err(error) if retries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn ask_identity_once(client: &Client) -> ClientResult<Identity> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let answer = client.any().await?.call(&request).await?;
    check(answer.error_code, None, || {
        "no producer id was given".to_owned()
    })?;
    Ok((answer.producer_id, answer.producer_epoch))
}

/// Topic and partition.
type Place = (Arc<str>, i32);

/// Batches to be sent to each leader.
type ByNode = BTreeMap<i32, Vec<(Place, Sent)>>;

/// A batch that cannot be encoded.
struct Broken {
    outcome: Arc<Outcome>,
    records: u32,
    charge: usize,
    error: ClientError,
}

/// What the sender waits for.
enum Event {
    Connected(i32, ClientResult<Arc<Connection>>),
    Refreshed(Arc<str>, ClientResult<()>),
    Identified(ClientResult<Identity>),
    Answered {
        node: i32,
        batches: Vec<(Place, Sent)>,
        answer: ClientResult<ProduceResponse>,
        ids: Vec<(Uuid, Arc<str>)>,
    },
}

struct Sender {
    shared: Arc<Shared>,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
    connecting: BTreeSet<i32>,
    refreshing: BTreeSet<Arc<str>>,
    in_flight: BTreeMap<i32, usize>,
    identity: Option<Identity>,
    /// A batch may or may not have been written: sequences begin anew under another id, once
    /// nothing is under way.
    renewing: bool,
    asking: bool,
}

/// Sends until it is aborted.
pub(super) async fn run(shared: Arc<Shared>, identity: Option<Identity>) {
    let mut sender = Sender {
        shared,
        events: FuturesUnordered::new(),
        connecting: BTreeSet::new(),
        refreshing: BTreeSet::new(),
        in_flight: BTreeMap::new(),
        identity,
        renewing: false,
        asking: false,
    };
    loop {
        sender.expire();
        sender.renew_identity();
        sender.send_due();
        let pause = sender.next_due();
        let shared = sender.shared.clone();
        tokio::select! {
            Some(event) = sender.events.next() => sender.take(event),
            () = shared.wake.notified() => {}
            () = shared.env.sleep(pause) => {}
        }
    }
}

impl Sender {
    /// How long nothing will be due by itself.
    fn next_due(&self) -> Duration {
        let now = self.shared.env.monotonic();
        let linger = self.shared.options.linger;
        let mut queues = self.shared.queues.lock();
        let mut pause = RETRY_PAUSE * 10;
        for (_, queue) in queues.all() {
            let waits = !queue.again.is_empty() || !queue.full.is_empty();
            if waits && queue.not_before > now {
                pause = pause.min(queue.not_before - now);
            }
            if let Some(open) = &queue.open {
                let due = open.since.saturating_add(linger).max(queue.not_before);
                // What is due already waits for an answer, which wakes us.
                if due > now {
                    pause = pause.min(due - now);
                }
            }
        }
        pause
    }

    /// Gives up what has waited for too long.
    fn expire(&mut self) {
        let now = self.shared.env.monotonic();
        let timeout = self.shared.options.delivery_timeout;
        let old = |since: Duration| now.saturating_sub(since) >= timeout;
        let mut given_up = Vec::new();
        let mut unsure = false;
        for (topic, queue) in self.shared.queues.lock().all() {
            let place = (topic.clone(), queue.partition);
            // What was sent may have been written, and so may what was sent behind it.
            if queue.again.iter().any(|sent| old(sent.since)) {
                unsure |= self.identity.is_some();
                let again = std::mem::take(&mut queue.again);
                given_up.extend(again.into_iter().map(|sent| {
                    let sent = (sent.outcome, sent.records, sent.charge);
                    (place.clone(), sent)
                }));
            }
            let stale = |filling: &mut Filling| old(filling.since);
            while let Some(filling) = queue
                .full
                .pop_front_if(stale)
                .or_else(|| queue.open.take_if(stale))
            {
                let records = filling.builder.len() as u32;
                given_up.push((place.clone(), (filling.outcome, records, filling.charge)));
            }
        }
        self.renewing |= unsure;
        for ((topic, partition), (outcome, records, charge)) in given_up {
            let error = ClientError::Expired(format!(
                "records for partition {partition} of '{topic}' were not acknowledged within {} s",
                timeout.as_secs()
            ));
            self.settle(&outcome, records, charge, 0, Err(error));
        }
    }

    fn settle(
        &self,
        outcome: &Outcome,
        records: u32,
        charge: usize,
        bytes: usize,
        result: ClientResult<i64>,
    ) {
        let mut queues = self.shared.queues.lock();
        match &result {
            Ok(_) => {
                queues.counts.acknowledged += u64::from(records);
                queues.counts.bytes += bytes as u64;
            }
            Err(error) => {
                queues.counts.failed += u64::from(records);
                queues
                    .counts
                    .first_error
                    .get_or_insert_with(|| error.clone());
            }
        }
        queues.waiting = queues.waiting.saturating_sub(1);
        let idle = queues.waiting == 0;
        drop(queues);
        outcome.set(result);
        self.shared.room.add_permits(charge);
        if idle {
            self.shared.idle.notify_waiters();
        }
    }

    /// Asks for another id once nothing is under way or waits to be sent again.
    fn renew_identity(&mut self) {
        if !self.renewing || self.asking || !self.in_flight.values().all(|count| *count == 0) {
            return;
        }
        let waits = |(_, queue): (_, &mut Queue)| !queue.again.is_empty();
        if self.shared.queues.lock().all().any(waits) {
            return;
        }
        self.asking = true;
        let client = self.shared.client.clone();
        self.events.push(Box::pin(async move {
            Event::Identified(ask_identity(&client).await)
        }));
    }

    /// Sends everything that may be sent now.
    fn send_due(&mut self) {
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

    fn connect(&mut self, node: i32) {
        if self.connecting.insert(node) {
            let client = self.shared.client.clone();
            self.events.push(Box::pin(async move {
                Event::Connected(node, client.node(node, Lane::Produce).await)
            }));
        }
    }

    fn refresh(&mut self, topic: Arc<str>) {
        if self.refreshing.insert(topic.clone()) {
            let client = self.shared.client.clone();
            self.events.push(Box::pin(async move {
                let found = client.topic_afresh(&topic, false).await.map(drop);
                Event::Refreshed(topic, found)
            }));
        }
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

    fn take(&mut self, event: Event) {
        match event {
            Event::Connected(node, result) => {
                self.connecting.remove(&node);
                if let Err(error) = result {
                    self.pause_node(node, &error);
                }
            }
            Event::Refreshed(topic, result) => {
                self.refreshing.remove(&topic);
                if let Err(error) = result {
                    self.pause_topic(&topic, &error);
                }
            }
            Event::Identified(result) => {
                self.asking = false;
                match result {
                    Ok(identity) => {
                        self.identity = Some(identity);
                        self.renewing = false;
                        for (_, queue) in self.shared.queues.lock().all() {
                            queue.next_sequence = 0;
                            queue.known_to_broker = false;
                            queue.renumber_from = None;
                        }
                    }
                    Err(error) => tracing::warn!(%error, "no new producer id, asking again"),
                }
            }
            Event::Answered {
                node,
                batches,
                answer,
                ids,
            } => {
                if let Some(count) = self.in_flight.get_mut(&node) {
                    *count = count.saturating_sub(1);
                }
                self.answered(batches, answer, &ids);
            }
        }
    }

    fn pause_node(&self, node: i32, error: &ClientError) {
        tracing::debug!(node, %error, "no connection for produce");
        let not_before = self.shared.env.monotonic() + RETRY_PAUSE;
        let client = &self.shared.client;
        let mut lost = Vec::new();
        for (topic, queue) in self.shared.queues.lock().all() {
            let known = client.topic_if_known(topic);
            let leader =
                known.and_then(|known| known.partition(queue.partition).ok().map(|p| p.leader));
            if leader == Some(node) {
                queue.not_before = not_before;
                lost.push(topic.clone());
            }
        }
        lost.dedup();
        for topic in lost {
            client.forget_topic(&topic);
        }
    }

    fn pause_topic(&self, topic: &str, error: &ClientError) {
        tracing::debug!(topic, %error, "no leader for produce");
        let not_before = self.shared.env.monotonic() + RETRY_PAUSE;
        if let Some(queues) = self.shared.queues.lock().topics.get_mut(topic) {
            for queue in &mut queues.partitions {
                queue.not_before = not_before;
            }
        }
    }

    fn answered(
        &mut self,
        batches: Vec<(Place, Sent)>,
        answer: ClientResult<ProduceResponse>,
        ids: &[(Uuid, Arc<str>)],
    ) {
        for (place, sent) in batches {
            let result = match &answer {
                Ok(answer) => result_of(answer, &place, ids),
                Err(error) => Err(error.clone()),
            };
            self.settle_batch(&place, sent, result);
        }
    }

    fn settle_batch(&mut self, place: &Place, sent: Sent, result: ClientResult<i64>) {
        let shared = self.shared.clone();
        let mut queues = shared.queues.lock();
        let Some(queue) = queues.get(&place.0, place.1) else {
            return;
        };
        queue.in_flight = queue.in_flight.saturating_sub(1);
        let Err(error) = result else {
            queue.known_to_broker = true;
            // A broker without state took it in spite of the gap before it: that gap is closed.
            if queue
                .renumber_from
                .is_some_and(|from| sent.sequence.wrapping_sub(from) > 0)
            {
                queue.renumber_from = Some(Sequence(sent.sequence).plus(sent.records).0);
            }
            drop(queues);
            self.settle(
                &sent.outcome,
                sent.records,
                sent.charge,
                sent.bytes.len(),
                result,
            );
            return;
        };
        let code = error.code();
        // Refused because one before it is missing, which will be sent again first.
        let behind = code == Some(ErrorCode::OutOfOrderSequenceNumber)
            && (queue.renumber_from.is_some()
                || queue
                    .again
                    .iter()
                    .any(|other| sent.sequence.wrapping_sub(other.sequence) > 0));
        if behind || error.is_retriable() {
            tracing::debug!(topic = %place.0, partition = place.1, %error, "sending again");
            queue.put_again(sent);
            queue.not_before = shared.env.monotonic() + RETRY_PAUSE;
            drop(queues);
            shared.client.forget_topic(&place.0);
            return;
        }
        let mut failed = vec![sent];
        match code {
            // The broker knows another history: only a new id can go on.
            Some(
                ErrorCode::OutOfOrderSequenceNumber
                | ErrorCode::UnknownProducerId
                | ErrorCode::InvalidProducerEpoch
                | ErrorCode::ProducerFenced,
            ) => {
                self.renewing |= self.identity.is_some();
                failed.extend(std::mem::take(&mut queue.again));
            }
            _ if self.identity.is_some() => {
                // Not written for sure: those behind it take its numbers.
                let from = failed.first().map(|sent| sent.sequence);
                let earlier = |known: i32, new: i32| new.wrapping_sub(known) < 0;
                match (queue.renumber_from, from) {
                    (Some(known), Some(new)) if !earlier(known, new) => {}
                    _ => queue.renumber_from = from,
                }
            }
            _ => {}
        }
        drop(queues);
        for sent in failed {
            self.settle(
                &sent.outcome,
                sent.records,
                sent.charge,
                0,
                Err(error.clone()),
            );
        }
    }
}

/// One partition's result: the base offset.
fn result_of(
    answer: &ProduceResponse,
    (topic, partition): &Place,
    ids: &[(Uuid, Arc<str>)],
) -> ClientResult<i64> {
    let id = ids
        .iter()
        .find(|(_, name)| name == topic)
        .map(|(id, _)| *id);
    let found = answer
        .responses
        .iter()
        .filter(|response| {
            *response.name == **topic
                || (!response.topic_id.is_zero() && Some(response.topic_id) == id)
        })
        .flat_map(|response| &response.partition_responses)
        .find(|response| response.index == *partition);
    let what = || format!("records for partition {partition} of '{topic}' were not written");
    let Some(found) = found else {
        return Err(ClientError::refused(what(), ErrorCode::UnknownServerError));
    };
    // Found again by its sequence: it was written before.
    if found.error_code == ErrorCode::DuplicateSequenceNumber.code() {
        return Ok(found.base_offset);
    }
    check(found.error_code, found.error_message.as_deref(), what)?;
    Ok(found.base_offset)
}
