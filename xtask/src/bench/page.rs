//! The page and the JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::clients;
use super::figures::{Results, median, show};
use super::plot;
use super::rows::{Metric, OPEN_ROWS, ROWS, Row};
use super::systems::{Role, System, UNAVAILABLE};

/// Writes RESULTS.md, results.json and a plot of each row into `folder`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(results: &Results, folder: &Path) -> Result<()> {
    let plots = folder.join("plots");
    fs::create_dir_all(&plots)?;
    let mut page = String::new();
    head(&mut page, results)?;
    summary(&mut page, results)?;
    for row in ROWS.iter().filter(|row| is_measured(results, row)) {
        let name = format!("{}.svg", row.key);
        fs::write(plots.join(&name), plot::draw(results, row))?;
        section(&mut page, results, row, &name)?;
    }
    machine(&mut page, results)?;
    systems(&mut page, results)?;
    missing(&mut page, results)?;
    fs::write(folder.join("RESULTS.md"), page)?;
    let json = serde_json::to_string_pretty(&results.json())? + "\n";
    fs::write(folder.join("results.json"), json)?;
    println!("wrote {}", folder.join("RESULTS.md").display());
    Ok(())
}

fn is_measured(results: &Results, row: &Row) -> bool {
    results.samples.keys().any(|(key, _)| *key == row.key)
}

/// More of a core than a system's own background work.
const BUSY_PERCENT_MIN: f64 = 20.0;
const BUSY: &str = ": so much that it changed from turn to turn, and the figures with it. They show \
                    that everything runs and is right; run it on a quiet machine for the rest";

fn head(page: &mut String, results: &Results) -> Result<()> {
    let Results {
        command, rounds, ..
    } = results;
    write!(
        page,
        "# Figures\n\nMade by `{command}`; do not edit. Client and server share one machine; the \
         systems run in turns, each turn on a fresh folder; medians over the rounds ({rounds}). Every answer is \
         checked: each acknowledgement's place, and what is read against what was written. MB and GB \
         are 10^6 and 10^9 bytes of values.\n"
    )?;
    if let Some(others) = results.others() {
        write!(
            page,
            "\nOther work on the machine took {} % of a core meanwhile (median of the rows){}.\n",
            show(Some(others)),
            if others > BUSY_PERCENT_MIN { BUSY } else { "" },
        )?;
    }
    Ok(())
}

/// Each figure to reach, and where it stands.
fn summary(page: &mut String, results: &Results) -> Result<()> {
    page.push_str("\n## The figures to reach\n\n");
    page.push_str("| what | wanted | Levada | the bound | held against | reached |\n");
    page.push_str("|---|---|--:|--:|---|---|\n");
    for row in ROWS {
        for goal in row.goals {
            let standing = results.standing(row, goal);
            let (title, metric, words) = (row.title, goal.metric, goal.words);
            write!(page, "| {title}: {} | {words} ", metric.title)?;
            match standing {
                None => page.push_str("| – | – | – | not measured |\n"),
                Some(standing) => {
                    let reached = match standing.is_reached {
                        true => "✓".to_owned(),
                        false => {
                            let distance = standing.distance(metric.is_less_better);
                            format!("no: {distance:.2} times off")
                        }
                    };
                    writeln!(
                        page,
                        "| {} | {} | {} | {reached} |",
                        show(Some(standing.actual)),
                        show(Some(standing.wanted)),
                        standing.against.unwrap_or("the figure itself"),
                    )?;
                }
            }
        }
    }
    page.push_str("\nNot measured yet:\n\n");
    for (what, why) in OPEN_ROWS {
        writeln!(page, "- {what}: {why}")?;
    }
    Ok(())
}

fn section(page: &mut String, results: &Results, row: &Row, plot: &str) -> Result<()> {
    let title = row.title;
    write!(page, "\n## {title}\n\n")?;
    if let Some(load) = &row.load {
        write!(page, "`{}`. ", clients::show(load))?;
    }
    page.push_str("In brackets: Levada as a multiple of the floor, others of Levada.\n\n");
    write!(page, "![{title}](plots/{plot})\n\n| system | synced |")?;
    for metric in row.shown {
        write!(page, " {} |", metric.title)?;
    }
    page.push_str("\n|---|---|");
    row.shown.iter().for_each(|_| page.push_str("--:|"));
    page.push('\n');
    for system in &results.systems {
        if !results.samples.contains_key(&(row.key, system.key)) {
            continue;
        }
        let synced = if system.is_synced { "yes" } else { "no" };
        write!(page, "| {} | {synced} |", system.name)?;
        for metric in row.shown {
            let figure = results.of(row, system, metric);
            let ratio = ratio(results, row, system, metric);
            write!(page, " {}{ratio} |", show(figure))?;
        }
        page.push('\n');
    }
    Ok(())
}

fn ratio(results: &Results, row: &Row, system: &System, metric: &Metric) -> String {
    let base = match system.role {
        Role::Levada => results.floor(row, metric),
        Role::Peer => results.levada(row, metric),
        Role::Floor => None,
    };
    let figure = results.of(row, system, metric);
    match (figure, base.filter(|base| *base > 0.0)) {
        (Some(figure), Some(base)) => format!(" ({}×)", show(Some(figure / base))),
        _ => String::new(),
    }
}

fn machine(page: &mut String, results: &Results) -> Result<()> {
    page.push_str("\n## The machine\n\n");
    for (name, value) in &results.machine {
        writeln!(page, "- {name}: {value}")?;
    }
    page.push_str("\nIts own limits, measured in the same run by `levada-floor limits`:\n\n");
    page.push_str("| limit | median |\n|---|--:|\n");
    for (name, values) in &results.limits {
        writeln!(page, "| `{name}` | {} |", show(median(values)))?;
    }
    Ok(())
}

fn systems(page: &mut String, results: &Results) -> Result<()> {
    page.push_str("\n## How each system was run\n\n");
    for system in &results.systems {
        write!(page, "- **{}**: {}", system.name, system.note)?;
        if system.divisor > 1 {
            write!(page, " (1/{} of the records)", system.divisor)?;
        }
        page.push_str(".\n");
    }
    page.push_str(
        "\nServer CPU, bytes written and memory are the kernel's, of the server and all its child \
         processes. Disk flushes are those that the device completed, whoever asked for them.\n",
    );
    Ok(())
}

fn missing(page: &mut String, results: &Results) -> Result<()> {
    page.push_str("\n## Missing\n\n");
    for (what, why) in UNAVAILABLE {
        writeln!(page, "- {what}: {why}")?;
    }
    for (what, why) in &results.missing {
        writeln!(page, "- {what}: {why}")?;
    }
    Ok(())
}
