//! Kills a broker under load, again and again, and checks after each restart that it kept its word:
//! every acknowledged record at its offset, offsets without a gap, no duplicate of an idempotent
//! producer, nothing that a consumer saw gone, no committed offset gone back.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::load::ledger::Ledger;
use crate::load::server::Server;
use crate::load::verify::Verifier;
use crate::load::{Load, Random, Shape};
use crate::lossy::Lossy;

/// How long a round's load lasts before the kill.
const LOAD_MS: std::ops::Range<u64> = 60..400;
/// Every so many rounds the whole log is read again, not only what is new.
const FULL_READ_EVERY: u32 = 25;
/// The same once it has become long.
const LATE_FULL_READ_EVERY: u32 = 100;

/// What to do.
pub struct Plan {
    /// Starts the broker; `{address}` and `{data}` stand for where it listens and keeps its data.
    pub command: Vec<String>,
    pub folder: PathBuf,
    pub rounds: u32,
    pub shape: Shape,
    /// Drop every unsynced byte at each kill.
    pub power: bool,
    /// Stop at the first violation: the run is meant to find one.
    pub stop_at_violation: bool,
}

/// What came of it.
#[derive(Debug, Default, serde::Serialize)]
pub struct Outcome {
    pub rounds: u32,
    pub acknowledged: u64,
    pub seen: u64,
    pub commits: u64,
    /// Records that the checks have read back.
    pub checked: u64,
    pub seconds: f64,
    /// From the kill to the first answer.
    pub restart_ms_median: u64,
    pub restart_ms_max: u64,
    pub violations: Vec<String>,
}

/// Where a run's time goes.
#[derive(Default)]
struct Times {
    load: Duration,
    check: Duration,
    restarts: Vec<Duration>,
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
    let mut server = Server::new(&plan.command, &plan.folder, data)?;
    server.start()?;
    let mut verifier = Verifier::new(&server.address);
    let mut load = Load::start(&plan.shape, &server.address, &plan.folder)?;
    let ledger = std::sync::Arc::clone(&load.ledger);
    let mut random = Random(plan.shape.seed | 1);
    let mut outcome = Outcome::default();
    let mut times = Times::default();
    let started = Instant::now();
    for round in 1..=plan.rounds {
        let pause = Duration::from_millis(random.within(LOAD_MS));
        thread::sleep(pause);
        times.load += pause;
        let killed = Instant::now();
        server.kill()?;
        if let Some(lossy) = &lossy {
            lossy.cut_power();
        }
        if let Err(error) = server.start() {
            ledger.violation(format!(
                "round {round}: the broker does not start: {error:#}"
            ));
        } else {
            times.restarts.push(killed.elapsed());
            let began = Instant::now();
            verifier.check(&ledger, reads_all(round), &format!("round {round}"));
            times.check += began.elapsed();
        }
        outcome.rounds = round;
        progress(round, plan.rounds, &ledger, started);
        if plan.stop_at_violation && ledger.has_violations() || !server.is_running() {
            break;
        }
    }
    load.stop();
    if server.is_running() {
        verifier.check(&ledger, true, "the end");
    }
    server.kill()?;
    outcome.checked = verifier.read;
    outcome.seconds = started.elapsed().as_secs_f64();
    close(&mut outcome, &ledger, times);
    Ok(outcome)
}

fn close(outcome: &mut Outcome, ledger: &Ledger, mut times: Times) {
    times.restarts.sort_unstable();
    let ms = |time: Option<&Duration>| time.map_or(0, |time| time.as_millis() as u64);
    outcome.restart_ms_median = ms(times.restarts.get(times.restarts.len() / 2));
    outcome.restart_ms_max = ms(times.restarts.last());
    outcome.acknowledged = ledger.acknowledged();
    outcome.seen = ledger.seen();
    outcome.commits = ledger.commits();
    outcome.violations = ledger.violations();
    println!(
        "{:.0} s of load, {:.0} s of restarts (median {} ms, longest {} ms), {:.0} s of checks",
        times.load.as_secs_f64(),
        times.restarts.iter().sum::<Duration>().as_secs_f64(),
        outcome.restart_ms_median,
        outcome.restart_ms_max,
        times.check.as_secs_f64()
    );
}

fn reads_all(round: u32) -> bool {
    let every = if round <= LATE_FULL_READ_EVERY {
        FULL_READ_EVERY
    } else {
        LATE_FULL_READ_EVERY
    };
    round.is_multiple_of(every)
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
