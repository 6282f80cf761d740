//! Settings as Kafka names them: describe and alter.

pub mod alter;
pub mod broker;
pub mod describe;

use levada_engine::topic_config::{Kind, definitions_for};
use levada_engine::{SettingSource, TopicSetting};

/// Kafka's `ConfigResource.Type`.
pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;

/// Where a value comes from (Kafka's `ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Topic = 1,
    /// Our configuration: file, environment, flags.
    Static = 4,
    Default = 5,
}

impl Source {
    pub fn of(source: SettingSource) -> Self {
        match source {
            SettingSource::Topic => Self::Topic,
            SettingSource::Default => Self::Default,
        }
    }

    pub fn code(self) -> i8 {
        self as i8
    }
}

/// Kafka's `ConfigType`.
pub fn type_code(kind: &Kind) -> i8 {
    match kind {
        Kind::Bool => 1,
        Kind::OneOf(_) | Kind::Text => 2,
        Kind::Int { .. } => 3,
        Kind::Long { .. } => 5,
        Kind::Double { .. } => 6,
        Kind::ListOf(_) => 7,
    }
}

/// The settings of a topic that has these of its own.
pub fn would_be(configs: &[(String, String)]) -> Vec<TopicSetting> {
    let setting = |definition: &'static levada_engine::Definition| {
        let own = configs.iter().find(|(name, _)| name == definition.name);
        TopicSetting {
            definition,
            value: own
                .map_or(definition.default, |(_, value)| value)
                .to_owned(),
            source: match own {
                Some(_) => SettingSource::Topic,
                None => SettingSource::Default,
            },
        }
    };
    let own = |wanted: &str| {
        let found = configs.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    definitions_for(own).map(setting).collect()
}

/// A resource's type as people write it.
pub fn type_name(resource_type: i8) -> &'static str {
    match resource_type {
        TOPIC => "topic",
        BROKER => "broker",
        8 => "broker logger",
        16 => "client metrics",
        32 => "group",
        _ => "unknown",
    }
}
