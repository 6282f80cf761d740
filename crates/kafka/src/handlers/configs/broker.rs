//! The broker's settings under Kafka's names: what clients and tools look up. They come from our
//! own configuration and cannot be changed over the protocol.

use levada_engine::EngineSettings;
use levada_model::limits;

use super::Source;
use crate::NODE_ID;
use crate::call::Call;
use crate::settings::KafkaSettings;

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

impl BrokerSetting {
    /// One that our configuration sets.
    fn own(name: &'static str, type_code: i8, value: impl ToString, doc: &'static str) -> Self {
        Self {
            name,
            value: value.to_string(),
            source: Source::Static,
            type_code,
            doc,
        }
    }

    /// One that nobody can set.
    fn fixed(name: &'static str, type_code: i8, value: impl ToString, doc: &'static str) -> Self {
        Self {
            source: Source::Default,
            ..Self::own(name, type_code, value, doc)
        }
    }
}

/// All of them, by name.
pub fn settings(call: &Call) -> Vec<BrokerSetting> {
    let engine = EngineSettings::default();
    let mut all = own_settings(call.settings(), call.engine().settings());
    // What stands at its default is told as such.
    let defaults = own_settings(&KafkaSettings::default(), &engine);
    for (setting, default) in all.iter_mut().zip(defaults) {
        if setting.value == default.value {
            setting.source = Source::Default;
        }
    }
    let (host, port) = call.endpoint();
    all.push(BrokerSetting::own(
        "advertised.listeners",
        STRING,
        format!("PLAINTEXT://{host}:{port}"),
        "The address that this client is told to connect to.",
    ));
    all.extend(fixed_settings());
    all.sort_by_key(|setting| setting.name);
    all
}

fn own_settings(settings: &KafkaSettings, engine: &EngineSettings) -> Vec<BrokerSetting> {
    vec![
        BrokerSetting::own(
            "auto.create.topics.enable",
            BOOL,
            settings.auto_create_topics,
            "Whether topics that clients ask for are created.",
        ),
        BrokerSetting::own(
            "connections.max.idle.ms",
            LONG,
            settings.idle_timeout.as_millis(),
            "A connection without a request for this long is closed.",
        ),
        BrokerSetting::own(
            "fetch.max.bytes",
            INT,
            settings.fetch_bytes_max,
            "Most bytes that one fetch is answered with, but for a first batch that is larger.",
        ),
        BrokerSetting::own(
            "log.dirs",
            STRING,
            &settings.log_dir,
            "Where the data lies.",
        ),
        BrokerSetting::own(
            "num.partitions",
            INT,
            engine.num_partitions,
            "Partitions of a topic that is created without a number.",
        ),
        BrokerSetting::own(
            "socket.request.max.bytes",
            INT,
            settings.frame_bytes_max,
            "Largest request.",
        ),
    ]
}

fn fixed_settings() -> [BrokerSetting; 6] {
    const ONE_NODE: &str = "There is one node; durability does not depend on replicas.";
    const NODE: &str = "The id of the one node.";
    [
        BrokerSetting::fixed("broker.id", INT, NODE_ID, NODE),
        BrokerSetting::fixed("default.replication.factor", INT, 1, ONE_NODE),
        BrokerSetting::fixed("min.insync.replicas", INT, 1, ONE_NODE),
        BrokerSetting::fixed("node.id", INT, NODE_ID, NODE),
        BrokerSetting::fixed(
            "offset.metadata.max.bytes",
            INT,
            limits::OFFSET_METADATA_BYTES_MAX,
            "Longest metadata of a committed offset.",
        ),
        BrokerSetting::fixed(
            "offsets.topic.replication.factor",
            SHORT,
            1,
            "Committed offsets are kept in the log, not in a topic.",
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
