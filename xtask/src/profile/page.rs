//! `PROFILE.md` and `profile.json`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::Profile;
use super::causes::CAUSES;
use crate::bench::describe_machine;
use crate::bench::figures::show;
use crate::bench::rows::{CPU_PER_GB, Row};

/// Writes both files into `folder`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(profiles: &[Profile], folder: &Path) -> Result<()> {
    let entries: Vec<_> = profiles
        .iter()
        .map(|profile| {
            let causes: serde_json::Map<_, _> = CAUSES
                .iter()
                .zip(&profile.shares)
                .map(|(cause, share)| (cause.title.to_owned(), json!(share)))
                .collect();
            json!({
                "row": profile.row.key, "system": profile.system.key, "cpu_s": profile.cpu_s,
                "records": profile.records, "samples": profile.samples, "shares": causes,
            })
        })
        .collect();
    let text = serde_json::to_string_pretty(&entries)? + "\n";
    fs::write(folder.join("profile.json"), text)?;
    fs::write(folder.join("PROFILE.md"), render(profiles)?)?;
    Ok(())
}

fn render(profiles: &[Profile]) -> Result<String> {
    let mut page = "# Where the server's time goes\n\nMade by `cargo xtask profile`; do not edit. `perf record` looks \
                    at the server while the loads of [RESULTS.md](RESULTS.md), three times as long, run beside it; \
                    the floor does only what no broker can leave out. Being looked at costs time of its own, so read \
                    the parts, not the sums. GB are 10^9 bytes of values.\n\n"
        .to_owned();
    let mut rows: Vec<&Row> = Vec::new();
    for profile in profiles {
        if !rows.iter().any(|row| row.key == profile.row.key) {
            rows.push(profile.row);
        }
    }
    for row in rows {
        let of_row = profiles.iter().filter(|of| of.row.key == row.key);
        section(&mut page, row, &of_row.collect::<Vec<_>>())?;
    }
    page.push_str("## What the causes are\n\n| cause | what it is |\n|---|---|\n");
    for cause in CAUSES {
        writeln!(page, "| {} | {} |", cause.title, cause.about)?;
    }
    page.push_str("\n## The machine\n\n");
    for (name, value) in describe_machine() {
        writeln!(page, "- {name}: {value}")?;
    }
    Ok(page)
}

/// CPU of a profile in the row's unit: seconds a GB, or microseconds a record where records are few and small.
fn cost(profile: &Profile) -> f64 {
    let size = profile.row.load.map_or(0.0, |load| f64::from(load.size));
    match is_by_bytes(profile.row) {
        true => profile.cpu_s / (profile.records * size / 1e9),
        false => profile.cpu_s * 1e6 / profile.records,
    }
}

fn is_by_bytes(row: &Row) -> bool {
    row.shown.iter().any(|metric| metric.key == CPU_PER_GB.key)
}

fn section(page: &mut String, row: &Row, profiles: &[&Profile]) -> Result<()> {
    let unit = match is_by_bytes(row) {
        true => "CPU seconds a GB",
        false => "CPU microseconds a record",
    };
    writeln!(page, "## {}\n\n{unit}.\n", row.title)?;
    let names: Vec<_> = profiles.iter().map(|of| of.system.name).collect();
    writeln!(page, "| cause | {} |", names.join(" | "))?;
    writeln!(page, "|---{}|", "|--:".repeat(profiles.len()))?;
    let costs: Vec<f64> = profiles.iter().map(|profile| cost(profile)).collect();
    for (at, cause) in CAUSES.iter().enumerate() {
        let parts: Vec<f64> = profiles
            .iter()
            .zip(&costs)
            .map(|(profile, cost)| profile.shares.get(at).copied().unwrap_or(0.0) * cost)
            .collect();
        if parts.iter().any(|part| *part > 0.0) {
            let parts: Vec<_> = parts.iter().map(|part| show(Some(*part))).collect();
            writeln!(page, "| {} | {} |", cause.title, parts.join(" | "))?;
        }
    }
    let sums: Vec<_> = costs.iter().map(|sum| show(Some(*sum))).collect();
    writeln!(page, "| **sum** | {} |", sums.join(" | "))?;
    let samples: Vec<_> = profiles.iter().map(|of| of.samples.to_string()).collect();
    writeln!(page, "| samples | {} |\n", samples.join(" | "))?;
    if let Some(words) = distance(profiles, &costs) {
        writeln!(page, "{words}\n")?;
    }
    Ok(())
}

/// Parts of the distance that are told.
const TOLD: usize = 4;

/// Between Levada and the cheapest floor: the causes that make up most of the distance.
fn distance(profiles: &[&Profile], costs: &[f64]) -> Option<String> {
    let at = profiles.iter().position(|of| of.system.key == "levada")?;
    let floors = (0..profiles.len()).filter(|other| *other != at);
    let floor = floors.min_by(|a, b| costs[*a].total_cmp(&costs[*b]))?;
    let part = |of: usize, cause: usize| profiles[of].shares[cause] * costs[of];
    let mut parts: Vec<(f64, &str)> = (0..CAUSES.len())
        .map(|cause| (part(at, cause) - part(floor, cause), CAUSES[cause].title))
        .collect();
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let told: Vec<String> = parts
        .iter()
        .take(TOLD)
        .map(|(part, title)| format!("{title} {}", show(Some(*part))))
        .collect();
    Some(format!(
        "Levada spends {} more than {}: {}, the rest {}.",
        show(Some(costs[at] - costs[floor])),
        profiles[floor].system.name,
        told.join(", "),
        show(Some(parts.iter().skip(TOLD).map(|(part, _)| part).sum()))
    ))
}
