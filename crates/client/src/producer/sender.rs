//! The task that sends batches. It alone knows what is under way.

mod answers;
mod gather;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use levada_wire_kafka::Uuid;
use levada_wire_kafka::messages::{InitProducerIdRequest, ProduceResponse};

use super::Shared;
use super::queue::{Filling, Outcome, Queue, Sent};
use crate::cluster::{Client, Lane};
use crate::connection::Connection;
use crate::error::{ClientError, ClientResult, check};

/// Pause of a partition whose batch has to be sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
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
        let now = self.shared.env.monotonic();
        let not_before = now + RETRY_PAUSE;
        let client = &self.shared.client;
        client.patience().failing(error, now);
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
        let now = self.shared.env.monotonic();
        let not_before = now + RETRY_PAUSE;
        self.shared.client.patience().failing(error, now);
        if let Some(queues) = self.shared.queues.lock().topics.get_mut(topic) {
            for queue in &mut queues.partitions {
                queue.not_before = not_before;
            }
        }
    }
}
