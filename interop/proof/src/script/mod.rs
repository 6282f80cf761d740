//! The script: a few hundred requests in an order that means something, refused ones among them.
//! Every step's line is compared between Apache Kafka and Levada.

mod cluster;
mod configs;
mod fetch;
mod group_offsets;
mod groups;
mod offsets;
mod produce;
mod refused;
mod topics;

use anyhow::Result;

use crate::session::Session;

/// The topic that most steps use, with two partitions.
pub const TOPIC: &str = "diff";
/// A topic that nobody ever creates.
pub const UNKNOWN: &str = "nowhere";
/// The first time in the records that the script sends.
pub const FIRST_MS: i64 = 1_000_000;

/// Runs all of it.
///
/// # Errors
/// When the broker is gone.
pub fn run(session: &mut Session) -> Result<()> {
    cluster::run(session);
    topics::run(session);
    produce::run(session);
    fetch::run(session);
    offsets::run(session);
    configs::run(session);
    groups::run(session)?;
    produce::bumps(session);
    refused::run(session);
    topics::delete(session);
    Ok(())
}
