//! Floor 1: the one deterministic state of a cell and all its rules.
//!
//! `State::apply(command, position, now)` is the only place where a rule of the domain stands:
//! fencing, duplicates, offsets, names, group membership are *results* of apply. It is pure: the
//! same commands give the same state on every node. No I/O, no clock, no chance, no payload bytes.

pub mod command;
mod commit;
pub mod encoding;
mod group_rules;
pub mod groups;
mod index_rules;
mod partition_rows;
mod partition_table;
pub mod partitions;
mod producer_slots;
mod producers;
pub mod queues;
pub mod reply;
mod restore;
mod saver;
pub mod segments;
pub mod shared_settings;
mod snapshot;
pub mod state;
pub mod topic_config;
mod topic_definitions;
mod topic_rules;
pub mod topics;

pub use command::{Command, CommandGroup};
pub use encoding::decode_group;
pub use partitions::{Found, INDEX_ENTRY_BYTES, IndexEntry, Partition};
pub use reply::{BatchRefusal, BatchResult, Effect, IndexRefusal, Reply, TopicError};
pub use segments::SegmentUse;
pub use state::{State, StateSettings};
pub use topic_config::TopicConfig;
pub use topics::Topic;
