//! `docs/compatibility.md`: written from a run, and compared with one.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::clients::{Api, CHECKS};
use super::{Outcome, sqs, work_folder};
use crate::process;
use crate::report::Tally;

fn path() -> PathBuf {
    process::repository().join("docs/compatibility.md")
}

/// The line with which the part of the page about SQS begins.
const QUEUES: &str = "# Clients that work with its queues";

/// How a table shows a client.
type Row = fn(&Outcome) -> String;

/// Writes the part of the page about Kafka clients.
///
/// # Errors
/// When the file cannot be written.
pub fn write(outcomes: &[Outcome]) -> Result<()> {
    let (_, queues) = parts();
    write_page(&render(outcomes), &queues)
}

/// Writes the part about clients of SQS.
///
/// # Errors
/// When the file cannot be written.
pub fn write_queues(outcomes: &[Outcome]) -> Result<()> {
    let (kafka, _) = parts();
    write_page(&kafka, &render_queues(outcomes))
}

/// The page's two parts as they are; empty where one has never been written.
fn parts() -> (String, String) {
    let page = fs::read_to_string(path()).unwrap_or_default();
    let at = page.find(QUEUES).unwrap_or(page.len());
    let (kafka, queues) = page.split_at(at);
    (format!("{}\n", kafka.trim_end()), queues.to_owned())
}

fn write_page(kafka: &str, queues: &str) -> Result<()> {
    let path = path();
    fs::create_dir_all(path.parent().context("no folder")?)?;
    fs::write(
        &path,
        format!("{}\n\n{queues}", kafka.trim_end())
            .trim_end()
            .to_owned()
            + "\n",
    )?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Holds the committed page to the last runs: every row of a client that ran must be in it as it is.
/// Versions of Kafka clients may differ, since Debian's kcat moves with Debian.
///
/// # Errors
/// When there was no run, or no page.
pub fn check() -> Result<Tally> {
    let page = fs::read_to_string(path()).context("docs/compatibility.md")?;
    let mut tally = Tally::default();
    let tables: [(Api, &str, Row); 2] = [
        (Api::Kafka, "interop", row),
        (Api::Sqs, "queues", queue_row),
    ];
    for (api, chore, row) in tables {
        let result = fs::read_to_string(work_folder(api).join("result.json"))
            .with_context(|| format!("no result: run `cargo xtask {chore}` first"))?;
        let outcomes: Vec<Outcome> = serde_json::from_str(&result)?;
        for outcome in outcomes.iter().filter(|outcome| outcome.skipped.is_none()) {
            let holds = page.lines().any(|line| line == row(outcome));
            if !holds {
                println!(
                    "docs/compatibility.md does not say what {} did: `cargo xtask {chore}` writes it",
                    outcome.client
                );
            }
            tally += Tally::of(holds);
        }
    }
    Ok(tally)
}

fn row(outcome: &Outcome) -> String {
    let cells = CHECKS.iter().map(|check| {
        let result = outcome
            .checks
            .get(*check)
            .map_or("FAIL", |verdict| verdict.result.as_str());
        match result {
            "ok" => "✓",
            "n/a" => "–",
            _ => "✗",
        }
    });
    format!(
        "| {} | {} |",
        outcome.client,
        cells.collect::<Vec<_>>().join(" | ")
    )
}

fn render(outcomes: &[Outcome]) -> String {
    let mut page = String::from(
        "# Clients that work with Levada\n\n\
         Written by `cargo xtask interop` from a run; do not edit. Every client ran unmodified against\n\
         a release build, each with a broker of its own; CI runs them again and holds this page to the\n\
         result. The programs are in `interop/clients`.\n\n\
         ✓ works, – the client has no such feature (see below), ✗ fails\n\n",
    );
    page += &format!("| client | {} |\n", CHECKS.join(" | "));
    page += &format!("|---|{}\n", "---|".repeat(CHECKS.len()));
    for outcome in outcomes {
        page += &row(outcome);
        page.push('\n');
    }
    page += "\n## Versions\n\n| client | version |\n|---|---|\n";
    for outcome in outcomes {
        page += &format!("| {} | {} |\n", outcome.client, outcome.version);
    }
    page += "\n## What a client does not have, or its program does not check\n\n";
    for outcome in outcomes {
        let lacking = CHECKS.iter().filter_map(|check| {
            let verdict = outcome.checks.get(*check)?;
            (verdict.result != "ok").then(|| format!("{check}: {}", verdict.detail))
        });
        let lacking: Vec<String> = lacking.collect();
        if !lacking.is_empty() {
            page += &format!("- **{}**: {}\n", outcome.client, lacking.join("; "));
        }
    }
    page
}

/// `| client | version | 2 of 3 | what holds; fails: what does not |`
fn queue_row(outcome: &Outcome) -> String {
    let client = sqs::ALL.iter().find(|client| client.name == outcome.client);
    let checks = client.map_or(&[][..], |client| client.checks);
    let holds = |check: &&&str| {
        outcome
            .checks
            .get(**check)
            .is_some_and(|v| v.result == "ok")
    };
    let (good, bad): (Vec<&str>, Vec<&str>) = checks.iter().partition(|check| holds(check));
    let mut text = good.join(", ");
    if !bad.is_empty() {
        text += &format!("; fails: {}", bad.join(", "));
    }
    format!(
        "| {} | {} | {} of {} | {text} |",
        outcome.client,
        outcome.version,
        good.len(),
        checks.len()
    )
}

fn render_queues(outcomes: &[Outcome]) -> String {
    let mut page = format!(
        "{QUEUES}\n\n\
         Written by `cargo xtask queues` from a run, in the same way. The programs are in `interop/sqs`;\n\
         each uses its SDK's own ways, and expects the SDK's own classes of errors. `boto3-query` speaks the\n\
         older query protocol, the others AWS JSON 1.0. `aws-cli` runs the commands of our pages.\n\n\
         | client | version | checks that hold | which |\n|---|---|---|---|\n"
    );
    for outcome in outcomes {
        page += &queue_row(outcome);
        page.push('\n');
    }
    page
}
