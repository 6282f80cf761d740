//! `cargo xtask diff`, `oracle`, `kill`, `power` and `network`: what is proved about a running Levada.

use std::fs;

use anyhow::Result;

use crate::broker::{Broker, Kind, levada_binary};
use crate::process;
use crate::report::Tally;
use crate::toolchain;

#[derive(clap::Args)]
pub struct DiffOptions {
    /// Hold this broker against Apache Kafka; `kafka` shows whether the script is repeatable
    #[arg(long, value_enum, default_value = "levada")]
    pub against: Kind,
    /// Print every step of Apache Kafka
    #[arg(long)]
    pub verbose: bool,
}

/// One script of a few hundred requests against both brokers, their answers compared.
///
/// # Errors
/// When a broker does not start.
pub fn diff(options: &DiffOptions) -> Result<Tally> {
    let folder = process::repository().join("target/diff");
    fs::remove_dir_all(&folder).ok();
    if options.against == Kind::Levada {
        build_levada()?;
    }
    let kafka = Broker::start(Kind::Kafka, &folder.join("kafka"))?;
    let levada = Broker::start(options.against, &folder.join("levada"))?;
    let mut cargo = process::cargo();
    cargo.args([
        "run",
        "--quiet",
        "--package",
        "levada-proof",
        "--bin",
        "levada-diff",
        "--",
    ]);
    cargo.args([
        "--kafka",
        &kafka.address,
        "--levada",
        &levada.address,
        "--list",
    ]);
    cargo.arg(match options.against {
        Kind::Levada => process::repository().join("interop/diff/differences.toml"),
        Kind::Kafka => "/dev/null".into(),
    });
    if options.verbose {
        cargo.arg("--verbose");
    }
    counted(&mut cargo)
}

#[derive(clap::Args)]
pub struct KillOptions {
    /// How often it is killed
    #[arg(long, default_value_t = 200)]
    pub rounds: u32,
    /// Decides when; the same seed kills after the same times
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Take the sync out (`storage.durability = "os"`): the run must then find a loss
    #[arg(long)]
    pub without_sync: bool,
}

/// `kill -9` under load with several clients, and every promise checked after each restart.
///
/// # Errors
/// When a client or the broker cannot be had.
pub fn kill(options: &KillOptions, power: bool) -> Result<Tally> {
    let folder = if power { "target/power" } else { "target/kill" };
    let mut cargo = proof("levada-kill", folder)?;
    cargo.args([
        "--rounds",
        &options.rounds.to_string(),
        "--seed",
        &options.seed.to_string(),
    ]);
    for client in kill_clients()? {
        cargo.args(["--client", &client]);
    }
    if power {
        cargo.arg("--power");
    }
    if options.without_sync {
        cargo
            .arg("--expect-loss")
            .env("LEVADA_STORAGE_DURABILITY", "os");
    }
    cargo.arg("--").arg(levada_binary());
    cargo.args([
        "serve",
        "--kafka",
        "{address}",
        "--data",
        "{data}",
        "--http",
        "off",
        "--sqs",
        "off",
    ]);
    cargo.args(SMALL);
    counted(&mut cargo)
}

#[derive(clap::Args)]
pub struct SoakOptions {
    /// How long; in the second half the process is not killed
    #[arg(long, default_value_t = 60.0)]
    pub minutes: f64,
    /// Decides which faults, when
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// A mixed load for long, with a fault every few seconds.
///
/// # Errors
/// When a client or the broker cannot be had.
pub fn soak(options: &SoakOptions) -> Result<Tally> {
    let mut cargo = proof("levada-soak", "target/soak")?;
    cargo.args(["--minutes", &options.minutes.to_string()]);
    cargo.args(["--seed", &options.seed.to_string()]);
    for client in kill_clients()? {
        cargo.args(["--client", &client]);
    }
    counted(cargo.arg(levada_binary()))
}

#[derive(clap::Args)]
pub struct FaultsOptions {
    /// Of each kind; the quick ones do more
    #[arg(long, default_value_t = 10)]
    pub rounds: u32,
    /// Decides what happens when and where
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this kind; may be given again. An unknown one lists them all
    #[arg(long = "kind")]
    pub kinds: Vec<String>,
}

/// One kind of fault at a time against the real process.
///
/// # Errors
/// When a client or the broker cannot be had.
pub fn faults(options: &FaultsOptions) -> Result<Tally> {
    let mut cargo = proof("levada-faults", "target/faults")?;
    cargo.args(["--rounds", &options.rounds.to_string()]);
    cargo.args(["--seed", &options.seed.to_string()]);
    for kind in &options.kinds {
        cargo.args(["--kind", kind]);
    }
    for client in kill_clients()? {
        cargo.args(["--client", &client]);
    }
    counted(cargo.arg(levada_binary()))
}

/// A program of `interop/proof`, to be given its empty folder; the broker is built too.
fn proof(program: &str, folder: &str) -> Result<std::process::Command> {
    let folder = process::repository().join(folder);
    fs::remove_dir_all(&folder).ok();
    build_levada()?;
    let mut cargo = process::cargo();
    // Optimised: what it reads back is millions of records.
    cargo.args(["run", "--release", "--quiet", "--package", "levada-proof"]);
    cargo.args(["--bin", program, "--", "--folder"]).arg(folder);
    Ok(cargo)
}

/// Log files change and snapshots are taken every few rounds, not once in a long run.
const SMALL: [&str; 4] = [
    "--storage-file-bytes-max",
    "8MiB",
    "--storage-snapshot-bytes",
    "16MiB",
];

/// The release binary, up to date; one that `LEVADA_BIN` names is taken as it is.
pub fn build_levada() -> Result<()> {
    if std::env::var_os("LEVADA_BIN").is_some() {
        return Ok(());
    }
    let mut cargo = process::cargo();
    cargo.args(["build", "--release", "--quiet", "--package", "levada-cli"]);
    anyhow::ensure!(process::run(&mut cargo)?, "the release build failed");
    Ok(())
}

/// The load of real clients beside the raw one; what cannot be had here is left out loudly.
fn kill_clients() -> Result<Vec<String>> {
    let program = |name: &str| process::repository().join("interop/kill").join(name);
    let mut clients = Vec::new();
    let python = toolchain::python().map(|python| {
        [
            ("producer_confluent.py", " 0"),
            ("producer_kafka_python.py", " 1"),
            ("consumer_confluent.py", ""),
            ("consumer_confluent.py", ""),
        ]
        .map(|(name, partition)| {
            format!(
                "{} {}{partition}",
                python.display(),
                program(name).display()
            )
        })
    });
    let java = toolchain::kafka_jars().map(|jars| {
        let options = "-Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC";
        [("Producer.java", " 2"), ("Consumer.java", "")].map(|(name, partition)| {
            format!(
                "java {options} -cp {jars} {}{partition}",
                program(name).display()
            )
        })
    });
    for found in [python.map(Vec::from), java.map(Vec::from)] {
        match found {
            Ok(found) => clients.extend(found),
            Err(error) if toolchain::is_ci() => return Err(error),
            Err(error) => println!("!! LEFT OUT of the load: {error:#}"),
        }
    }
    Ok(clients)
}

/// What `interop/network/run.py` calls, and the Debian package of each.
const NETWORK_TOOLS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("haproxy", "haproxy"),
    ("kcat", "kcat"),
    ("python3", "python3"),
];

/// Metadata's one address through destination NAT and haproxy, in network namespaces of its own.
///
/// # Errors
/// When the release build fails; in CI also when a tool cannot be had.
pub fn network() -> Result<Tally> {
    build_levada()?;
    if let Err(error) = network_tools() {
        if toolchain::is_ci() {
            return Err(error);
        }
        let line = "!".repeat(72);
        println!("{line}\n!! SKIPPED the network checks: {error:#}\n{line}");
        return Ok(Tally {
            skipped: 1,
            ..Tally::default()
        });
    }
    let mut python = process::command("python3");
    python.arg(process::repository().join("interop/network/run.py"));
    python.arg(levada_binary());
    counted(python.arg(process::repository().join("target/network")))
}

fn network_tools() -> Result<()> {
    let user = process::output(process::command("id").arg("-u"));
    anyhow::ensure!(
        user.as_deref() == Some("0"),
        "network namespaces need root: run it with sudo"
    );
    for (program, package) in NETWORK_TOOLS {
        toolchain::debian(program, package)?;
    }
    Ok(())
}

/// Apache Kafka's message classes against our codec, both ways.
///
/// # Errors
/// When the script cannot be started.
pub fn oracle() -> Result<Tally> {
    counted(&mut process::command(
        process::repository().join("interop/oracle/run.sh"),
    ))
}

/// Runs a program whose last line is `N passed, N failed[, N skipped]`, and takes its counts.
pub fn counted(command: &mut std::process::Command) -> Result<Tally> {
    let mut tally = Tally::default();
    let ok = process::run_lines(command, |line| {
        if let Some(found) = closing_line(line) {
            tally = found;
        }
    })?;
    if !ok && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

fn closing_line(line: &str) -> Option<Tally> {
    let (passed, rest) = line.split_once(" passed, ")?;
    let (failed, rest) = rest.split_once(" failed")?;
    let skipped = rest
        .strip_prefix(", ")
        .and_then(|rest| rest.strip_suffix(" skipped"))
        .map_or(Some(0), |count| count.parse().ok())?;
    Some(Tally {
        passed: passed.parse().ok()?,
        failed: failed.parse().ok()?,
        skipped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_is_read() {
        let found = closing_line("12 passed, 3 failed");
        assert_eq!(
            found,
            Some(Tally {
                passed: 12,
                failed: 3,
                skipped: 0
            })
        );
        let skipped = closing_line("0 passed, 0 failed, 1 skipped").map(|tally| tally.skipped);
        assert_eq!(skipped, Some(1));
        assert_eq!(closing_line("all passed, none failed"), None);
    }
}
