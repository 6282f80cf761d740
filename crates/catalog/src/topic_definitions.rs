//! The table of the settings that a topic may have.

use levada_model::limits::QUEUE_HIDDEN_MS_MAX;

use crate::topic_config::{Definition, Kind};

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
            max: QUEUE_HIDDEN_MS_MAX,
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
