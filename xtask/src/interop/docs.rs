//! `docs/compatibility.md`: written from a run, and compared with one.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::clients::CHECKS;
use super::{Outcome, work_folder};
use crate::process;
use crate::report::Tally;

fn path() -> PathBuf {
    process::repository().join("docs/compatibility.md")
}

/// Writes the page.
///
/// # Errors
/// When the file cannot be written.
pub fn write(outcomes: &[Outcome]) -> Result<()> {
    let path = path();
    fs::create_dir_all(path.parent().context("no folder")?)?;
    fs::write(&path, render(outcomes))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Holds the committed page to the last run: every row of a client that ran must be in it as it is.
/// Versions may differ, since Debian's kcat moves with Debian.
///
/// # Errors
/// When there was no run, or no page.
pub fn check() -> Result<Tally> {
    let result = fs::read_to_string(work_folder().join("result.json"))
        .context("no result: run `cargo xtask interop` first")?;
    let outcomes: Vec<Outcome> = serde_json::from_str(&result)?;
    let page = fs::read_to_string(path()).context("docs/compatibility.md")?;
    let mut tally = Tally::default();
    for outcome in outcomes.iter().filter(|outcome| outcome.skipped.is_none()) {
        let holds = page.lines().any(|line| line == row(outcome));
        if !holds {
            println!(
                "docs/compatibility.md does not say what {} did: `cargo xtask interop` writes it",
                outcome.client
            );
        }
        tally += Tally::of(holds);
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
