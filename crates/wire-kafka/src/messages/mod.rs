//! Every message as a table, by area; all names stand flat in this module.
//!
//! Structs and fields are named as in Kafka's message definitions. Where two messages have parts of
//! the same name, the first (by API key, request before response) keeps it and the others put their
//! message's name before it: `LeaderIdAndEpoch` is a part of `ProduceResponse`, and
//! `FetchResponseLeaderIdAndEpoch` one of `FetchResponse`. `table.rs` explains the rows.

mod configs;
mod connection;
mod fetch;
mod group_admin;
mod group_offsets;
mod groups;
mod log_dirs;
mod metadata;
mod offsets;
mod produce;
mod topics;
mod txn;

pub use configs::*;
pub use connection::*;
pub use fetch::*;
pub use group_admin::*;
pub use group_offsets::*;
pub use groups::*;
pub use log_dirs::*;
pub use metadata::*;
pub use offsets::*;
pub use produce::*;
pub use topics::*;
pub use txn::*;
