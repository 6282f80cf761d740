//! What a cluster says of itself: brokers, topics, leaders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use levada_wire_kafka::messages::{MetadataResponse, MetadataResponseTopic};
use levada_wire_kafka::{ErrorCode, Uuid};

use crate::error::{ClientError, ClientResult, check};

/// A broker's address as clients are told to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: i32,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

impl Broker {
    /// `host:port`, brackets around an IPv6 host.
    pub fn address(&self) -> String {
        address_of(&self.host, self.port)
    }
}

pub(crate) fn address_of(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// A partition; its leader is -1 while there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub index: i32,
    pub leader: i32,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
}

/// A topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// Zero if the broker is too old for topic ids.
    pub id: Uuid,
    pub internal: bool,
    /// By index, without gaps.
    pub partitions: Vec<Partition>,
}

impl Topic {
    /// # Errors
    /// [`ClientError::Refused`] with UNKNOWN_TOPIC_OR_PARTITION.
    pub fn partition(&self, index: i32) -> ClientResult<&Partition> {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.partitions.get(index))
            .ok_or_else(|| ClientError::Refused {
                what: format!("partition {index} of topic '{}'", self.name),
                code: ErrorCode::UnknownTopicOrPartition.code(),
                message: Some(format!(
                    "the topic has {} partitions, numbered from 0",
                    self.partitions.len()
                )),
            })
    }

    fn read(answer: &MetadataResponseTopic) -> ClientResult<Self> {
        let name = answer.name.as_deref().unwrap_or_default();
        check(answer.error_code, None, || format!("topic '{name}'"))?;
        let mut partitions: Vec<Partition> = answer
            .partitions
            .rows()
            .iter()
            .map(|partition| Partition {
                index: partition.partition_index,
                leader: partition.leader_id,
                leader_epoch: partition.leader_epoch,
                replicas: partition.replica_nodes.clone(),
                in_sync: partition.isr_nodes.clone(),
            })
            .collect();
        partitions.sort_by_key(|partition| partition.index);
        let dense = partitions
            .iter()
            .zip(0..)
            .all(|(partition, index)| partition.index == index);
        if !dense || partitions.is_empty() {
            return Err(ClientError::refused(
                format!("the partitions of topic '{name}' are not all known yet"),
                ErrorCode::LeaderNotAvailable,
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            id: answer.topic_id,
            internal: answer.is_internal,
            partitions,
        })
    }
}

/// What is known of the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub cluster_id: Option<String>,
    pub controller_id: i32,
    pub brokers: BTreeMap<i32, Broker>,
    topics: BTreeMap<String, (Duration, Arc<Topic>)>,
}

impl Metadata {
    /// Takes in an answer; gives each topic in it with its name.
    pub fn merge(
        &mut self,
        answer: &MetadataResponse,
        now: Duration,
    ) -> Vec<(String, ClientResult<Arc<Topic>>)> {
        self.cluster_id = answer.cluster_id.as_deref().map(str::to_owned);
        self.controller_id = answer.controller_id;
        self.brokers.clear();
        for broker in &answer.brokers {
            self.add_broker(
                broker.node_id,
                &broker.host,
                broker.port,
                broker.rack.as_deref(),
            );
        }
        let topics = answer.topics.iter().map(|topic| {
            let name = topic.name.as_deref().unwrap_or_default().to_owned();
            let read = Topic::read(topic).map(Arc::new);
            match &read {
                Ok(known) => self.topics.insert(name.clone(), (now, known.clone())),
                Err(_) => self.topics.remove(&name),
            };
            (name, read)
        });
        topics.collect()
    }

    /// A port that is no port leaves the broker out.
    pub fn add_broker(&mut self, id: i32, host: &str, port: i32, rack: Option<&str>) {
        if let Ok(port) = u16::try_from(port) {
            let broker = Broker {
                id,
                host: host.to_owned(),
                port,
                rack: rack.map(str::to_owned),
            };
            self.brokers.insert(id, broker);
        }
    }

    /// A topic that was seen after `not_before`.
    pub fn topic(&self, name: &str, not_before: Duration) -> Option<Arc<Topic>> {
        self.topics
            .get(name)
            .filter(|(seen, _)| *seen >= not_before)
            .map(|(_, topic)| topic.clone())
    }

    pub fn forget_topic(&mut self, name: &str) {
        self.topics.remove(name);
    }
}
