//! The settings that a topic may have: Kafka's names, kinds, ranges and defaults (Kafka 4.1,
//! `TopicConfig`), and those of them that act, parsed.

use std::collections::BTreeMap;

use levada_model::limits::CONFIG_VALUE_BYTES_MAX;

pub use crate::topic_definitions::DEFINITIONS;

use crate::queues::QueueSettings;
use crate::reply::TopicError;

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Bool,
    Int {
        min: i32,
        max: i32,
    },
    Long {
        min: i64,
        max: i64,
    },
    Double {
        min: f64,
        max: f64,
    },
    OneOf(&'static [&'static str]),
    /// Any number of these, comma separated.
    ListOf(&'static [&'static str]),
    /// Anything, or nothing.
    Text,
}

/// One setting that a topic may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Definition {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub doc: &'static str,
}

/// The definition of a setting.
pub fn definition(name: &str) -> Option<&'static Definition> {
    let at = DEFINITIONS.binary_search_by(|known| known.name.cmp(name));
    at.ok().and_then(|at| DEFINITIONS.get(at))
}

/// The settings that one looks at on a topic with these of its own: those of queues only where it
/// is one, or has them set.
pub fn definitions_for<'a>(
    own: impl Fn(&str) -> Option<&'a str> + 'a,
) -> impl Iterator<Item = &'static Definition> + 'a {
    let is_queue = own("queue.enabled").is_some_and(|value| value == "true");
    DEFINITIONS.iter().filter(move |known| {
        is_queue || !known.name.starts_with("queue.") || own(known.name).is_some()
    })
}

impl Kind {
    /// What the kind allows, for a person.
    pub fn describe(&self) -> String {
        match *self {
            Kind::Bool => "true or false".to_owned(),
            Kind::Int { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Long { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Double { min, max } => format!("a number from {min} to {max}"),
            Kind::OneOf(values) => format!("one of {}", values.join(", ")),
            Kind::ListOf(values) => {
                format!("a comma separated list of {}", values.join(", "))
            }
            Kind::Text => format!("a text of at most {CONFIG_VALUE_BYTES_MAX} bytes"),
        }
    }

    /// Whether `value`, without space around it, is allowed.
    pub fn allows(&self, value: &str) -> bool {
        match *self {
            Kind::Bool => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Kind::Int { min, max } => (value.parse::<i32>()).is_ok_and(|n| n >= min && n <= max),
            Kind::Long { min, max } => (value.parse::<i64>()).is_ok_and(|n| n >= min && n <= max),
            Kind::Double { min, max } => (value.parse::<f64>()).is_ok_and(|n| n >= min && n <= max),
            Kind::OneOf(values) => values.contains(&value),
            Kind::ListOf(values) => items(value).all(|item| values.contains(&item)),
            Kind::Text => true,
        }
    }
}

/// The items of a comma separated value.
fn items(value: &str) -> impl Iterator<Item = &str> {
    let blank = value.trim().is_empty();
    value.split(',').map(str::trim).skip(usize::from(blank))
}

/// Checks one setting and gives its value as it is stored.
///
/// # Errors
/// [`TopicError::InvalidConfig`], saying what is allowed.
pub fn check_value(name: &str, value: &str) -> Result<String, TopicError> {
    let Some(known) = definition(name) else {
        return Err(TopicError::InvalidConfig(format!(
            "unknown topic setting '{name}'"
        )));
    };
    let trimmed = value.trim();
    if trimmed.len() > CONFIG_VALUE_BYTES_MAX || !known.kind.allows(trimmed) {
        let shown: String = trimmed.chars().take(100).collect();
        return Err(TopicError::InvalidConfig(format!(
            "invalid value '{shown}' for {name}: it must be {}",
            known.kind.describe()
        )));
    }
    Ok(trimmed.to_owned())
}

/// The settings that act, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// cleanup.policy holds `delete`: retention acts.
    pub deletes: bool,
    /// cleanup.policy holds `compact`.
    pub compacts: bool,
    /// `None`: forever.
    pub retention_ms: Option<i64>,
    /// `None`: no limit.
    pub retention_bytes: Option<u64>,
    pub max_message_bytes: u32,
    /// message.timestamp.type is LogAppendTime.
    pub log_append_time: bool,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    pub segment_bytes: u32,
    pub segment_ms: i64,
    pub delete_retention_ms: i64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    /// The topic is a queue too.
    pub queue: Option<Box<QueueSettings>>,
}

/// A topic's settings as text, its own before the defaults.
pub(crate) struct Values<'a> {
    overrides: &'a BTreeMap<String, String>,
}

impl<'a> Values<'a> {
    pub fn text(&self, name: &str) -> &'a str {
        let default = || definition(name).map_or("", |known| known.default);
        (self.overrides.get(name)).map_or_else(default, String::as_str)
    }

    pub fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    pub fn size(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(0)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }
}

impl Default for TopicConfig {
    fn default() -> Self {
        TopicConfig::of(&BTreeMap::new())
    }
}

impl TopicConfig {
    /// Reads overrides that [`check_value`] has passed; what is missing is the default.
    pub(crate) fn of(overrides: &BTreeMap<String, String>) -> TopicConfig {
        let values = Values { overrides };
        let policy = |wanted: &str| items(values.text("cleanup.policy")).any(|item| item == wanted);
        TopicConfig {
            deletes: policy("delete"),
            compacts: policy("compact"),
            retention_ms: Some(values.number("retention.ms")).filter(|ms| *ms >= 0),
            retention_bytes: u64::try_from(values.number("retention.bytes")).ok(),
            max_message_bytes: values.size("max.message.bytes"),
            log_append_time: values.text("message.timestamp.type") == "LogAppendTime",
            timestamp_before_max_ms: values.number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: values.number("message.timestamp.after.max.ms"),
            segment_bytes: values.size("segment.bytes"),
            segment_ms: values.number("segment.ms"),
            delete_retention_ms: values.number("delete.retention.ms"),
            min_compaction_lag_ms: values.number("min.compaction.lag.ms"),
            max_compaction_lag_ms: values.number("max.compaction.lag.ms"),
            queue: QueueSettings::of(&values),
        }
    }

    /// Rules between settings.
    pub(crate) fn check(&self) -> Result<(), TopicError> {
        let (min, max) = (self.min_compaction_lag_ms, self.max_compaction_lag_ms);
        if min > max {
            return Err(TopicError::InvalidConfig(format!(
                "min.compaction.lag.ms ({min}) must not be larger than max.compaction.lag.ms ({max})"
            )));
        }
        Ok(())
    }
}
