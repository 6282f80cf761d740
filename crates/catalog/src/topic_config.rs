//! The settings that a topic may have: Kafka's names, kinds, ranges and defaults (Kafka 4.1,
//! `TopicConfig`), and those of them that act, parsed.

use std::collections::BTreeMap;

use levada_model::limits::CONFIG_VALUE_BYTES_MAX;

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

const INT_MAX: i32 = i32::MAX;
const LONG_MAX: i64 = i64::MAX;

const fn define(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Definition {
    Definition {
        name,
        kind,
        default,
        doc,
    }
}

const fn int(min: i32) -> Kind {
    Kind::Int { min, max: INT_MAX }
}

const fn long(min: i64) -> Kind {
    Kind::Long { min, max: LONG_MAX }
}

const LONGEST: &str = "9223372036854775807";

/// Every setting, in name order.
pub const DEFINITIONS: &[Definition] = &[
    define(
        "cleanup.policy",
        Kind::ListOf(&["compact", "delete"]),
        "delete",
        "How old records go: 'delete' by retention.ms and retention.bytes; 'compact' is stored.",
    ),
    define(
        "compression.gzip.level",
        Kind::Int { min: -1, max: 9 },
        "-1",
        "Stored only: batches are kept as the producer compressed them.",
    ),
    define(
        "compression.lz4.level",
        Kind::Int { min: 1, max: 17 },
        "9",
        "Stored only: batches are kept as the producer compressed them.",
    ),
    define(
        "compression.type",
        Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "producer",
        "Stored only: batches are kept as the producer compressed them.",
    ),
    define(
        "compression.zstd.level",
        Kind::Int {
            min: -131_072,
            max: 22,
        },
        "3",
        "Stored only: batches are kept as the producer compressed them.",
    ),
    define(
        "delete.retention.ms",
        long(0),
        "86400000",
        "How long a compacted topic keeps delete markers, in milliseconds.",
    ),
    define(
        "file.delete.delay.ms",
        long(0),
        "60000",
        "Stored only: the log frees space once nothing needs it.",
    ),
    define(
        "flush.messages",
        long(1),
        LONGEST,
        "Stored only: every acknowledged record is on stable storage.",
    ),
    define(
        "flush.ms",
        long(0),
        LONGEST,
        "Stored only: every acknowledged record is on stable storage.",
    ),
    define(
        "index.interval.bytes",
        int(0),
        "4096",
        "Stored only: the index has its own shape.",
    ),
    define(
        "max.compaction.lag.ms",
        long(1),
        LONGEST,
        "Longest time that a record may stay out of compaction, in milliseconds.",
    ),
    define(
        "max.message.bytes",
        int(0),
        "1048588",
        "Largest record batch that is taken, in bytes, as the producer compressed it.",
    ),
    define(
        "message.timestamp.after.max.ms",
        long(0),
        "3600000",
        "How far a record's timestamp may lie ahead of the broker's clock, in milliseconds.",
    ),
    define(
        "message.timestamp.before.max.ms",
        long(0),
        LONGEST,
        "How far a record's timestamp may lie behind the broker's clock, in milliseconds.",
    ),
    define(
        "message.timestamp.type",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whether records keep the producer's time or get the time of their append.",
    ),
    define(
        "min.cleanable.dirty.ratio",
        Kind::Double { min: 0.0, max: 1.0 },
        "0.5",
        "Share of a compacted topic that must be uncompacted before compaction runs.",
    ),
    define(
        "min.compaction.lag.ms",
        long(0),
        "0",
        "Shortest time that a record stays out of compaction, in milliseconds.",
    ),
    define(
        "min.insync.replicas",
        int(1),
        "1",
        "Stored only: there are no replicas to wait for; an acknowledged record is durable.",
    ),
    define("preallocate", Kind::Bool, "false", "Stored only."),
    define(
        "queue.attempts.max",
        Kind::Int { min: 1, max: 1000 },
        "10",
        "Deliveries after which a message goes to queue.dead.letter.topic, if that is set.",
    ),
    define(
        "queue.content.based.deduplication",
        Kind::Bool,
        "false",
        "A message without a deduplication id is known by its body's digest (FIFO queues).",
    ),
    define(
        "queue.dead.letter.topic",
        Kind::Text,
        "",
        "The queue that gets what was received queue.attempts.max times; none if empty.",
    ),
    define(
        "queue.deduplication.scope",
        Kind::OneOf(&["queue", "messageGroup"]),
        "queue",
        "Within what a deduplication id is one (FIFO queues).",
    ),
    define(
        "queue.delay.ms",
        Kind::Long {
            min: 0,
            max: 900_000,
        },
        "0",
        "How long a message that was sent cannot be received, in milliseconds.",
    ),
    define(
        "queue.documents",
        Kind::Text,
        "",
        "What listeners keep beside a queue: its policy, its tags (JSON).",
    ),
    define(
        "queue.enabled",
        Kind::Bool,
        "false",
        "Whether the topic is a queue too.",
    ),
    define(
        "queue.fifo",
        Kind::Bool,
        "false",
        "Messages of a group are received in order, by one receiver at a time.",
    ),
    define(
        "queue.in.flight.max",
        int(1),
        "120000",
        "Messages that are received and not acknowledged, at most.",
    ),
    define(
        "queue.message.bytes.max",
        Kind::Int {
            min: 1024,
            max: 1 << 20,
        },
        "1048576",
        "Largest message that the queue takes, in bytes of body and attributes.",
    ),
    define(
        "queue.origin",
        Kind::OneOf(&["queue", "topic"]),
        "topic",
        "Whether the topic was made as a queue, and so goes when the queue is deleted.",
    ),
    define(
        "queue.receive.wait.ms",
        Kind::Long {
            min: 0,
            max: 20_000,
        },
        "0",
        "How long a receive waits for a first message, in milliseconds.",
    ),
    define(
        "queue.retain",
        Kind::Bool,
        "false",
        "Keep acknowledged messages for Kafka readers, until retention takes them.",
    ),
    define(
        "queue.throughput.limit",
        Kind::OneOf(&["perQueue", "perMessageGroupId"]),
        "perQueue",
        "Stored only: no FIFO queue is held back.",
    ),
    define(
        "queue.visibility.timeout.ms",
        Kind::Long {
            min: 0,
            max: 43_200_000,
        },
        "30000",
        "How long a received message is hidden from other receivers, in milliseconds.",
    ),
    define(
        "retention.bytes",
        long(i64::MIN),
        "-1",
        "Bytes that each partition keeps; -1: no limit. Acts with cleanup.policy=delete.",
    ),
    define(
        "retention.ms",
        long(-1),
        "604800000",
        "How long records are kept, in milliseconds; -1: forever. Acts with cleanup.policy=delete.",
    ),
    define(
        "segment.bytes",
        int(1 << 20),
        "1073741824",
        "Bytes between the points at which retention may cut a partition.",
    ),
    define(
        "segment.index.bytes",
        int(4),
        "10485760",
        "Stored only: the index has its own shape.",
    ),
    define("segment.jitter.ms", long(0), "0", "Stored only."),
    define(
        "segment.ms",
        long(1),
        "604800000",
        "Time between the points at which retention may cut a partition, in milliseconds.",
    ),
    define(
        "unclean.leader.election.enable",
        Kind::Bool,
        "false",
        "Stored only: there are no partition leaders to elect.",
    ),
];

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
