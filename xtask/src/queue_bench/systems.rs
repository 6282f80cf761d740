//! Whose queues are measured, and how they are run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::bench::start;
use crate::bench::systems::build;
use crate::broker::Broker;
use crate::proofs::build_levada;
use crate::toolchain;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    Levada,
    /// Whether messages are stored.
    ElasticMq(bool),
    Moto,
    /// More lines of the block `jetstream`.
    Nats(&'static str),
    Rabbit,
}

pub struct System {
    pub key: &'static str,
    pub name: &'static str,
    /// What it acknowledges lies on stable storage.
    pub is_synced: bool,
    /// It gets so many times fewer messages, since it would take minutes.
    pub divisor: u64,
    /// How it is run, for the page.
    pub note: &'static str,
    server: Server,
}

/// Every system, in the order of its turn.
pub static SYSTEMS: &[System] = &[
    System {
        key: "levada",
        name: "Levada",
        is_synced: true,
        divisor: 1,
        note: "default settings, the SQS API over HTTP: a sync before each answer to a send or a delete",
        server: Server::Levada,
    },
    System {
        key: "elasticmq",
        name: "ElasticMQ, in memory",
        is_synced: false,
        divisor: 10,
        note: "1 GiB heap, default settings, the same requests: nothing is written to a disk",
        server: Server::ElasticMq(false),
    },
    System {
        key: "elasticmq-stored",
        name: "ElasticMQ, H2",
        is_synced: false,
        divisor: 60,
        note: "the same with `messages-storage`: an H2 database in a file, which does not sync",
        server: Server::ElasticMq(true),
    },
    System {
        key: "moto",
        name: "moto's server",
        is_synced: false,
        divisor: 1000,
        note: "threads of Python, the same requests: nothing is written to a disk. It closes the \
               connection after each answer, and gives some messages to two receivers at a time, which \
               is counted and no error here",
        server: Server::Moto,
    },
    System {
        key: "nats",
        name: "NATS JetStream work queue",
        is_synced: false,
        divisor: 4,
        note: "its own protocol: a stream in files with work-queue retention, one replica, default \
               `sync_interval` (two minutes): acknowledged from the page cache. A batch is ten \
               publishes, each answered; a pull of ten; ten acknowledgements, each confirmed",
        server: Server::Nats(""),
    },
    System {
        key: "nats-synced",
        name: "NATS JetStream work queue, `sync_interval: always`",
        is_synced: true,
        divisor: 60,
        note: "the same with a sync before each answer",
        server: Server::Nats("  sync_interval: always\n"),
    },
    System {
        key: "rabbitmq-quorum",
        name: "RabbitMQ quorum queue",
        is_synced: true,
        divisor: 10,
        note: "Debian's, AMQP 0-9-1, one member, default settings: a sync of its log before each round of \
               confirms. A batch is ten publishes, each confirmed; a prefetch of ten, acknowledged \
               together; the protocol confirms no acknowledgement",
        server: Server::Rabbit,
    },
];

/// The system of this key.
pub fn named(key: &str) -> Option<&'static System> {
    SYSTEMS.iter().find(|system| system.key == key)
}

impl System {
    pub fn is_ours(&self) -> bool {
        self.server == Server::Levada
    }

    /// Whether messages that come twice are an error.
    pub fn may_repeat(&self) -> bool {
        self.server == Server::Moto
    }

    /// What `levada-peers queue` calls its protocol.
    pub fn protocol(&self) -> &'static str {
        match self.server {
            Server::Levada | Server::ElasticMq(_) | Server::Moto => "sqs",
            Server::Nats(_) => "nats",
            Server::Rabbit => "amqp",
        }
    }

    /// Builds or installs what it needs.
    ///
    /// # Errors
    /// When that cannot be had; the reason stands on the page then.
    pub fn install(&self) -> Result<()> {
        build("levada-peers")?;
        match self.server {
            Server::Levada => build_levada(),
            Server::ElasticMq(_) => toolchain::elasticmq().map(drop),
            Server::Moto => toolchain::moto().map(drop),
            Server::Nats(_) => toolchain::nats().map(drop),
            Server::Rabbit => toolchain::debian("rabbitmq-server", "rabbitmq-server"),
        }
    }

    /// Starts it over an empty folder.
    ///
    /// # Errors
    /// When it does not start within a minute.
    pub fn start(&self, folder: &Path) -> Result<Broker> {
        match self.server {
            Server::Levada => levada(folder),
            Server::ElasticMq(stored) => start::elasticmq(folder, stored),
            Server::Moto => start::moto(folder),
            Server::Nats(jetstream) => start::nats(folder, jetstream),
            Server::Rabbit => start::rabbit(folder, false),
        }
    }
}

/// Levada with its SQS listener, whose address the broker tells then.
///
/// # Errors
/// When it does not start within a minute.
pub fn levada(folder: &Path) -> Result<Broker> {
    let mut broker = Broker::start_levada_with(folder, &["--sqs", "127.0.0.1:0"])?;
    let ready = fs::read(folder.join("data/ready.json"))?;
    let ready: serde_json::Value = serde_json::from_slice(&ready)?;
    let address = ready.get("sqs").and_then(|address| address.as_str());
    broker.address = address
        .context("ready.json names no address for SQS")?
        .to_owned();
    Ok(broker)
}
