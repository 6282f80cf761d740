//! Topic settings.

use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::{
    DescribeConfigsRequest, DescribeConfigsResource, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterConfigsResource,
    IncrementalAlterConfigsRequestAlterableConfig,
};

use crate::cluster::Client;
use crate::error::{ClientResult, check};

/// Kafka's number for "a topic" among the resources that have configs.
const RESOURCE_TOPIC: i8 = 2;

/// A setting as the server tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// Null for what is secret.
    pub value: Option<String>,
    /// Where the value comes from: `topic`, `broker`, `cluster`, `default` or `unknown`.
    pub source: &'static str,
    pub read_only: bool,
}

/// What to do with one setting (KIP-339).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOperation {
    Set(String),
    /// Back to the default.
    Delete,
    Append(String),
    Subtract(String),
}

fn source_name(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 | 4 => "broker",
        3 => "cluster",
        5 => "default",
        _ => "unknown",
    }
}

impl Client {
    /// All settings of a topic, by name.
    ///
    /// # Errors
    /// The server's refusal, such as UNKNOWN_TOPIC_OR_PARTITION.
    pub async fn topic_configs(&self, topic: &str) -> ClientResult<Vec<ConfigEntry>> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: RESOURCE_TOPIC,
                resource_name: KStr::from(topic),
                configuration_keys: None,
            }],
            ..Default::default()
        };
        let answer = self.any().await?.call(&request).await?;
        let mut entries = Vec::new();
        for result in &answer.results {
            check(result.error_code, result.error_message.as_deref(), || {
                format!("the configs of topic '{topic}'")
            })?;
            entries.extend(result.configs.iter().map(|config| ConfigEntry {
                name: config.name.to_string(),
                value: config.value.as_deref().map(str::to_owned),
                source: source_name(config.config_source),
                read_only: config.read_only,
            }));
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Changes single settings of a topic; the others stay.
    ///
    /// # Errors
    /// The server's refusal, such as INVALID_CONFIG.
    pub async fn alter_topic_configs(
        &self,
        topic: &str,
        changes: &[(String, ConfigOperation)],
        validate_only: bool,
    ) -> ClientResult<()> {
        let configs = changes.iter().map(|(name, operation)| {
            let (config_operation, value) = match operation {
                ConfigOperation::Set(value) => (0, Some(value)),
                ConfigOperation::Delete => (1, None),
                ConfigOperation::Append(value) => (2, Some(value)),
                ConfigOperation::Subtract(value) => (3, Some(value)),
            };
            IncrementalAlterConfigsRequestAlterableConfig {
                name: KStr::from(name.as_str()),
                config_operation,
                value: value.map(|value| KStr::from(value.as_str())),
            }
        });
        let request = IncrementalAlterConfigsRequest {
            resources: vec![IncrementalAlterConfigsRequestAlterConfigsResource {
                resource_type: RESOURCE_TOPIC,
                resource_name: KStr::from(topic),
                configs: configs.collect(),
            }],
            validate_only,
        };
        let answer = self.controller().await?.call(&request).await?;
        for result in &answer.responses {
            check(result.error_code, result.error_message.as_deref(), || {
                format!("the configs of topic '{topic}' were not changed")
            })?;
        }
        Ok(())
    }
}
