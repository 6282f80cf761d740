//! `cargo xtask test`: every stage in order, and a table of what each took.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::report::Tally;
use crate::stages::{self, Stage};

#[derive(clap::Args)]
pub struct Options {
    /// Run only these stages, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "STAGE")]
    pub only: Vec<String>,
    /// In the stages that run clients, run only this one
    #[arg(long, value_name = "NAME")]
    pub client: Option<String>,
}

struct Row {
    name: &'static str,
    elapsed: Duration,
    tally: Tally,
    error: Option<String>,
}

/// Runs the stages; one that fails does not keep the later ones from running.
///
/// # Errors
/// When a stage is asked for that does not exist.
pub fn run(options: &Options) -> Result<Tally> {
    let started = Instant::now();
    let mut rows = Vec::new();
    for stage in chosen(options)? {
        println!("\n=== {}: {}", stage.name, stage.about);
        let began = Instant::now();
        let (tally, error) = match (stage.run)(options) {
            Ok(tally) => (tally, None),
            Err(error) => (Tally::of(false), Some(format!("{error:#}"))),
        };
        if let Some(error) = &error {
            println!("{}: {error}", stage.name);
        }
        rows.push(Row {
            name: stage.name,
            elapsed: began.elapsed(),
            tally,
            error,
        });
    }
    Ok(print_table(&rows, started.elapsed()))
}

fn chosen(options: &Options) -> Result<Vec<&'static Stage>> {
    let names: Vec<&str> = stages::ALL.iter().map(|stage| stage.name).collect();
    for only in &options.only {
        if !names.contains(&only.as_str()) {
            bail!("no stage `{only}`; there are: {}", names.join(", "));
        }
    }
    let wanted = |stage: &&Stage| {
        options.only.is_empty() || options.only.iter().any(|only| only == stage.name)
    };
    Ok(stages::ALL.iter().filter(wanted).collect())
}

fn print_table(rows: &[Row], elapsed: Duration) -> Tally {
    let mut total = Tally::default();
    println!(
        "\n{:<14} {:>8} {:>8} {:>8} {:>8}",
        "stage", "seconds", "passed", "failed", "skipped"
    );
    for row in rows {
        let Tally {
            passed,
            failed,
            skipped,
        } = row.tally;
        let seconds = row.elapsed.as_secs_f64();
        println!(
            "{:<14} {seconds:>8.1} {passed:>8} {failed:>8} {skipped:>8}",
            row.name
        );
        total += row.tally;
    }
    println!("{:<14} {:>8.1}", "all", elapsed.as_secs_f64());
    for row in rows.iter().filter(|row| row.tally.failed > 0) {
        println!(
            "FAILED {}{}",
            row.name,
            row.error
                .as_ref()
                .map_or(String::new(), |e| format!(": {e}"))
        );
    }
    total
}
