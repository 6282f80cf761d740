//! Topics: list, create, grow, delete, sizes.

use std::sync::Arc;

use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::{
    CreatableTopic, CreatableTopicConfig, CreatePartitionsRequest, CreatePartitionsTopic,
    CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest, DescribableLogDirTopic,
    DescribeLogDirsRequest,
};

use super::OPERATION_TIMEOUT_MS;
use crate::cluster::{Client, Lane};
use crate::error::{ClientResult, check};
use crate::metadata::Topic;

/// A topic to be created; `None` leaves the number to the broker.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    pub name: String,
    pub partitions: Option<i32>,
    pub replication: Option<i16>,
    pub configs: Vec<(String, String)>,
}

/// What a partition takes on one broker's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSize {
    pub broker: i32,
    pub topic: String,
    pub partition: i32,
    pub bytes: u64,
}

impl Client {
    /// All topics, by name.
    ///
    /// # Errors
    /// Those of the connection. Topics without a leader are left out.
    pub async fn topics(&self) -> ClientResult<Vec<Arc<Topic>>> {
        let topics = self.refresh(None, false).await?;
        let mut topics: Vec<_> = topics
            .into_iter()
            .filter_map(|(_, topic)| topic.ok())
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Creates a topic, or with `validate_only` tells whether it could be created.
    ///
    /// # Errors
    /// The server's refusal, such as TOPIC_ALREADY_EXISTS.
    pub async fn create_topic(&self, topic: &NewTopic, validate_only: bool) -> ClientResult<()> {
        let name = KStr::from(topic.name.as_str());
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig {
                name: KStr::from(name.as_str()),
                value: Some(KStr::from(value.as_str())),
            });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name,
                num_partitions: topic.partitions.unwrap_or(-1),
                replication_factor: topic.replication.unwrap_or(-1),
                assignments: Vec::new(),
                configs: configs.collect(),
            }],
            timeout_ms: OPERATION_TIMEOUT_MS,
            validate_only,
        };
        let mut retries = self.retries();
        loop {
            match self.create_once(&request, &topic.name).await {
                Err(error) if retries.again(&error).await => {}
                done => {
                    self.forget_topic(&topic.name);
                    return done;
                }
            }
        }
    }

    async fn create_once(&self, request: &CreateTopicsRequest, name: &str) -> ClientResult<()> {
        let answer = self.controller().await?.call(request).await?;
        for topic in &answer.topics {
            check(topic.error_code, topic.error_message.as_deref(), || {
                format!("topic '{name}' was not created")
            })?;
        }
        Ok(())
    }

    /// Deletes a topic with its records.
    ///
    /// # Errors
    /// The server's refusal, such as UNKNOWN_TOPIC_OR_PARTITION.
    pub async fn delete_topic(&self, name: &str) -> ClientResult<()> {
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(KStr::from(name)),
                ..Default::default()
            }],
            topic_names: vec![KStr::from(name)],
            timeout_ms: OPERATION_TIMEOUT_MS,
        };
        let answer = self.controller().await?.call(&request).await?;
        self.forget_topic(name);
        for topic in &answer.responses {
            check(topic.error_code, topic.error_message.as_deref(), || {
                format!("topic '{name}' was not deleted")
            })?;
        }
        Ok(())
    }

    /// Grows a topic to `total` partitions.
    ///
    /// # Errors
    /// The server's refusal, such as INVALID_PARTITIONS for fewer than it has.
    pub async fn grow_topic(
        &self,
        name: &str,
        total: i32,
        validate_only: bool,
    ) -> ClientResult<()> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: KStr::from(name),
                count: total,
                assignments: None,
            }],
            timeout_ms: OPERATION_TIMEOUT_MS,
            validate_only,
        };
        let answer = self.controller().await?.call(&request).await?;
        self.forget_topic(name);
        for topic in &answer.results {
            check(topic.error_code, topic.error_message.as_deref(), || {
                format!("topic '{name}' was not grown to {total} partitions")
            })?;
        }
        Ok(())
    }

    /// What partitions take on disk, on every broker: of one topic, or of all.
    ///
    /// # Errors
    /// Those of the connections, and the server's refusal.
    pub async fn log_sizes(&self, topic: Option<&Topic>) -> ClientResult<Vec<LogSize>> {
        let request = DescribeLogDirsRequest {
            topics: topic.map(|topic| {
                vec![DescribableLogDirTopic {
                    topic: KStr::from(topic.name.as_str()),
                    partitions: topic.partitions.iter().map(|p| p.index).collect(),
                }]
            }),
        };
        let mut sizes = Vec::new();
        for broker in self.brokers() {
            let connection = self.node(broker.id, Lane::Control).await?;
            let answer = connection.call(&request).await?;
            let what = || format!("the log folders of broker {}", broker.id);
            check(answer.error_code, None, what)?;
            for folder in &answer.results {
                check(folder.error_code, None, what)?;
                for topic in &folder.topics {
                    sizes.extend(topic.partitions.iter().map(|partition| LogSize {
                        broker: broker.id,
                        topic: topic.name.to_string(),
                        partition: partition.partition_index,
                        bytes: u64::try_from(partition.partition_size).unwrap_or(0),
                    }));
                }
            }
        }
        Ok(sizes)
    }
}
