//! `cargo xtask bench`: Levada, the floor and every peer that can be had, in turns on this machine
//! in one run, each driven by the same measuring core. Writes `bench/RESULTS.md`,
//! `bench/results.json` and `bench/plots`.
//!
//! Rows and systems are data (`rows.rs`, `systems.rs`); a further one is an entry there.

mod clients;
pub mod cold;
pub mod figures;
pub mod loads;
pub mod measure;
mod page;
pub mod plot;
pub mod rows;
pub mod start;
pub mod systems;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::broker::Broker;
use crate::process;
use crate::report::Tally;
use crate::toolchain;
use figures::Results;
use loads::{Driver, FIRST, Load, WARM_UP};
use measure::{drive, idle_mib};
use rows::{ROWS, Row};
use systems::{Role, SYSTEMS, System, binary, build};

#[derive(clap::Args, Default)]
pub struct Options {
    /// How often each system has its turn; medians are told
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// One round with fewer records, into target/bench-quick: shows that everything runs
    #[arg(long)]
    pub quick: bool,
    /// First builds the peers that take long (Nisshi: twenty minutes of a core); without it they are
    /// left out where they were not built before
    #[arg(long)]
    pub build: bool,
    /// Only these systems, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub system: Vec<String>,
    /// Only these rows, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    pub row: Vec<String>,
}

impl Options {
    /// Levada and the floor only, each row of our own load generator in short: for `cargo xtask
    /// test`. Cold rows need a disk and a page cache that can be dropped, which a test's machine may
    /// not have; the other clients are the client matrix's.
    pub fn smoke() -> Self {
        let is_ours = |load: &Load| load.driver == Driver::Ours;
        let ours = |row: &&Row| !row.is_cold && row.load.as_ref().is_none_or(is_ours);
        Self {
            rounds: 1,
            quick: true,
            build: false,
            system: vec!["levada".to_owned(), "floor-direct".to_owned()],
            row: ROWS
                .iter()
                .filter(ours)
                .map(|row| row.key.to_owned())
                .collect(),
        }
    }

    /// As a person would type it.
    fn command(&self) -> String {
        let mut command = "cargo xtask bench".to_owned();
        match self.quick {
            true => command.push_str(" --quick"),
            false => command.push_str(&format!(" --rounds {}", self.rounds)),
        }
        if self.build {
            command.push_str(" --build");
        }
        for (name, values) in [("system", &self.system), ("row", &self.row)] {
            if !values.is_empty() {
                command.push_str(&format!(" --{name} {}", values.join(",")));
            }
        }
        command
    }
}

/// Runs every row on every system, round after round, and writes the page.
///
/// # Errors
/// When a name is unknown, or Levada or the floor cannot be measured. A peer that cannot stands on
/// the page with the reason, and is counted as skipped.
pub fn run(options: &Options) -> Result<Tally> {
    let systems = chosen(SYSTEMS, &options.system, |system| system.key)?;
    let rows = chosen(ROWS, &options.row, |row| row.key)?;
    let (cold, mut warm): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.is_cold);
    if !cold.is_empty() || !options.quick {
        build("levada-floor")?;
    }
    let rounds = if options.quick { 1 } else { options.rounds };
    let mut tally = Tally::default();
    let mut results = Results {
        command: options.command(),
        rounds,
        machine: describe_machine(),
        limits: BTreeMap::new(),
        systems: Vec::new(),
        missing: Vec::new(),
        samples: BTreeMap::new(),
    };
    without_missing_clients(&mut warm, &mut results, &mut tally)?;
    for system in systems {
        match system.install(options.build) {
            Ok(()) => results.systems.push(system),
            Err(error) => excuse(system, error, &mut results, &mut tally)?,
        }
    }
    let folder = process::repository().join("target/bench");
    for round in 1..=rounds {
        limits(&folder, &mut results)?;
        for system in results.systems.clone() {
            println!("round {round} of {rounds}: {}", system.name);
            let does = |row: &&&Row| row.load.is_none_or(|load| system.does(&load));
            let done: Vec<&Row> = warm.iter().filter(does).copied().collect();
            let turn = Turn {
                system,
                folder: &folder,
                quick: options.quick,
            };
            for part in &parts(system, &done) {
                match turn.run(part, &mut results) {
                    Ok(()) => tally.passed += part.len() as u64,
                    Err(error) => excuse(system, error, &mut results, &mut tally)?,
                }
            }
            if system.role == Role::Levada {
                for row in &cold {
                    turn.cold(row, &mut results)?;
                    tally.passed += 1;
                }
            }
        }
    }
    fs::remove_dir_all(&folder).ok();
    page::write(&results, &output(options.quick))?;
    Ok(tally)
}

/// A short run leaves the committed page alone.
fn output(quick: bool) -> PathBuf {
    let folder = if quick { "target/bench-quick" } else { "bench" };
    process::repository().join(folder)
}

/// The entries with these keys, or all when no key is named.
fn chosen<T>(
    all: &'static [T],
    keys: &[String],
    key: fn(&T) -> &'static str,
) -> Result<Vec<&'static T>> {
    for wanted in keys {
        if !all.iter().any(|entry| key(entry) == wanted) {
            let names: Vec<&str> = all.iter().map(key).collect();
            bail!("no `{wanted}`; there are: {}", names.join(", "));
        }
    }
    let is_wanted = |entry: &&T| keys.is_empty() || keys.iter().any(|wanted| key(entry) == wanted);
    Ok(all.iter().filter(is_wanted).collect())
}

/// A peer may be missing, with its reason on the page; what is ours may not.
fn excuse(
    system: &System,
    error: anyhow::Error,
    results: &mut Results,
    tally: &mut Tally,
) -> Result<()> {
    if system.role != Role::Peer {
        return Err(error.context(system.name));
    }
    println!("{} is left out: {error:#}", system.name);
    results
        .missing
        .push((system.name.to_owned(), format!("{error:#}")));
    tally.skipped += 1;
    Ok(())
}

/// What one server of a system does: all rows that are for it, or, where it is fresh for each, one.
fn parts(system: &System, rows: &[&'static Row]) -> Vec<Vec<&'static Row>> {
    let is_ours = |row: &Row| row.load.is_none_or(|load| load.driver == Driver::Ours);
    let rows = rows.iter().copied();
    let rows: Vec<_> = rows
        .filter(|row| is_ours(row) || system.speaks_kafka())
        .collect();
    let most = if system.is_fresh_for_each_row() {
        1
    } else {
        usize::MAX
    };
    rows.chunks(most).map(<[_]>::to_vec).collect()
}

/// Leaves out the rows whose client cannot be had, with the reason on the page.
fn without_missing_clients(
    rows: &mut Vec<&'static Row>,
    results: &mut Results,
    tally: &mut Tally,
) -> Result<()> {
    for (driver, name) in [
        (Driver::Librdkafka, "librdkafka"),
        (Driver::Java, "the Java tools"),
    ] {
        let is_its = |row: &Row| row.load.is_some_and(|load| load.driver == driver);
        if !rows.iter().any(|row| is_its(row)) {
            continue;
        }
        match clients::install(driver) {
            Ok(()) => {}
            Err(error) if toolchain::is_ci() => return Err(error.context(name)),
            Err(error) => {
                println!("{name} is left out: {error:#}");
                results
                    .missing
                    .push((name.to_owned(), format!("{error:#}")));
                tally.skipped += 1;
                rows.retain(|row| !is_its(row));
            }
        }
    }
    Ok(())
}

/// Memory that is touched before each row: what a row writes fits, as pages of files and its own.
const WARM_MIB: &str = "1536";

/// Pages that nobody has used for a while would cost whoever comes first, and only those systems
/// that keep what they write in memory.
///
/// # Errors
/// When that fails.
pub fn warm_memory() -> Result<()> {
    let mut warm = process::command(binary("levada-floor"));
    if !process::run(warm.args(["warm", "--mib", WARM_MIB]))? {
        bail!("memory cannot be warmed");
    }
    Ok(())
}

/// A system's turn in a round.
struct Turn<'a> {
    system: &'static System,
    folder: &'a Path,
    quick: bool,
}

impl Turn<'_> {
    /// Starts a server on an empty folder and runs these rows.
    fn run(&self, rows: &[&'static Row], results: &mut Results) -> Result<()> {
        fs::remove_dir_all(self.folder).ok();
        // What another system left in the page cache is not written while this one is measured.
        process::command("sync").status()?;
        let keep_mib = match self.system.is_fresh_for_each_row() {
            true => rows
                .iter()
                .filter_map(|row| Some(row.load?.keep_mib()))
                .max()
                .unwrap_or(0),
            false => 0,
        };
        let started = Instant::now();
        let server = self.system.start(self.folder, keep_mib)?;
        // The floor gives touched memory to the topic that comes first, which is the row's own.
        if keep_mib == 0 {
            drive(self.system, &server, "first", &FIRST)?;
            let first_ack_ms = started.elapsed().as_secs_f64() * 1e3;
            if let Some(row) = rows.iter().find(|row| row.load.is_none()) {
                self.rest(row, &server, first_ack_ms, results)?;
            }
            let warm_up = WARM_UP.shortened(self.quick, self.system.divisor);
            drive(self.system, &server, "warm-up", &warm_up)?;
        }
        for row in rows {
            self.row(row, &server, results)
                .with_context(|| format!("row {}", row.key))?;
        }
        Ok(())
    }

    /// An empty server. The floor has none of what a broker does when it starts.
    fn rest(
        &self,
        row: &Row,
        server: &Broker,
        first_ack_ms: f64,
        results: &mut Results,
    ) -> Result<()> {
        if self.system.role == Role::Floor {
            return Ok(());
        }
        let samples = results
            .samples
            .entry((row.key, self.system.key))
            .or_default();
        let mut keep = |key, value| samples.entry(key).or_default().push(value);
        keep("start_to_first_ack_ms", first_ack_ms);
        keep("idle_mib", idle_mib(server)?);
        Ok(())
    }

    fn row(&self, row: &Row, server: &Broker, results: &mut Results) -> Result<()> {
        let Some(load) = &row.load else {
            return Ok(());
        };
        let shortened = |load: &Load| load.shortened(self.quick, self.system.divisor);
        if let Some(before) = &row.before {
            drive(self.system, server, row.key, &shortened(before))?;
        }
        if !self.quick {
            warm_memory()?;
        }
        let samples = results
            .samples
            .entry((row.key, self.system.key))
            .or_default();
        measure::row(self.system, server, row.key, &shortened(load), samples)
    }

    /// A row on a server of its own, which is started again in the middle.
    fn cold(&self, row: &'static Row, results: &mut Results) -> Result<()> {
        let shortened = |load: &Load| load.shortened(self.quick, self.system.divisor);
        cold::run(self.system, row, shortened, self.folder, results)
            .with_context(|| format!("row {}", row.key))
    }
}

/// What this machine can do, measured beside the systems.
fn limits(folder: &Path, results: &mut Results) -> Result<()> {
    if !results
        .systems
        .iter()
        .any(|system| system.role == Role::Floor)
    {
        return Ok(());
    }
    let limits = measured_limits(folder)?;
    for (name, value) in limits {
        results.limits.entry(name).or_default().push(value);
    }
    Ok(())
}

/// What `levada-floor limits` says of the device under `folder`.
///
/// # Errors
/// When it fails.
pub fn measured_limits(folder: &Path) -> Result<BTreeMap<String, f64>> {
    let mut floor = process::command(binary("levada-floor"));
    let text = process::output(floor.args(["limits", "--data"]).arg(folder));
    let text = text.context("`levada-floor limits` failed")?;
    Ok(serde_json::from_str(&text)?)
}

/// Names and numbers of this machine now.
pub fn describe_machine() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let git = |arguments: &[&str]| process::output(process::command("git").args(arguments));
    // Behind the name, the 17th field.
    let niceness = process::stat(std::process::id()).unwrap_or_default();
    let niceness = niceness.get(16).copied().unwrap_or_default();
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    vec![
        ("cores", cores.to_string()),
        ("processor", field(&read("/proc/cpuinfo"), "model name")),
        ("memory", field(&read("/proc/meminfo"), "MemTotal")),
        (
            "kernel",
            read("/proc/sys/kernel/osrelease").trim().to_owned(),
        ),
        ("load average before the run", load.join(" ")),
        ("niceness of servers and generators", niceness.to_string()),
        (
            "commit",
            git(&["describe", "--always", "--dirty"]).unwrap_or_default(),
        ),
    ]
}
