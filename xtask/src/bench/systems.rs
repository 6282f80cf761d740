//! Who is measured, as data, and how each is started on a fresh folder.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::rows::KAFKA;
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
            Server::Floor(path) => {
                let data = folder.join("data");
                let mut floor = process::command(binary("levada-floor"));
                floor.args(["serve", "--path", path, "--data"]).arg(&data);
                floor.args(["--keep-mib", &keep_mib.to_string()]);
                Broker::start_program(floor, folder, |_| {
                    std::fs::read_to_string(data.join("address")).ok()
                })
            }
        }
    }
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
