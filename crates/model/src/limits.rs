//! Every limit that is not a setting, in one place, with the relations between them asserted.

/// Longest topic name in bytes (Kafka: `Topic.MAX_NAME_LENGTH`).
pub const TOPIC_NAME_BYTES_MAX: usize = 249;
/// Most partitions that one topic may have.
pub const TOPIC_PARTITIONS_MAX: u32 = 1_000_000;
/// Most partitions that one cell may have: bounds the memory of its catalog.
pub const CELL_PARTITIONS_MAX: u64 = 4_000_000;
/// Longest group id, member id, client id and the like that is stored, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;
/// Longest metadata string of a committed offset (Kafka's `offset.metadata.max.bytes`).
pub const OFFSET_METADATA_BYTES_MAX: usize = 4096;
/// Longest value of a topic setting in bytes.
pub const CONFIG_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Batches per producer and partition in which a retry is found again (as in Kafka).
pub const PRODUCER_WINDOW_BATCHES: usize = 5;
/// Largest record batch that any setting may allow, in bytes.
pub const BATCH_BYTES_CEILING: usize = 128 * 1024 * 1024;
/// Largest segment that is staged at once, in bytes; one batch that is larger goes alone.
pub const SEGMENT_BYTES_TARGET: usize = 8 * 1024 * 1024;
/// Most commands that one group commit carries.
pub const COMMIT_COMMANDS_MAX: usize = 4096;
/// Largest encoded command: assignments of a large group are the largest that occur.
pub const COMMAND_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most consumer groups of a cell.
pub const GROUPS_MAX: usize = 2_000_000;
/// Most assignment protocols that one group member may offer.
pub const GROUP_PROTOCOLS_MAX: usize = 64;
/// Largest metadata of one group member over all its protocols, in bytes.
pub const GROUP_METADATA_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest assignments of one generation over all members, in bytes.
pub const GROUP_ASSIGNMENTS_BYTES_MAX: usize = 12 * 1024 * 1024;

/// Digests that a FIFO queue knows of its messages of the last five minutes; beyond, the oldest
/// are forgotten. More than the 6,600 messages a second that this allows are sent elsewhere.
pub const QUEUE_DIGESTS_MAX: usize = 2_000_000;

/// Runs of messages with one delay that a partition of a queue knows; beyond, no message is delayed
/// until some are over. A queue's own delay takes one for each second (or 64th part of it), a delay
/// of a message's own one for each that differs from its neighbour's: some 100 bytes.
pub const QUEUE_DELAY_RUNS_MAX: usize = 1_000_000;

/// How long a message of a queue may be hidden by one receive and what changes it, in milliseconds:
/// twelve hours (SQS: ChangeMessageVisibility).
pub const QUEUE_HIDDEN_MS_MAX: i64 = 43_200_000;

const _: () = assert!(TOPIC_PARTITIONS_MAX as u64 <= CELL_PARTITIONS_MAX);
const _: () = assert!(SEGMENT_BYTES_TARGET <= BATCH_BYTES_CEILING);
const _: () = assert!(BATCH_BYTES_CEILING < u32::MAX as usize);
const _: () = assert!(GROUP_ASSIGNMENTS_BYTES_MAX < COMMAND_BYTES_MAX);
const _: () = assert!(GROUP_METADATA_BYTES_MAX < COMMAND_BYTES_MAX);
