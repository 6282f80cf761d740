//! `cargo xtask bench`: one load generator (`levada bench`) against Levada and Apache Kafka in
//! turns, on this machine, in one run. Writes `bench/results.json` and `bench/RESULTS.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::broker::{Broker, Kind, levada_binary};
use crate::process;
use crate::proofs::build_levada;
use crate::report::Tally;

#[derive(clap::Args)]
pub struct Options {
    /// How often each load is repeated; medians are told
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Leave Apache Kafka out
    #[arg(long)]
    pub alone: bool,
}

/// Who is measured, and how its acknowledgements are to be read.
#[derive(Clone, Copy)]
enum System {
    Levada,
    Kafka,
    KafkaSynced,
}

impl System {
    const ALL: [System; 3] = [System::Levada, System::Kafka, System::KafkaSynced];

    fn name(self) -> &'static str {
        match self {
            System::Levada => "Levada, synced before the ack",
            System::Kafka => "Apache Kafka 4.1.1, default (not synced)",
            System::KafkaSynced => "Apache Kafka 4.1.1, flush.messages=1",
        }
    }

    fn start(self, folder: &Path) -> Result<Broker> {
        match self {
            System::Levada => Broker::start(Kind::Levada, folder),
            System::Kafka => Broker::start_kafka_for_load(folder, ""),
            System::KafkaSynced => {
                Broker::start_kafka_for_load(folder, "log.flush.interval.messages=1\n")
            }
        }
    }
}

/// One load: a row of the page.
struct Load {
    name: &'static str,
    topic: &'static str,
    arguments: &'static [&'static str],
}

const LOADS: [Load; 6] = [
    Load {
        name: "produce, 1 KiB records in 64 KiB batches",
        topic: "k1",
        arguments: &["produce", "--size", "1024", "--count", "400000"],
    },
    Load {
        name: "consume, 1 KiB records",
        topic: "k1",
        arguments: &["consume", "--count", "400000"],
    },
    Load {
        name: "produce, 100 B records in 64 KiB batches",
        topic: "b100",
        arguments: &["produce", "--size", "100", "--count", "4000000"],
    },
    Load {
        name: "consume, 100 B records",
        topic: "b100",
        arguments: &["consume", "--count", "4000000"],
    },
    Load {
        name: "produce, one 100 B record a request, 64 in flight",
        topic: "one",
        arguments: &[
            "produce",
            "--size",
            "100",
            "--count",
            "50000",
            "--batch",
            "1",
            "--in-flight",
            "64",
        ],
    },
    Load {
        name: "end to end at 1,000 records/s, 100 B",
        topic: "latency",
        arguments: &[
            "latency", "--size", "100", "--rate", "1000", "--count", "4000",
        ],
    },
];

/// Values of one row and system, one of each round.
type Samples = BTreeMap<&'static str, Vec<f64>>;

/// Runs every load on every system, round after round, and writes the page.
///
/// # Errors
/// When a broker does not start or an answer was wrong.
pub fn run(options: &Options) -> Result<Tally> {
    build_levada()?;
    let systems = match options.alone {
        true => &System::ALL[..1],
        false => &System::ALL[..],
    };
    let folder = process::repository().join("target/bench");
    let mut rows: BTreeMap<(usize, usize), Samples> = BTreeMap::new();
    for round in 1..=options.rounds {
        for (at, system) in systems.iter().enumerate() {
            println!("round {round} of {}: {}", options.rounds, system.name());
            fs::remove_dir_all(&folder).ok();
            let started = Instant::now();
            let broker = system.start(&folder)?;
            let first = ["produce", "--size", "100", "--count", "1", "--batch", "1"];
            load(&broker, "first", &first)?;
            let rest = rows.entry((LOADS.len(), at)).or_default();
            let mut keep = |key, value| rest.entry(key).or_default().push(value);
            keep(
                "start_to_first_ack_ms",
                started.elapsed().as_secs_f64() * 1e3,
            );
            keep("idle_mib", memory_mib(broker.pid())?);
            for (row, load) in LOADS.iter().enumerate() {
                let samples = rows.entry((row, at)).or_default();
                measure(&broker, load, samples)?;
            }
        }
    }
    fs::remove_dir_all(&folder).ok();
    write(&rows, systems, options.rounds)?;
    Ok(Tally::of(true))
}

fn measure(broker: &Broker, row: &Load, samples: &mut Samples) -> Result<()> {
    let before = cpu_seconds(broker.pid())?;
    let result = load(broker, row.topic, row.arguments)?;
    let cpu = cpu_seconds(broker.pid())? - before;
    let number = |key: &str| result.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    for key in ["records_per_s", "mb_per_s", "p50_us", "p99_us"] {
        samples.entry(key).or_default().push(number(key));
    }
    let gigabytes = number("wire_bytes") / 1e9;
    let per_gigabyte = match gigabytes > 0.05 {
        true => cpu / gigabytes,
        false => f64::NAN,
    };
    samples
        .entry("cpu_s_per_gb")
        .or_default()
        .push(per_gigabyte);
    Ok(())
}

/// One run of the load generator; an error or an unverified answer fails it.
fn load(broker: &Broker, topic: &str, arguments: &[&str]) -> Result<Value> {
    let mut command = process::command(levada_binary());
    command.arg("bench").args(arguments);
    command.args(["--topic", topic, "--broker", &broker.address, "-o", "json"]);
    let output = command
        .output()
        .context("the load generator does not start")?;
    let result: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let clean = result.get("errors").and_then(Value::as_u64) == Some(0)
        && result.get("verified").and_then(Value::as_bool) == Some(true);
    if !output.status.success() || !clean {
        bail!(
            "`levada bench {}` found errors: {result}",
            arguments.join(" ")
        );
    }
    Ok(result)
}

/// User and system time of a process, in seconds (a tick is 10 ms on Linux).
fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(')').context("unlike /proc/PID/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    Ok(ticks
        .filter_map(|tick| tick.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0)
}

fn memory_mib(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("no VmRSS in /proc/PID/status")? / 1024.0)
}

fn median(samples: &Samples, key: &str) -> f64 {
    let mut values: Vec<f64> = samples.get(key).into_iter().flatten().copied().collect();
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn show(value: f64) -> String {
    match value {
        value if !value.is_finite() => "–".to_owned(),
        value if value >= 1000.0 => {
            let digits = format!("{value:.0}");
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .filter_map(|group| std::str::from_utf8(group).ok())
                .collect();
            groups.join(",")
        }
        value if value >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}

fn write(rows: &BTreeMap<(usize, usize), Samples>, systems: &[System], rounds: u32) -> Result<()> {
    let empty = Samples::new();
    let of = |row, at| rows.get(&(row, at)).unwrap_or(&empty);
    let mut page = format!(
        "# Figures\n\nMade by `cargo xtask bench --rounds {rounds}`; do not edit. One load generator \
         (`levada bench`), every answer, offset and CRC checked; the systems in turns on one machine \
         ({} cores, client and broker share them), medians of {rounds} rounds. MB are 10^6 bytes.\n",
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    for (row, load) in LOADS.iter().enumerate() {
        let title = load.name;
        write!(
            page,
            "\n## {title}\n\n`levada bench {}`\n\n",
            load.arguments.join(" ")
        )?;
        page.push_str("| system | records/s | MB/s | p50 µs | p99 µs | broker CPU s per GB |\n");
        page.push_str("|---|--:|--:|--:|--:|--:|\n");
        for (at, system) in systems.iter().enumerate() {
            let cell = |key| show(median(of(row, at), key));
            let (rate, megabytes) = (cell("records_per_s"), cell("mb_per_s"));
            let (p50, p99, cpu) = (cell("p50_us"), cell("p99_us"), cell("cpu_s_per_gb"));
            let name = system.name();
            writeln!(
                page,
                "| {name} | {rate} | {megabytes} | {p50} | {p99} | {cpu} |"
            )?;
        }
    }
    page.push_str(
        "\n## At rest\n\n| system | start to first ack, ms | memory then, MiB |\n|---|--:|--:|\n",
    );
    for (at, system) in systems.iter().enumerate() {
        let rest = of(LOADS.len(), at);
        let (start, memory) = (
            median(rest, "start_to_first_ack_ms"),
            median(rest, "idle_mib"),
        );
        writeln!(
            page,
            "| {} | {} | {} |",
            system.name(),
            show(start),
            show(memory)
        )?;
    }
    let folder = process::repository().join("bench");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("RESULTS.md"), page)?;
    let all: Vec<Value> = rows
        .iter()
        .map(|((row, at), samples)| {
            let load = LOADS.get(*row).map_or("at rest", |load| load.name);
            let system = systems.get(*at).map_or("", |system| system.name());
            json!({ "load": load, "system": system, "samples": samples })
        })
        .collect();
    fs::write(
        folder.join("results.json"),
        serde_json::to_string_pretty(&all)? + "\n",
    )?;
    println!("wrote {}", folder.join("RESULTS.md").display());
    Ok(())
}
