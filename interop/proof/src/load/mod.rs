//! The load that is put under faults, and what it was promised: idempotent producers, a committer
//! and real clients, one ledger, and the check of everything in it.

pub mod admin;
pub mod clients;
pub mod committer;
pub mod ledger;
pub mod producer;
mod promises;
pub mod server;
pub mod verify;

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::Result;

use admin::create_topic;
use clients::Clients;
use ledger::Ledger;
use producer::Task;

/// The topics of the load: ours over the raw protocol, and the real clients'.
pub const RAW_TOPIC: &str = "raw";
pub const CLIENT_TOPIC: &str = "clients";
pub const RAW_PRODUCERS: i32 = 3;

/// Everybody who loads the broker; ends when dropped.
pub struct Load {
    pub ledger: Arc<Ledger>,
    clients: Option<Clients>,
    workers: Vec<JoinHandle<()>>,
}

/// How the load is made.
#[derive(Clone, Default)]
pub struct Shape {
    pub seed: u64,
    /// Programs of real clients: each gets `BOOTSTRAP TOPIC` and prints what it was promised.
    pub clients: Vec<String>,
    /// The sessions of the clients' group members; 0 for what the programs say.
    pub session_timeout_ms: u32,
    pub pace: producer::Pace,
    pub raw_configs: Vec<(String, String)>,
    pub client_configs: Vec<(String, String)>,
}

impl Load {
    /// Creates the topics and starts everybody; returns when each has been promised something.
    ///
    /// # Errors
    /// When the topics cannot be created or a program cannot be started.
    pub fn start(shape: &Shape, address: &str, folder: &Path) -> Result<Load> {
        let ledger = Arc::new(Ledger::default());
        create_topic(address, RAW_TOPIC, RAW_PRODUCERS, &shape.raw_configs)?;
        create_topic(
            address,
            CLIENT_TOPIC,
            clients::PARTITIONS,
            &shape.client_configs,
        )?;
        let clients = Clients::start(shape, folder, address, CLIENT_TOPIC, &ledger)?;
        let mut load = Load {
            ledger: Arc::clone(&ledger),
            clients: Some(clients),
            workers: Vec::new(),
        };
        for partition in 0..RAW_PRODUCERS {
            let task = Task {
                place: (RAW_TOPIC.to_owned(), partition),
                name: format!("raw-{partition}"),
                random: Random(((shape.seed << 8) | partition as u64) | 1),
                pace: shape.pace.clone(),
                batches_max: u64::MAX,
            };
            load.spawn(address, |address, ledger| {
                producer::run(address, task, ledger);
            });
        }
        load.spawn(address, committer::run);
        if let Some(clients) = &load.clients {
            clients.wait_until_busy(&ledger);
        }
        Ok(load)
    }

    /// One more worker; it ends when the ledger says stop.
    pub fn spawn(&mut self, address: &str, body: impl FnOnce(&str, &Ledger) + Send + 'static) {
        let (address, ledger) = (address.to_owned(), Arc::clone(&self.ledger));
        self.workers
            .push(thread::spawn(move || body(&address, &ledger)));
    }

    /// Ends everybody; what they were promised stays in the ledger.
    pub fn stop(&mut self) {
        self.ledger.stop();
        self.clients = None;
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                self.ledger
                    .violation("a worker of the load panicked".into());
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A small generator (xorshift): the same seed, the same faults.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number in the range.
    pub fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.number() % (range.end - range.start)
    }
}
