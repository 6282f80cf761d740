//! `cargo xtask queue-bench`: queues of Levada and of every peer that can be had, in turns on this
//! machine in one run, driven by one load generator (`levada-peers queue`); then what grows with
//! backlogs and the number of queues. Writes `bench/QUEUES.md`, `bench/queues.json` and plots.

mod page;
mod rows;
mod scale;
mod systems;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bench::figures::median;
use crate::bench::measure::{Samples, Spent, idle_mib, spent_on};
use crate::bench::systems::{binary, build};
use crate::bench::{describe_machine, measured_limits, warm_memory};
use crate::broker::Broker;
use crate::process;
use crate::report::Tally;
use rows::{ROWS, Row};
use systems::{SYSTEMS, System};

#[derive(clap::Args)]
pub struct Options {
    /// How often each system has its turn; medians are told
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// One round of Levada alone with few messages, into target/queue-bench: shows that all runs
    #[arg(long)]
    pub quick: bool,
    /// Only these systems, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub system: Vec<String>,
    /// Leave out what grows with backlogs and the number of queues
    #[arg(long)]
    pub no_scale: bool,
}

impl Options {
    /// What runs in every CI.
    pub fn smoke() -> Self {
        Self {
            rounds: 1,
            quick: true,
            system: Vec::new(),
            no_scale: false,
        }
    }

    /// As a person would type it.
    fn command(&self) -> String {
        let mut command = "cargo xtask queue-bench".to_owned();
        match self.quick {
            true => command.push_str(" --quick"),
            false => command.push_str(&format!(" --rounds {}", self.rounds)),
        }
        if !self.system.is_empty() {
            command.push_str(&format!(" --system {}", self.system.join(",")));
        }
        if self.no_scale {
            command.push_str(" --no-scale");
        }
        command
    }

    fn wants(&self, system: &System) -> bool {
        match self.system.is_empty() {
            true => !self.quick || system.is_ours(),
            false => self.system.iter().any(|name| name == system.key),
        }
    }
}

/// Everything that the page tells.
pub struct Results {
    command: String,
    rounds: u32,
    machine: Vec<(&'static str, String)>,
    limits: BTreeMap<String, Vec<f64>>,
    /// Systems that could not be measured, and why.
    missing: Vec<(&'static str, String)>,
    /// By row and system.
    samples: BTreeMap<(&'static str, &'static str), Samples>,
    scale: BTreeMap<&'static str, f64>,
}

impl Results {
    /// The median of a figure over the rounds.
    fn of(&self, row: &str, system: &str, metric: &str) -> Option<f64> {
        let mut samples = self.samples.iter();
        let found = samples.find(|((r, s), _)| (*r, *s) == (row, system));
        median(found?.1.get(metric)?)
    }

    fn limit(&self, name: &str) -> Option<f64> {
        median(self.limits.get(name)?)
    }
}

/// Runs every row on every system, then the scale of Levada, and writes the page.
///
/// # Errors
/// When Levada cannot be measured. A peer that cannot stands on the page with the reason.
pub fn run(options: &Options) -> Result<Tally> {
    if let Some(unknown) = options
        .system
        .iter()
        .find(|name| systems::named(name).is_none())
    {
        let known: Vec<_> = SYSTEMS.iter().map(|system| system.key).collect();
        bail!("no system `{unknown}`; there are: {}", known.join(", "));
    }
    build("levada-peers")?;
    build("levada-floor")?;
    let folder = process::repository().join("target/queue-bench-data");
    let rounds = if options.quick { 1 } else { options.rounds };
    let mut results = Results {
        command: options.command(),
        rounds,
        machine: describe_machine(),
        limits: BTreeMap::new(),
        missing: Vec::new(),
        samples: BTreeMap::new(),
        scale: BTreeMap::new(),
    };
    let mut tally = Tally::default();
    let mut systems: Vec<&System> = SYSTEMS.iter().filter(|one| options.wants(one)).collect();
    for round in 1..=rounds {
        fs::create_dir_all(&folder)?;
        for (name, value) in measured_limits(&folder)? {
            results.limits.entry(name).or_default().push(value);
        }
        systems.retain(|system| {
            println!("round {round} of {rounds}: {}", system.name);
            match turn(system, &folder, options.quick, &mut results) {
                Ok(()) => tally.passed += 1,
                Err(error) if system.is_ours() => {
                    println!("{}: {error:#}", system.name);
                    tally.failed += 1;
                }
                Err(error) => {
                    println!("{} is left out: {error:#}", system.name);
                    results.missing.push((system.name, format!("{error:#}")));
                    tally.skipped += 1;
                    return false;
                }
            }
            true
        });
    }
    if !options.no_scale {
        scale::run(&folder, options.quick, &mut results.scale)?;
        tally.passed += 1;
    }
    fs::remove_dir_all(&folder).ok();
    page::write(&results, options.quick)?;
    Ok(tally)
}

/// Before anything is measured: memory is touched, a virtual machine compiles.
const WARM_MESSAGES: u64 = 100_000;
const WARM_MESSAGES_MIN: u64 = 100;

/// All rows on one fresh server.
fn turn(system: &'static System, folder: &Path, quick: bool, results: &mut Results) -> Result<()> {
    system.install()?;
    fs::remove_dir_all(folder).ok();
    process::command("sync").status()?;
    let server = system.start(folder)?;
    let count = (WARM_MESSAGES / system.divisor)
        .max(WARM_MESSAGES_MIN)
        .to_string();
    for kind in ["send", "receive"] {
        load(
            system,
            &server.address,
            &[kind, "--queue", "warm", "--count", &count],
        )?;
    }
    for row in ROWS {
        if !quick {
            warm_memory()?;
        }
        one_row(system, &server, row, quick, results)
            .with_context(|| format!("row {}", row.key))?;
    }
    Ok(())
}

fn one_row(
    system: &'static System,
    server: &Broker,
    row: &'static Row,
    quick: bool,
    results: &mut Results,
) -> Result<()> {
    let words = row.arguments(system.divisor, quick);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (figures, spent) = spent_on(server, || load(system, &server.address, &words))?;
    let samples = results.samples.entry((row.key, system.key)).or_default();
    keep(samples, &figures, &spent);
    let mib = idle_mib(server)?;
    samples.entry("memory_mib").or_default().push(mib);
    Ok(())
}

const FIGURES: &[&str] = &[
    "records",
    "records_per_s",
    "p50_us",
    "p99_us",
    "p999_us",
    "send_p50_us",
    "send_p99_us",
    "receive_p50_us",
    "receive_p99_us",
    "acknowledge_p50_us",
    "acknowledge_p99_us",
    "repeated",
];

fn keep(samples: &mut Samples, figures: &Value, spent: &Spent) {
    for key in FIGURES {
        samples.entry(key).or_default().push(number(figures, key));
    }
    let mut keep = |key, value| samples.entry(key).or_default().push(value);
    keep("cpu_us_per_message", cpu_us(figures, spent));
    keep("memory_high_mib", spent.memory_high_mib);
    keep("others_cpu_percent", spent.others_cpu_percent);
    spent
        .flushes_per_s
        .into_iter()
        .for_each(|value| keep("flushes_per_s", value));
}

/// The server's processor time for each message of a load, µs.
fn cpu_us(figures: &Value, spent: &Spent) -> f64 {
    spent.cpu_s * 1e6 / number(figures, "records")
}

fn number(figures: &Value, key: &str) -> f64 {
    figures.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// One run of the load generator.
///
/// # Errors
/// When it fails, or found a wrong answer.
fn load(system: &System, address: &str, words: &[&str]) -> Result<Value> {
    let mut command = process::command(binary("levada-peers"));
    command.args(["queue", system.protocol()]).args(words);
    command.args(["--broker", address]);
    if system.may_repeat() {
        command.arg("--may-repeat");
    }
    let output = command.output().context("the load does not start")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default();
        bail!("`{}` says: {said}", words.join(" "));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
