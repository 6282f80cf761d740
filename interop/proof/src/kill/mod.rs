//! Kills a broker under load, again and again, and checks after each restart that it kept its word:
//! every acknowledged record at its offset, offsets without a gap, no duplicate of an idempotent
//! producer, nothing that a consumer saw gone, no committed offset gone back.

mod clients;
mod committer;
mod ledger;
mod producer;
mod server;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use levada_wire_kafka::messages::*;

use crate::connection::Connection;
use crate::lossy::Lossy;
use clients::Clients;
use ledger::Ledger;
use server::Server;
use verify::Verifier;

/// The topics of the load: ours over the raw protocol, and the real clients'.
const RAW_TOPIC: &str = "raw";
const CLIENT_TOPIC: &str = "clients";
const RAW_PRODUCERS: i32 = 3;
/// How long a round's load lasts before the kill.
const LOAD_MS: std::ops::Range<u64> = 60..400;
/// Every so many rounds the whole log is read again, not only what is new.
const FULL_READ_EVERY: u32 = 25;

/// What to do.
pub struct Plan {
    /// Starts the broker; `{address}` and `{data}` stand for where it listens and keeps its data.
    pub command: Vec<String>,
    pub folder: PathBuf,
    pub rounds: u32,
    pub seed: u64,
    /// Drop every unsynced byte at each kill.
    pub power: bool,
    /// Programs of real clients: each gets `BOOTSTRAP TOPIC` and prints what it was promised.
    pub clients: Vec<String>,
    /// Stop at the first violation: the run is meant to find one.
    pub stop_at_violation: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    pub rounds: u32,
    pub acknowledged: u64,
    pub commits: u64,
    pub violations: Vec<String>,
}

/// Runs the rounds.
///
/// # Errors
/// When something other than the broker is wrong: no FUSE, no such program.
pub fn run(plan: &Plan) -> Result<Outcome> {
    std::fs::create_dir_all(&plan.folder)?;
    let data = plan.folder.join("data");
    std::fs::create_dir_all(&data)?;
    let lossy = if plan.power {
        Some(Lossy::mount(&data).context("FUSE mount")?)
    } else {
        None
    };
    let mut server = Server::new(plan, data)?;
    server.start()?;
    let ledger = Arc::new(Ledger::default());
    create_topics(&server.address)?;
    let mut verifier = Verifier::new(&server.address);
    let clients = Clients::start(plan, &server.address, CLIENT_TOPIC, &ledger)?;
    let workers = start_workers(&server.address, plan.seed, &ledger);
    let mut random = Random(plan.seed | 1);
    let mut outcome = Outcome::default();
    let started = Instant::now();
    clients.wait_until_busy(&ledger);
    for round in 1..=plan.rounds {
        thread::sleep(Duration::from_millis(random.within(LOAD_MS)));
        server.kill()?;
        if let Some(lossy) = &lossy {
            lossy.cut_power();
        }
        if let Err(error) = server.start() {
            ledger.violation(format!(
                "round {round}: the broker does not start: {error:#}"
            ));
        } else {
            verifier.check(
                &ledger,
                round % FULL_READ_EVERY == 0,
                &format!("round {round}"),
            );
        }
        outcome.rounds = round;
        progress(round, plan.rounds, &ledger, started);
        if plan.stop_at_violation && ledger.has_violations() || !server.is_running() {
            break;
        }
    }
    ledger.stop();
    drop(clients);
    for worker in workers {
        worker.join().ok();
    }
    if server.is_running() {
        verifier.check(&ledger, true, "the end");
    }
    server.kill()?;
    outcome.acknowledged = ledger.acknowledged();
    outcome.commits = ledger.commits();
    outcome.violations = ledger.violations();
    Ok(outcome)
}

fn progress(round: u32, rounds: u32, ledger: &Ledger, started: Instant) {
    if !round.is_multiple_of(10) && round != rounds {
        return;
    }
    println!(
        "round {round} of {rounds}: {} records and {} commits acknowledged, {} violations, {:.1} s",
        ledger.acknowledged(),
        ledger.commits(),
        ledger.violations().len(),
        started.elapsed().as_secs_f64()
    );
}

fn create_topics(address: &str) -> Result<()> {
    let topic = |name: &str, num_partitions| CreatableTopic {
        name: name.into(),
        num_partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![
            topic(RAW_TOPIC, RAW_PRODUCERS),
            topic(CLIENT_TOPIC, clients::PARTITIONS),
        ],
        ..CreateTopicsRequest::default()
    };
    let answer = Connection::open(address)?.call(7, &request)?;
    for topic in answer.topics {
        anyhow::ensure!(
            topic.error_code == 0,
            "create {}: error {}",
            topic.name,
            topic.error_code
        );
    }
    Ok(())
}

fn start_workers(address: &str, seed: u64, ledger: &Arc<Ledger>) -> Vec<thread::JoinHandle<()>> {
    let mut workers = Vec::new();
    for partition in 0..RAW_PRODUCERS {
        let (address, ledger) = (address.to_owned(), Arc::clone(ledger));
        let random = Random((seed << 8 | partition as u64) | 1);
        workers.push(thread::spawn(move || {
            producer::run(&address, partition, random, &ledger)
        }));
    }
    let (address, ledger) = (address.to_owned(), Arc::clone(ledger));
    workers.push(thread::spawn(move || committer::run(&address, &ledger)));
    workers
}

/// A small generator (xorshift): the same seed, the same kills.
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
