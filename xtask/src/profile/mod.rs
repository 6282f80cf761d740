//! `cargo xtask profile`: what the server's time goes to under the loads of `cargo xtask bench`, beside the floor.
//! Writes `bench/PROFILE.md` and `bench/profile.json`.

mod causes;
mod page;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::bench::loads::{Load, WARM_UP};
use crate::bench::measure;
use crate::bench::rows::{ROWS, Row};
use crate::bench::systems::{SYSTEMS, System};
use crate::broker::Broker;
use crate::process;
use crate::report::Tally;
use causes::{CAUSES, stacks};

#[derive(clap::Args)]
pub struct Options {
    /// Only these rows of the bench, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "ROW", default_values = ["produce-1k", "produce-100", "consume-1k", "one-record", "latency"])]
    row: Vec<String>,
}

/// Samples a second of each thread that runs; no multiple of a timer that the server has.
const SAMPLES_PER_S: &str = "2999";
/// So that a short load has enough samples.
const LONGER: u64 = 3;
/// Levada, and what no broker can beat.
const MEASURED: [&str; 3] = ["levada", "floor-direct", "floor-buffered"];

/// What one system spent on one row.
pub struct Profile {
    pub system: &'static System,
    pub row: &'static Row,
    /// Of the server, user and kernel.
    pub cpu_s: f64,
    pub records: f64,
    /// By [`CAUSES`]; they add up to 1.
    pub shares: Vec<f64>,
    pub samples: usize,
}

/// Profiles every row on Levada and on the floors, and writes the page.
///
/// # Errors
/// When perf is missing or may not look into processes, or a load finds a wrong answer.
pub fn run(options: &Options) -> Result<Tally> {
    if process::output(Command::new("perf").arg("--version")).is_none() {
        bail!("`perf` is not installed; on Debian it comes with the package linux-perf");
    }
    let mut rows = Vec::new();
    for key in &options.row {
        let row = ROWS.iter().find(|row| row.key == key && row.load.is_some());
        rows.push(row.with_context(|| format!("the bench has no row `{key}` with a load"))?);
    }
    let folder = process::repository().join("target/profile");
    let mut profiles = Vec::new();
    for system in SYSTEMS.iter().filter(|one| MEASURED.contains(&one.key)) {
        system.install(false)?;
        for row in &rows {
            println!("{}: {}", system.name, row.title);
            profiles.push(profile(system, row, &folder)?);
        }
    }
    fs::remove_dir_all(&folder).ok();
    page::write(&profiles, &process::repository().join("bench"))?;
    Ok(Tally {
        passed: profiles.len() as u64,
        ..Tally::default()
    })
}

fn profile(system: &'static System, row: &'static Row, folder: &Path) -> Result<Profile> {
    let load = row.load.as_ref().context("a row with a load")?;
    let longer = |load: &Load| Load {
        count: load.count * LONGER,
        ..*load
    };
    let load = longer(load);
    fs::remove_dir_all(folder).ok();
    let keep_mib = match system.is_fresh_for_each_row() {
        true => load.keep_mib(),
        false => 0,
    };
    let server = system.start(folder, keep_mib)?;
    if keep_mib == 0 {
        measure::drive(system, &server, "warm-up", &WARM_UP)?;
    }
    if let Some(before) = &row.before {
        measure::drive(system, &server, row.key, &longer(before))?;
    }
    let recorded = folder.join("perf.data");
    let before = measure::cpu_s(&server)?;
    let records = record(system, &server, row.key, &load, &recorded)?;
    let cpu_s = measure::cpu_s(&server)? - before;
    drop(server);
    let (shares, samples) = shares(&recorded)?;
    Ok(Profile {
        system,
        row,
        cpu_s,
        records,
        shares,
        samples,
    })
}

/// Runs the load while perf looks at the server; gives the number of records.
fn record(system: &System, server: &Broker, topic: &str, load: &Load, into: &Path) -> Result<f64> {
    let driver = measure::ours(system, server, topic, load);
    let mut perf = process::command("perf");
    perf.args(["record", "-q", "-g", "-F", SAMPLES_PER_S, "-p"]);
    perf.arg(server.pid().to_string()).arg("-o").arg(into);
    perf.arg("--")
        .arg(driver.get_program())
        .args(driver.get_args());
    let output = perf.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "perf cannot look into the server (root, or kernel.perf_event_paranoid below 2, lets it): {}",
        said.trim()
    );
    let result: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the load says no figures: {}", said.trim()))?;
    ensure!(
        result.get("verified").and_then(Value::as_bool) == Some(true),
        "the load found wrong answers: {result}"
    );
    let records = result.get("records").and_then(Value::as_f64);
    records.context("the load names no number of records")
}

/// The share of each cause, and the number of samples.
fn shares(recorded: &Path) -> Result<(Vec<f64>, usize)> {
    let mut script = process::command("perf");
    script.args(["script", "--no-inline", "-F", "comm,ip,sym,dso", "-i"]);
    let text = process::output(script.arg(recorded)).context("perf reads nothing back")?;
    let mut counts = vec![0usize; CAUSES.len()];
    for stack in stacks(&text) {
        let count = stack.cause().and_then(|at| counts.get_mut(at));
        *count.context("every sample has a cause")? += 1;
    }
    let samples: usize = counts.iter().sum();
    ensure!(samples > 0, "perf took no sample");
    let shares = counts.iter().map(|count| *count as f64 / samples as f64);
    Ok((shares.collect(), samples))
}
