//! Floor 1: the one deterministic state of a cell and all its rules.
//!
//! `State::apply(command, position, now)` is the only place where a rule of the domain stands:
//! fencing, duplicates, offsets, names, group membership are *results* of apply. It is pure: the
//! same commands give the same state on every node. No I/O, no clock, no chance, no payload bytes.

pub mod command;
pub mod encoding;
pub mod groups;
pub mod reply;

pub use command::{Command, CommandGroup};
pub use reply::{BatchRefusal, BatchResult, Effect, Reply, TopicError};
