//! Who is measured, as data, and how each is started on a fresh folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::rows::KAFKA;
use crate::broker::{Broker, Kind, accepting, free_address};
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
];

/// Systems of the issue that are not measured: what a try at them came to.
pub static UNAVAILABLE: &[(&str, &str)] = &[
    (
        "klite",
        "the Go module proxy does not serve github.com/klaudworks/klite/cmd/klite",
    ),
    (
        "Tansu",
        "its crate resolves, and its build did not end within half an hour beside other work",
    ),
    (
        "Apache BookKeeper",
        "its jars can be had; it needs ZooKeeper beside it and a driver that is not written",
    ),
    (
        "Redpanda",
        "Debian's packages have no server of it; nothing else was tried",
    ),
];

impl System {
    /// Builds or installs what it needs.
    ///
    /// # Errors
    /// When that cannot be had; the reason stands on the page then.
    pub fn install(&self) -> Result<()> {
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
        }
    }

    /// What `levada-peers` calls its protocol; None where it is Kafka's, and `levada bench` drives.
    pub fn protocol(&self) -> Option<&'static str> {
        match self.server {
            Server::Levada | Server::Floor(_) | Server::Kafka(_) => None,
            Server::Nats(_) => Some("nats"),
            Server::Redis(_) => Some("redis"),
            Server::RabbitStream => Some("rabbit"),
            Server::RabbitQuorum => Some("amqp"),
        }
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
            Server::Nats(jetstream) => start_nats(folder, jetstream),
            Server::Redis(appendfsync) => start_redis(folder, appendfsync),
            Server::RabbitStream => start_rabbit(folder, true),
            Server::RabbitQuorum => start_rabbit(folder, false),
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

fn start_nats(folder: &Path, jetstream: &str) -> Result<Broker> {
    fs::create_dir_all(folder)?;
    let (address, config) = (free_address()?, folder.join("nats.conf"));
    let store = folder.join("data");
    let text = format!(
        "listen: \"{address}\"\njetstream {{\n  store_dir: \"{}\"\n{jetstream}}}\n",
        store.display()
    );
    fs::write(&config, text)?;
    let mut nats = process::command(toolchain::nats()?);
    nats.arg("-c").arg(&config);
    Broker::start_program(nats, folder, |_| accepting(&address))
}

fn start_redis(folder: &Path, appendfsync: &str) -> Result<Broker> {
    let (address, data) = (free_address()?, folder.join("data"));
    fs::create_dir_all(&data)?;
    let port = address.rsplit_once(':').map_or("0", |(_, port)| port);
    let mut redis = process::command("redis-server");
    redis.args(["--bind", "127.0.0.1", "--port", port, "--save", ""]);
    redis.args(["--appendonly", "yes", "--appendfsync", appendfsync]);
    redis.arg("--dir").arg(&data);
    Broker::start_program(redis, folder, |_| accepting(&address))
}

/// The port mapper that Erlang needs, as a child that ends with the server, then the server; not
/// Debian's wrapper, which would change the user.
const RABBIT: &str = "epmd -port \"$ERL_EPMD_PORT\" & exec /usr/lib/rabbitmq/bin/rabbitmq-server";

/// A node of its own: nothing of it lies outside `folder`. Reached over the stream protocol, or AMQP.
fn start_rabbit(folder: &Path, is_stream: bool) -> Result<Broker> {
    fs::create_dir_all(folder)?;
    let (amqp, stream) = (free_address()?, free_address()?);
    let port = || -> Result<String> {
        let address = free_address()?;
        Ok(address.rsplit(':').next().unwrap_or_default().to_owned())
    };
    let config = folder.join("rabbitmq.conf");
    let mut text = format!("listeners.tcp.1 = {amqp}\n");
    if is_stream {
        text.push_str(&format!("stream.listeners.tcp.1 = {stream}\n"));
    }
    fs::write(&config, text)?;
    let plugins = folder.join("plugins");
    let enabled = if is_stream { "rabbitmq_stream" } else { "" };
    fs::write(&plugins, format!("[{enabled}].\n"))?;
    let mut rabbit = process::command("sh");
    rabbit.args(["-c", RABBIT]);
    rabbit
        .env("HOME", folder)
        .env("RABBITMQ_NODENAME", "levada@localhost");
    rabbit.env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
    rabbit.env("RABBITMQ_CONFIG_FILE", &config);
    rabbit.env("RABBITMQ_ENABLED_PLUGINS_FILE", &plugins);
    rabbit.env("RABBITMQ_MNESIA_BASE", folder.join("data"));
    rabbit.env("RABBITMQ_LOG_BASE", folder.join("log"));
    rabbit.env("RABBITMQ_DIST_PORT", port()?);
    rabbit
        .env("ERL_EPMD_PORT", port()?)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1");
    let address = if is_stream { stream } else { amqp };
    Broker::start_program(rabbit, folder, |_| accepting(&address))
}

/// The release binary of one of our packages that has the same name.
pub fn binary(name: &str) -> PathBuf {
    process::target().join("release").join(name)
}

fn build(package: &str) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--release", "--quiet", "--package", package]);
    ensure!(
        process::run(&mut cargo)?,
        "the release build of {package} failed"
    );
    Ok(())
}
