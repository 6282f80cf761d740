//! What the checks need of the client: topics, a producer, readers, group members.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Offset, Timestamp, TopicPartitionList};

use crate::Failure;

pub const PARTITIONS: i32 = 4;
pub const RECORDS: usize = 100;
pub const LARGE: usize = 1024 * 1024;
const WAIT: Duration = Duration::from_secs(25);
const CALL: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// A record as it was sent or read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub millis: Option<i64>,
    pub is_append_time: bool,
}

impl Record {
    /// A record of partition 0 with this value and nothing else.
    pub fn of(value: impl Into<Vec<u8>>) -> Record {
        Record {
            value: Some(value.into()),
            ..Record::default()
        }
    }

    fn read(message: &BorrowedMessage<'_>) -> Record {
        let headers = message
            .headers()
            .into_iter()
            .flat_map(|headers| headers.iter());
        let timestamp = message.timestamp();
        Record {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers
                .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                .collect(),
            millis: timestamp.to_millis(),
            is_append_time: matches!(timestamp, Timestamp::LogAppendTime(_)),
        }
    }
}

/// Fails unless both are equal.
pub fn expect<T: PartialEq + std::fmt::Debug>(
    actual: T,
    wanted: T,
    what: &str,
) -> Result<(), Failure> {
    if actual == wanted {
        return Ok(());
    }
    Err(format!("{what}: got {actual:.80?}, wanted {wanted:.80?}").into())
}

/// Calls `condition` until it holds.
pub fn wait_for(
    what: &str,
    mut condition: impl FnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + WAIT;
    while !condition()? {
        if Instant::now() > deadline {
            return Err(format!("gave up waiting for: {what}").into());
        }
    }
    Ok(())
}

/// Sends delivery reports (partition, offset, error) to whoever produces.
struct Reports(std::sync::mpsc::Sender<(usize, Result<i64, String>)>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Box<usize>) {
        let outcome = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.to_string()),
        };
        self.0.send((*index, outcome)).ok();
    }
}

/// One broker under test.
pub struct Kafka {
    bootstrap: String,
    run_id: String,
    admin: AdminClient<DefaultClientContext>,
    pub reader: BaseConsumer,
}

impl Kafka {
    pub fn new(bootstrap: &str, run_id: &str) -> Kafka {
        let config = |extra: &[(&str, &str)]| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", bootstrap);
            extra.iter().for_each(|(name, value)| {
                config.set(*name, *value);
            });
            config
        };
        Kafka {
            bootstrap: bootstrap.to_owned(),
            run_id: run_id.to_owned(),
            admin: config(&[]).create().expect("an admin client"),
            reader: config(&[("group.id", "reader")])
                .create()
                .expect("a consumer"),
        }
    }

    pub fn name(&self, what: &str) -> String {
        format!("rust-rdkafka-{what}-{}", self.run_id)
    }

    fn config(&self, extra: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for (name, value) in extra {
            config.set(*name, *value);
        }
        config
    }

    pub fn partitions(&self, topic: &str) -> Result<usize, Failure> {
        let metadata = self.reader.fetch_metadata(Some(topic), CALL)?;
        Ok(metadata.topics()[0].partitions().len())
    }

    pub fn create(
        &self,
        what: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<String, Failure> {
        let topic = self.name(what);
        let mut new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in configs {
            new = new.set(name, value);
        }
        for result in block_on(self.admin.create_topics([&new], &AdminOptions::new()))? {
            result.map_err(|(_, code)| code)?;
        }
        wait_for("the topic", || {
            Ok(self.partitions(&topic)? == partitions as usize)
        })?;
        Ok(topic)
    }

    pub fn topic_config(&self, topic: &str, name: &str) -> Result<Option<String>, Failure> {
        let wanted = [ResourceSpecifier::Topic(topic)];
        let found = block_on(self.admin.describe_configs(&wanted, &AdminOptions::new()))?;
        let resource = found.into_iter().next().ok_or("no resource")??;
        Ok(resource.get(name).and_then(|entry| entry.value.clone()))
    }

    pub fn alter_config(&self, topic: &str, name: &str, value: &str) -> Result<(), Failure> {
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
        for result in block_on(self.admin.alter_configs([&change], &AdminOptions::new()))? {
            result.map_err(|(_, code)| code)?;
        }
        Ok(())
    }

    pub fn create_partitions(&self, topic: &str, count: usize) -> Result<(), Failure> {
        let more = NewPartitions::new(topic, count);
        for result in block_on(self.admin.create_partitions([&more], &AdminOptions::new()))? {
            result.map_err(|(_, code)| code)?;
        }
        Ok(())
    }

    pub fn delete(&self, topic: &str) -> Result<(), Failure> {
        for result in block_on(self.admin.delete_topics(&[topic], &AdminOptions::new()))? {
            result.map_err(|(_, code)| code)?;
        }
        Ok(())
    }

    /// Sends all; returns the acknowledged offsets in the order of `records`.
    pub fn produce(
        &self,
        topic: &str,
        records: &[Record],
        extra: &[(&str, &str)],
    ) -> Result<Vec<i64>, Failure> {
        let (sender, reports) = std::sync::mpsc::channel();
        let mut config = self.config(&[("acks", "all"), ("linger.ms", "5")]);
        for (name, value) in extra {
            config.set(*name, *value);
        }
        let producer: ThreadedProducer<Reports> = config.create_with_context(Reports(sender))?;
        for (index, record) in records.iter().enumerate() {
            let mut one: BaseRecord<'_, [u8], [u8], Box<usize>> =
                BaseRecord::with_opaque_to(topic, Box::new(index)).partition(record.partition);
            one.key = record.key.as_deref();
            one.payload = record.value.as_deref();
            one.timestamp = record.millis;
            if !record.headers.is_empty() {
                let start = OwnedHeaders::new();
                one.headers = Some(record.headers.iter().fold(start, |all, (key, value)| {
                    all.insert(Header {
                        key,
                        value: value.as_ref(),
                    })
                }));
            }
            producer.send(one).map_err(|(error, _)| error)?;
        }
        producer.flush(Duration::from_secs(20))?;
        let mut offsets = vec![-1; records.len()];
        for (index, outcome) in reports.try_iter() {
            offsets[index] = outcome?;
        }
        Ok(offsets)
    }

    /// Reads every partition from its start with no group.
    pub fn read_all(
        &self,
        topic: &str,
        partitions: i32,
        count: usize,
    ) -> Result<Vec<Record>, Failure> {
        let member = self.member("reader", &[])?;
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        member.consumer.assign(&list)?;
        member.take(count)
    }

    /// A consumer with this group that has not subscribed yet.
    pub fn member(&self, group: &str, extra: &[(&str, &str)]) -> Result<Member, Failure> {
        let mut config = self.config(&[
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("fetch.wait.max.ms", "50"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "300"),
        ]);
        for (name, value) in extra {
            config.set(*name, *value);
        }
        Ok(Member {
            consumer: config.create()?,
        })
    }
}

/// One consumer.
pub struct Member {
    pub consumer: BaseConsumer,
}

impl Member {
    pub fn poll(&self) -> Result<Option<Record>, Failure> {
        Ok(self
            .consumer
            .poll(POLL)
            .transpose()?
            .map(|message| Record::read(&message)))
    }

    pub fn take(&self, count: usize) -> Result<Vec<Record>, Failure> {
        let mut records = Vec::new();
        wait_for("records", || {
            records.extend(self.poll()?);
            Ok(records.len() >= count)
        })?;
        Ok(records)
    }

    pub fn assigned(&self) -> Result<BTreeSet<i32>, Failure> {
        let list = self.consumer.assignment()?;
        Ok(list
            .elements()
            .iter()
            .map(|element| element.partition())
            .collect())
    }

    pub fn commit(&self, topic: &str, offset: i64) -> Result<(), Failure> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Offset(offset))?;
        Ok(self.consumer.commit(&list, CommitMode::Sync)?)
    }

    pub fn committed(&self, topic: &str) -> Result<Offset, Failure> {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, 0);
        let found = self.consumer.committed_offsets(list, CALL)?;
        Ok(found
            .elements()
            .first()
            .map_or(Offset::Invalid, |element| element.offset()))
    }
}
