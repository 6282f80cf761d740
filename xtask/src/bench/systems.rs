//! Who is measured, as data, and what each needs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::loads::{self, Load};
use super::rows::KAFKA;
use super::start;
use crate::broker::{Broker, Kind};
use crate::process;
use crate::proofs::build_levada;
use crate::toolchain;

/// What a system is on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Levada,
    /// What no broker can beat; the best of the floors counts.
    Floor,
    Peer,
}

/// Which server it is, with what makes it another system than its neighbour.
#[derive(Clone, Copy, Debug)]
enum Server {
    Levada,
    /// The value of `--path`.
    Floor(&'static str),
    /// More lines of server.properties.
    Kafka(&'static str),
    /// More lines of the block `jetstream`.
    Nats(&'static str),
    /// The value of `appendfsync`.
    Redis(&'static str),
    /// A stream for each topic.
    RabbitStream,
    /// A quorum queue for each topic.
    RabbitQuorum,
    /// The value of `--storage-engine`.
    Nisshi(&'static str),
    BookKeeper,
}

pub struct System {
    pub key: &'static str,
    pub name: &'static str,
    pub role: Role,
    /// What it acknowledges lies on stable storage.
    pub is_synced: bool,
    /// It gets so many times fewer records than the rows say, since it would take minutes.
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
        role: Role::Levada,
        is_synced: true,
        divisor: 1,
        note: "default settings: one write and one sync before each acknowledgement",
        server: Server::Levada,
    },
    System {
        key: "floor-direct",
        name: "floor, direct writes",
        role: Role::Floor,
        is_synced: true,
        divisor: 1,
        note: "`levada-floor serve --path direct`: reads frames, writes, syncs, acknowledges, no more; \
               a fresh one for each row, what is consumed in memory",
        server: Server::Floor("direct"),
    },
    System {
        key: "floor-buffered",
        name: "floor, page cache",
        role: Role::Floor,
        is_synced: true,
        divisor: 1,
        note: "`levada-floor serve --path buffered`: the same through the page cache",
        server: Server::Floor("buffered"),
    },
    System {
        key: KAFKA,
        name: "Apache Kafka",
        role: Role::Peer,
        is_synced: false,
        divisor: 1,
        note: "KRaft, one node, 1 GiB heap, default settings: acknowledged from the page cache",
        server: Server::Kafka(""),
    },
    System {
        key: "kafka-synced",
        name: "Apache Kafka, `flush.messages=1`",
        role: Role::Peer,
        is_synced: true,
        divisor: 2,
        note: "the same with `log.flush.interval.messages=1`",
        server: Server::Kafka("log.flush.interval.messages=1\n"),
    },
    System {
        key: "nats",
        name: "NATS JetStream",
        role: Role::Peer,
        is_synced: false,
        divisor: 1,
        note: "a stream in files, one replica, default `sync_interval` (two minutes): acknowledged \
               from the page cache. A batch is that many single publishes, sent together and \
               acknowledged one by one; a pull consumer without acknowledgements reads",
        server: Server::Nats(""),
    },
    System {
        key: "nats-synced",
        name: "NATS JetStream, `sync_interval: always`",
        role: Role::Peer,
        is_synced: true,
        divisor: 20,
        note: "the same with a sync before each acknowledgement",
        server: Server::Nats("  sync_interval: always\n"),
    },
    System {
        key: "redis",
        name: "Redis stream, `appendfsync everysec`",
        role: Role::Peer,
        is_synced: false,
        divisor: 1,
        note: "`appendonly yes`, no snapshots, all records in memory. A batch is that many XADD, \
               sent together and acknowledged one by one; XREAD of 1,024 entries reads",
        server: Server::Redis("everysec"),
    },
    System {
        key: "redis-synced",
        name: "Redis stream, `appendfsync always`",
        role: Role::Peer,
        is_synced: true,
        divisor: 2,
        note: "the same with a sync before each round of replies",
        server: Server::Redis("always"),
    },
    System {
        key: "rabbitmq-stream",
        name: "RabbitMQ stream",
        role: Role::Peer,
        is_synced: false,
        divisor: 1,
        note: "Debian's, over the stream protocol, default settings: acknowledged from the page \
               cache. A batch is one publish frame of that many records; the reader has credit of \
               16 chunks",
        server: Server::RabbitStream,
    },
    System {
        key: "rabbitmq-quorum",
        name: "RabbitMQ quorum queue",
        role: Role::Peer,
        is_synced: true,
        divisor: 10,
        note: "Debian's, over AMQP 0-9-1, one member, default settings: a sync of its log before each \
               round of confirms. A batch is that many single publishes, sent together; the reader has \
               a prefetch of 1,024 and acknowledges half of that at a time",
        server: Server::RabbitQuorum,
    },
    System {
        key: "nisshi-memory",
        name: "Nisshi (was Tansu), in memory",
        role: Role::Peer,
        is_synced: false,
        divisor: 1,
        note: "its default `memory://`: nothing is written to a disk",
        server: Server::Nisshi("memory://nisshi/"),
    },
    System {
        key: "nisshi-sqlite",
        name: "Nisshi (was Tansu), SQLite",
        role: Role::Peer,
        is_synced: false,
        divisor: 4,
        note: "`sqlite://`, which it opens with a write-ahead log and `synchronous = normal`: \
               acknowledged from the page cache",
        server: Server::Nisshi("sqlite://nisshi.db"),
    },
    System {
        key: "bookkeeper",
        name: "Apache BookKeeper",
        role: Role::Peer,
        is_synced: true,
        divisor: 4,
        note: "one bookie with ZooKeeper in its process, 1 GiB heap, default settings: its journal is \
               synced before each acknowledgement. It is spoken to in version 2 of its protocol, as \
               Pulsar does; a batch is one entry, the reader asks for 16 ahead. It has no row end to \
               end: a reader learns that an entry is safe with the entry after it, or by asking again",
        server: Server::BookKeeper,
    },
];

/// Systems of the issue that are not measured: what a try at them came to.
pub static UNAVAILABLE: &[(&str, &str)] = &[
    (
        "klite",
        "the Go module proxy refuses github.com/klaudworks/klite, its list of versions, `@latest` \
         and v0.1.0 alike: \"403 Forbidden: This module version is not available\"",
    ),
    (
        "Redpanda",
        "a C++ server that no registry we use was found to have: Debian has no package of it, and the \
         lists of PyPI, npm, Maven and Go show clients, test helpers and Redpanda Connect only",
    ),
];

impl System {
    /// Builds or installs what it needs; a build of many minutes only with `may_build`.
    ///
    /// # Errors
    /// When that cannot be had; the reason stands on the page then.
    pub fn install(&self, may_build: bool) -> Result<()> {
        match self.server {
            Server::Levada => build_levada(),
            Server::Floor(_) => build("levada-floor"),
            Server::Kafka(_) => toolchain::kafka_jars().map(drop),
            Server::Nats(_) => {
                build("levada-peers")?;
                toolchain::nats().map(drop)
            }
            Server::Redis(_) => {
                build("levada-peers")?;
                toolchain::debian("redis-server", "redis-server")
            }
            Server::RabbitStream | Server::RabbitQuorum => {
                build("levada-peers")?;
                toolchain::debian("rabbitmq-server", "rabbitmq-server")
            }
            Server::Nisshi(_) => toolchain::nisshi(may_build).map(drop),
            Server::BookKeeper => {
                build("levada-peers")?;
                toolchain::bookkeeper().map(drop)
            }
        }
    }

    /// What `levada-peers` calls its protocol; None where it is Kafka's, and `levada bench` drives.
    pub fn protocol(&self) -> Option<&'static str> {
        match self.server {
            Server::Levada | Server::Floor(_) | Server::Kafka(_) | Server::Nisshi(_) => None,
            Server::Nats(_) => Some("nats"),
            Server::Redis(_) => Some("redis"),
            Server::RabbitStream => Some("rabbit"),
            Server::RabbitQuorum => Some("amqp"),
            Server::BookKeeper => Some("bookkeeper"),
        }
    }

    /// Whether its protocol can do what a row asks for; the note says why not.
    pub fn does(&self, load: &Load) -> bool {
        !matches!(self.server, Server::BookKeeper) || load.kind != loads::Kind::Latency
    }

    /// Whether clients of Kafka can do with it whatever they like; the floor answers `levada bench`.
    pub fn speaks_kafka(&self) -> bool {
        matches!(self.server, Server::Levada | Server::Kafka(_))
    }

    /// The floor keeps records in memory only for a row that reads them: keeping costs it a copy.
    pub fn is_fresh_for_each_row(&self) -> bool {
        matches!(self.server, Server::Floor(_))
    }

    /// Starts it over an empty `folder`; `keep_mib` is room for records that will be read.
    ///
    /// # Errors
    /// When it does not start within a minute.
    pub fn start(&self, folder: &Path, keep_mib: u64) -> Result<Broker> {
        match self.server {
            Server::Levada => Broker::start(Kind::Levada, folder),
            Server::Kafka(properties) => Broker::start_kafka_for_load(folder, properties),
            Server::Nats(jetstream) => start::nats(folder, jetstream),
            Server::Redis(appendfsync) => start::redis(folder, appendfsync),
            Server::RabbitStream => start::rabbit(folder, true),
            Server::RabbitQuorum => start::rabbit(folder, false),
            Server::Nisshi(storage) => start::nisshi(folder, storage),
            Server::BookKeeper => start::bookkeeper(folder),
            Server::Floor(path) => {
                let data = folder.join("data");
                let mut floor = process::command(binary("levada-floor"));
                floor.args(["serve", "--path", path, "--data"]).arg(&data);
                floor.args(["--keep-mib", &keep_mib.to_string()]);
                Broker::start_program(floor, folder, |_| {
                    fs::read_to_string(data.join("address")).ok()
                })
            }
        }
    }
}

/// The release binary of one of our packages that has the same name.
pub fn binary(name: &str) -> PathBuf {
    process::target().join("release").join(name)
}

/// The release build of one of our packages.
///
/// # Errors
/// When it fails.
pub fn build(package: &str) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--release", "--quiet", "--package", package]);
    ensure!(
        process::run(&mut cargo)?,
        "the release build of {package} failed"
    );
    Ok(())
}
