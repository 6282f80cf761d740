//! The service as a whole: its configuration, the only list of listeners and backends, and the
//! order in which they start and stop.
//!
//! [`Service::start`]: check addresses, lock the data folder, recover the log, start the engine,
//! bind, accept, write `ready.json`. [`Service::stop`]: the same the other way round.

mod banner;
mod compose;
pub mod config;
mod identity;
mod limits;
mod listeners;
mod metrics;
mod ready;
mod service;
mod storage;
mod survey;
#[cfg(feature = "testing")]
pub mod testing;

use std::path::PathBuf;

use levada_net::BindError;
use thiserror::Error;

pub use listeners::Addresses;
pub use service::{Service, Stopped};
pub use survey::{Finding, Place, Severity, survey};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why the service did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another process has the data folder.
    #[error("the data folder {} is in use by {}; stop that one first, or choose another folder with --data", dir.display(), holder(*pid))]
    Held { dir: PathBuf, pid: Option<u32> },
    /// The data folder cannot be used.
    #[error("{0}")]
    Folder(String),
    /// What is stored cannot be opened without losing what was acknowledged.
    #[error("{0}")]
    Storage(String),
    /// A listener's address has no meaning here.
    #[error("{0}.listen is {1}, but that name has no address: {2}")]
    Address(&'static str, String, String),
    /// The access keys of SQS clients cannot be read.
    #[error("sqs.access_keys_file is {0}: {1}")]
    Keys(String, String),
    /// A listener would be open to others and nobody would have to log in.
    #[error(
        "{0}.listen is {1}, which other machines can reach, and no authentication is configured: \
         anyone there could read, write and delete everything. Listen on 127.0.0.1, or give \
         --insecure if the network keeps strangers out"
    )]
    Open(&'static str, String),
    /// A listener's address cannot be bound.
    #[error(
        "{1}. Stop what holds that address, or choose another with --{0} HOST:PORT (port 0: any \
         that is free)"
    )]
    Bind(&'static str, BindError),
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("another levada with pid {pid}"),
        None => "another process".to_owned(),
    }
}
