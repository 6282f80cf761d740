//! Every limit of this listener that is not a setting, with the relations between them asserted.
//! Those of the service itself are in its developer guide under "quotas".

use std::time::Duration;

/// Longest message, and longest batch of them, in bytes of bodies and attributes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Messages that a receive gives, and entries of a batch.
pub const BATCH_ENTRIES_MAX: usize = 10;
/// Bytes of bodies that one receive gives, but for a first message that is longer.
pub const RECEIVE_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// Largest request body. A batch of 1 MiB is up to three times as long on the wire: Python's JSON has
/// `\u00fc` for the two bytes of an ü, a form has `%C3%BC`. The fourth MiB is for names around them.
pub const BODY_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;
/// A body up to here is not held back by large ones that are slow to arrive.
pub const SMALL_BODY_BYTES_MAX: usize = 64 << 10;
/// What a small body takes of the budget before anything of it has come.
pub const CLAIM_BYTES: usize = 4 << 10;
/// How long a body may take to arrive when others wait for a place in the budget.
pub const SCARCE_BODY_TIMEOUT: Duration = Duration::from_secs(1);
/// Largest request head: a presigned GET carries a small message in its address.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Values in one JSON body, and fields of one form: the largest real request, a batch of ten
/// messages with ten attributes each, has some 700.
pub const VALUES_MAX: usize = 4_000;
/// Bytes of a form field's name; the longest real one is an attribute of a batch entry.
pub const FIELD_NAME_BYTES_MAX: usize = 128;
/// How deep values may lie in each other; the deepest real one is an attribute of a batch entry.
pub const VALUE_DEPTH_MAX: usize = 12;

/// Characters of a queue name, `.fifo` included.
pub const QUEUE_NAME_MAX: usize = 80;
/// Characters of a batch entry's id, and of a permission's label.
pub const LABEL_MAX: usize = 80;
/// Characters of a message group id, a deduplication id and a receive attempt's id.
pub const ID_MAX: usize = 128;
/// Attributes of a message.
pub const MESSAGE_ATTRIBUTES_MAX: usize = 10;
/// Characters of an attribute's name and of its type.
pub const ATTRIBUTE_NAME_MAX: usize = 256;

/// Names of attributes that a receive asks for.
pub const NAMES_WANTED_MAX: usize = 100;

pub const VISIBILITY_SECONDS_MAX: i64 = 43_200;
pub const DELAY_SECONDS_MAX: i64 = 900;
pub const WAIT_SECONDS_MAX: i64 = 20;
pub const RETENTION_SECONDS_MIN: i64 = 60;
pub const RETENTION_SECONDS_MAX: i64 = 1_209_600;
/// How long a new queue keeps a message whose queue says nothing about it: four days.
pub const RETENTION_SECONDS_DEFAULT: i64 = 345_600;
pub const MESSAGE_BYTES_SETTING_MIN: i64 = 1024;
pub const KMS_REUSE_SECONDS_MIN: i64 = 60;
pub const KMS_REUSE_SECONDS_MAX: i64 = 86_400;
pub const RECEIVE_COUNT_MAX: i64 = 1000;
/// Queues that a RedriveAllowPolicy may name.
pub const ALLOWED_SOURCES_MAX: usize = 10;

/// Names on one page of a list.
pub const PAGE_MAX: usize = 1000;
pub const TAGS_MAX: usize = 50;
pub const TAG_KEY_MAX: usize = 128;
pub const TAG_VALUE_MAX: usize = 256;
/// Bytes of a queue's policy.
pub const POLICY_BYTES_MAX: usize = 8192;
/// Actions that one permission names.
pub const PERMISSION_ACTIONS_MAX: usize = 7;
/// Bytes of policies that are held ready to judge by, about.
pub const POLICY_CACHE_BYTES_MAX: usize = 16 << 20;
/// Letters of a user name.
pub const USER_NAME_MAX: usize = 64;
/// Statements of a policy.
pub const POLICY_STATEMENTS_MAX: usize = 20;
/// Names of deleted queues that are remembered, where the setting asks for it.
pub const DELETED_NAMES_MAX: usize = 10_000;

/// Messages a second that a move task may be held to.
pub const MOVE_RATE_MAX: i64 = 500;
/// Move tasks that are listed at once.
pub const MOVES_LISTED_MAX: i64 = 10;

/// How far a signature's time may lie from the clock here.
pub const CLOCK_SKEW_SECONDS_MAX: i64 = 15 * 60;
/// The longest time that a presigned address is valid for: a week.
pub const PRESIGNED_SECONDS_MAX: i64 = 604_800;
/// Headers that a signature may name.
pub const SIGNED_HEADERS_MAX: usize = 64;

const _: () = assert!(RECEIVE_BYTES_MAX >= MESSAGE_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX > MESSAGE_BYTES_MAX);
const _: () = assert!(SMALL_BODY_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(CLAIM_BYTES < SMALL_BODY_BYTES_MAX);
const _: () = assert!(RETENTION_SECONDS_DEFAULT <= RETENTION_SECONDS_MAX);
const _: () = assert!(POLICY_CACHE_BYTES_MAX > 64 * POLICY_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX <= u32::MAX as usize);
