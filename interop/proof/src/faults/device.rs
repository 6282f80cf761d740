//! A device that fails: syncs, writes and reads that answer EIO.
//!
//! What a failed sync gave up is gone at the restart, as on Linux. The process must end and say why;
//! after the restart every acknowledged record is there.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use levada_wire_kafka::ErrorCode;

use super::{Bench, probe};
use crate::load::ledger::Ledger;
use crate::load::producer::Pace;
use crate::load::server::{Server, Started};
use crate::load::verify::Verifier;
use crate::load::{Load, RAW_TOPIC, Shape};
use crate::lossy::{Files, Lossy, Operation};

/// These rounds are quick.
const ROUNDS_FACTOR: u32 = 2;
const LOAD_MS: std::ops::Range<u64> = 30..150;
/// Which operation from then on fails.
const NUMBER: std::ops::Range<u64> = 1..60;
/// How long the process may take to end.
const END_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a fault on files beside the log is given to happen.
const ASIDE_MS: u64 = 400;
const SETTINGS: [(&str, &str); 4] = [
    ("storage-file-bytes-max", "2MiB"),
    ("storage-pool-bytes-max", "4MiB"),
    ("storage-snapshot-bytes", "1MiB"),
    ("memory-tail-cache-bytes", "1MiB"),
];
/// The end of what a person reads when the log failed.
const ADVICE: &str = "What was acknowledged is on disk; check the disk, then start again";

/// A broker on a device that may fail, under the raw load.
struct Rig {
    lossy: Lossy,
    server: Server,
    load: Load,
    ledger: Arc<Ledger>,
    verifier: Verifier,
    /// How long the broker's log was when it was started last.
    log_bytes: usize,
}

impl Rig {
    fn start(bench: &Bench<'_>) -> Result<Rig> {
        let data = bench.folder.join("data");
        std::fs::create_dir_all(&data)?;
        let lossy = Lossy::mount(&data).context("FUSE mount")?;
        let mut server = bench.server(data, &SETTINGS)?;
        server.start()?;
        let shape = Shape {
            seed: bench.plan.seed,
            pace: Pace {
                wait: Duration::from_millis(4),
                value_bytes: 200..2000,
                ..Pace::default()
            },
            ..Shape::default()
        };
        let load = Load::start(&shape, &server.address, &bench.folder)?;
        let ledger = Arc::clone(&load.ledger);
        let verifier = Verifier::new(&server.address);
        Ok(Rig {
            lossy,
            server,
            load,
            ledger,
            verifier,
            log_bytes: 0,
        })
    }

    /// The process ends by itself, with code 1 and a reason.
    fn expect_end(&mut self, round: u32) -> Result<bool> {
        let Some(status) = self.server.wait_end(END_WAIT_MAX)? else {
            self.ledger.violation(format!(
                "round {round}: the log failed and the process lives on"
            ));
            self.server.kill()?;
            return Ok(false);
        };
        let said = self.server.said_since(self.log_bytes);
        let is_told = status.code() == Some(1) && said.contains(ADVICE);
        if !is_told {
            let last = self.server.last_line();
            self.ledger
                .violation(format!("round {round}: it ended with {status}: {last}"));
        }
        Ok(is_told)
    }

    /// The machine comes back, and every promise stands.
    fn restart(&mut self, round: u32) {
        self.lossy.cut_power();
        self.log_bytes = self.server.log_bytes();
        match self.server.start() {
            Ok(()) => self.verifier.check(
                &self.ledger,
                round.is_multiple_of(10),
                &format!("round {round}"),
            ),
            Err(error) => self
                .ledger
                .violation(format!("round {round}: it does not start again: {error:#}")),
        }
    }

    fn close(mut self, bench: &mut Bench<'_>) -> Result<()> {
        self.lossy.heal();
        self.load.stop();
        if self.server.is_running() {
            self.verifier.check(&self.ledger, true, "the end");
        }
        self.server.kill()?;
        bench.close(&self.ledger, self.verifier.read);
        Ok(())
    }
}

pub fn sync_errors(bench: &mut Bench<'_>) -> Result<()> {
    failing(bench, Operation::Sync)
}

pub fn write_errors(bench: &mut Bench<'_>) -> Result<()> {
    failing(bench, Operation::Write)
}

/// Rounds in which one operation fails: on the log the process must end; beside it (snapshots, what
/// is made ready ahead) it may live on.
fn failing(bench: &mut Bench<'_>, operation: Operation) -> Result<()> {
    // A single piece of a long write that fails only makes it a short one, which is gone on with.
    let count = match operation {
        Operation::Write => u64::MAX,
        _ => 1,
    };
    let mut rig = Rig::start(bench)?;
    for round in 1..=bench.plan.rounds * ROUNDS_FACTOR {
        bench.outcome.rounds = round;
        thread::sleep(Duration::from_millis(bench.random.within(LOAD_MS)));
        let number = bench.random.within(NUMBER);
        if round.is_multiple_of(4) {
            rig.lossy.fail(operation, Files::Other, number % 8, count);
            thread::sleep(Duration::from_millis(ASIDE_MS));
            let fired = rig.lossy.heal();
            bench.outcome.fired += fired.min(1);
            let lives = rig.server.is_running();
            let what = match (fired > 0, lives) {
                (false, _) => "beside the log: not met",
                (true, true) => "beside the log: it goes on",
                (true, false) => "beside the log: it ended",
            };
            bench.count(what);
            rig.server.kill()?;
        } else {
            rig.lossy.fail(operation, Files::Log, number, count);
            let is_told = rig.expect_end(round)?;
            bench.outcome.fired += rig.lossy.heal().min(1);
            if is_told {
                bench.count("on the log: it ended with code 1 and the reason");
            }
        }
        rig.restart(round);
        if !rig.server.is_running() {
            break;
        }
    }
    rig.close(bench)
}

/// Reads fail for a while: readers are told to try again, producers go on. At a start they stop it.
pub fn read_errors(bench: &mut Bench<'_>) -> Result<()> {
    let mut rig = Rig::start(bench)?;
    for round in 1..=bench.plan.rounds * ROUNDS_FACTOR {
        bench.outcome.rounds = round;
        thread::sleep(Duration::from_millis(bench.random.within(LOAD_MS)));
        if round.is_multiple_of(2) {
            while_it_runs(bench, &mut rig, round)?;
        } else {
            at_a_start(bench, &mut rig, round)?;
        }
        if !rig.server.is_running() {
            break;
        }
        let when = format!("round {round}");
        rig.verifier
            .check(&rig.ledger, round.is_multiple_of(5), &when);
    }
    rig.close(bench)
}

fn while_it_runs(bench: &mut Bench<'_>, rig: &mut Rig, round: u32) -> Result<()> {
    rig.lossy.fail(Operation::Read, Files::Log, 1, u64::MAX);
    let place = (RAW_TOPIC.to_owned(), 0);
    let end = rig.ledger.last(&place).unwrap_or_default();
    let before = rig.ledger.acknowledged();
    for _ in 0..5 {
        let offset = bench.random.within(0..end.max(1) as u64) as i64;
        let code = probe::fetch(&rig.server.address, &place, offset)?;
        match code {
            ErrorCode::None => bench.count("a read: from memory"),
            ErrorCode::KafkaStorageError => bench.count("a read: KAFKA_STORAGE_ERROR"),
            other => rig.ledger.violation(format!(
                "round {round}: a read that the device fails is told as {other:?}"
            )),
        }
    }
    bench.outcome.fired += rig.lossy.heal();
    if rig.server.is_running() && rig.ledger.acknowledged() > before {
        return Ok(());
    }
    // Producers had no need to read.
    thread::sleep(Duration::from_millis(ASIDE_MS));
    if !rig.server.is_running() || rig.ledger.acknowledged() == before {
        rig.ledger.violation(format!(
            "round {round}: producers do not go on when reads fail: {}",
            rig.server.last_line()
        ));
    }
    Ok(())
}

fn at_a_start(bench: &mut Bench<'_>, rig: &mut Rig, round: u32) -> Result<()> {
    rig.server.kill()?;
    let number = bench.random.within(1..20);
    rig.lossy.fail(Operation::Read, Files::Log, number, 1);
    let started = rig.server.try_start()?;
    let fired = rig.lossy.heal();
    bench.outcome.fired += fired;
    match started {
        Started::Answers if fired == 0 => bench.count("a start: not met"),
        Started::Answers => bench.count("a start: it went on"),
        Started::Refused(status) => {
            let said = rig.server.last_line();
            if status.code() == Some(1) && said.contains("error") {
                bench.count("a start: refused with code 1 and the reason");
            } else {
                rig.ledger
                    .violation(format!("round {round}: it ended with {status}: {said}"));
            }
            if let Err(error) = rig.server.start() {
                rig.ledger.violation(format!(
                    "round {round}: it does not start on the healthy device: {error:#}"
                ));
            }
        }
    }
    Ok(())
}
