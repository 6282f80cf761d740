//! The servers: started on free loopback ports over a folder of their own, killed with SIGKILL,
//! started again over what is left.

mod postgres;
mod seaweed;

pub use postgres::Postgres;
pub use seaweed::Seaweed;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long a server may take until it answers.
const START_TIME_MAX: Duration = Duration::from_secs(60);
const START_POLL: Duration = Duration::from_millis(50);

/// Different loopback ports that nobody uses at the moment.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0"));
    let mut ports = BTreeSet::new();
    for listener in &listeners {
        let listener = listener.as_ref().ok().context("no loopback port is free")?;
        ports.insert(listener.local_addr()?.port());
    }
    let ports: Vec<u16> = ports.into_iter().collect();
    ports.try_into().ok().context("ports are all different")
}
