//! The broker's settings under Kafka's names: what clients and tools look up. They come from our
//! own configuration and cannot be changed over the protocol.

use levada_model::limits;

use super::Source;
use crate::NODE_ID;
use crate::call::Call;

/// One setting of the broker.
pub struct BrokerSetting {
    pub name: &'static str,
    pub value: String,
    pub source: Source,
    /// Kafka's `ConfigType`.
    pub type_code: i8,
    pub doc: &'static str,
}

const BOOL: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
const SHORT: i8 = 4;
const LONG: i8 = 5;

/// All of them, by name.
pub fn settings(call: &Call) -> Vec<BrokerSetting> {
    let settings = call.settings();
    let (host, port) = call.endpoint();
    let partitions = call.engine().settings().num_partitions;
    let own = |name, type_code, value: String, doc| BrokerSetting {
        name,
        value,
        source: Source::Static,
        type_code,
        doc,
    };
    let fixed = |name, type_code, value: String, doc| BrokerSetting {
        source: Source::Default,
        ..own(name, type_code, value, doc)
    };
    vec![
        own(
            "advertised.listeners",
            STRING,
            format!("PLAINTEXT://{host}:{port}"),
            "The address that this client is told to connect to.",
        ),
        own(
            "auto.create.topics.enable",
            BOOL,
            settings.auto_create_topics.to_string(),
            "Whether topics that clients ask for are created.",
        ),
        fixed(
            "broker.id",
            INT,
            NODE_ID.to_string(),
            "The id of the one node.",
        ),
        own(
            "connections.max.idle.ms",
            LONG,
            settings.idle_timeout.as_millis().to_string(),
            "A connection without a request for this long is closed.",
        ),
        fixed(
            "default.replication.factor",
            INT,
            "1".to_owned(),
            "There is one node; durability does not depend on replicas.",
        ),
        own(
            "fetch.max.bytes",
            INT,
            settings.fetch_bytes_max.to_string(),
            "Most bytes that one fetch is answered with, but for a first batch that is larger.",
        ),
        own(
            "log.dirs",
            STRING,
            settings.log_dir.clone(),
            "Where the data lies.",
        ),
        fixed(
            "min.insync.replicas",
            INT,
            "1".to_owned(),
            "There is one node.",
        ),
        fixed(
            "node.id",
            INT,
            NODE_ID.to_string(),
            "The id of the one node.",
        ),
        own(
            "num.partitions",
            INT,
            partitions.to_string(),
            "Partitions of a topic that is created without a number.",
        ),
        fixed(
            "offset.metadata.max.bytes",
            INT,
            limits::OFFSET_METADATA_BYTES_MAX.to_string(),
            "Longest metadata of a committed offset.",
        ),
        fixed(
            "offsets.topic.replication.factor",
            SHORT,
            "1".to_owned(),
            "Committed offsets are kept in the log, not in a topic.",
        ),
        own(
            "socket.request.max.bytes",
            INT,
            settings.frame_bytes_max.to_string(),
            "Largest request.",
        ),
    ]
}

/// The broker's name of a topic's default (Kafka's `ServerTopicConfigSynonyms`).
pub fn synonym(topic_config: &str) -> String {
    match topic_config {
        "max.message.bytes" => "message.max.bytes".to_owned(),
        "compression.type"
        | "compression.gzip.level"
        | "compression.lz4.level"
        | "compression.zstd.level"
        | "min.insync.replicas"
        | "unclean.leader.election.enable" => topic_config.to_owned(),
        "file.delete.delay.ms" => "log.segment.delete.delay.ms".to_owned(),
        "flush.messages" => "log.flush.interval.messages".to_owned(),
        "flush.ms" => "log.flush.interval.ms".to_owned(),
        "segment.ms" => "log.roll.ms".to_owned(),
        "segment.jitter.ms" => "log.roll.jitter.ms".to_owned(),
        "segment.index.bytes" => "log.index.size.max.bytes".to_owned(),
        "index.interval.bytes" => "log.index.interval.bytes".to_owned(),
        "delete.retention.ms" => "log.cleaner.delete.retention.ms".to_owned(),
        "max.compaction.lag.ms" => "log.cleaner.max.compaction.lag.ms".to_owned(),
        "min.compaction.lag.ms" => "log.cleaner.min.compaction.lag.ms".to_owned(),
        "min.cleanable.dirty.ratio" => "log.cleaner.min.cleanable.ratio".to_owned(),
        other => format!("log.{other}"),
    }
}
