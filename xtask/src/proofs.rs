//! `cargo xtask diff` and `oracle`: Levada held against Apache Kafka itself.

use std::fs;

use anyhow::Result;

use crate::broker::{Broker, Kind};
use crate::process;
use crate::report::Tally;

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

/// Apache Kafka's message classes against our codec, both ways.
///
/// # Errors
/// When the script cannot be started.
pub fn oracle() -> Result<Tally> {
    counted(&mut process::command(
        process::repository().join("interop/oracle/run.sh"),
    ))
}

/// Runs a program whose last line is `N passed, N failed`, and takes its counts.
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
    let failed = rest.split_once(" failed")?.0;
    Some(Tally {
        passed: passed.parse().ok()?,
        failed: failed.parse().ok()?,
        skipped: 0,
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
        assert_eq!(closing_line("all passed, none failed"), None);
    }
}
