//! `bench/QUEUES.md`, `bench/queues.json` and a plot of each row.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::Result;
use serde_json::{Value, json};

use super::Results;
use super::rows::{ROWS, Row};
use super::systems::SYSTEMS;
use crate::bench::figures::{median, show};
use crate::bench::plot::{Bar, OURS, Panel, panels_of};
use crate::process;

/// The device's sync, among the limits of the run.
const SYNC: &str = "buffered_sync_p50_us";

/// A figure to reach.
struct Goal {
    what: &'static str,
    wanted: String,
    actual: Option<f64>,
    bound: Option<f64>,
    is_less_better: bool,
}

impl Goal {
    fn is_reached(&self) -> Option<bool> {
        let (actual, bound) = self.actual.zip(self.bound)?;
        Some(match self.is_less_better {
            true => actual <= bound,
            false => actual >= bound,
        })
    }
}

fn least(what: &'static str, bound: f64, actual: Option<f64>) -> Goal {
    Goal {
        what,
        wanted: format!("at least {}", show(Some(bound))),
        actual,
        bound: Some(bound),
        is_less_better: false,
    }
}

fn most(what: &'static str, wanted: &str, bound: Option<f64>, actual: Option<f64>) -> Goal {
    Goal {
        what,
        wanted: wanted.to_owned(),
        actual,
        bound,
        is_less_better: true,
    }
}

fn goals(results: &Results) -> Vec<Goal> {
    let of = |row, metric| results.of(row, "levada", metric);
    let sync = results.limit(SYNC).map(|us| 2.0 * us + 2000.0);
    let mut goals = vec![
        least(
            "durable sends a second, batches of ten",
            60_000.0,
            of("send", "records_per_s"),
        ),
        least(
            "send, receive, delete a second, batches of ten",
            30_000.0,
            of("cycle", "records_per_s"),
        ),
        most(
            "p99 of a single send at 500/s, µs",
            "twice the device's sync and 2 ms",
            sync,
            of("paced", "send_p99_us"),
        ),
    ];
    goals.extend(scale_goals(results));
    goals
}

fn scale_goals(results: &Results) -> [Goal; 7] {
    let scale = |name| results.scale.get(name).copied();
    let ratio = |over, under| Some(scale(over)? / scale(under)?);
    [
        most(
            "receive p50 over 10 million messages, as a multiple of that over a thousand",
            "within 20%",
            Some(1.2),
            ratio("large_receive_p50_us", "small_receive_p50_us"),
        ),
        most(
            "server CPU of a cycle over 10 million messages, as a multiple of that over a thousand",
            "within 20%",
            Some(1.2),
            ratio("large_cpu_us", "small_cpu_us"),
        ),
        most(
            "memory that a backlog of 10 million adds, MiB",
            "under 64",
            Some(64.0),
            scale("large_backlog_mib"),
        ),
        most(
            "memory of a million queues, 1% in use, MiB",
            "under 1,024",
            Some(1024.0),
            scale("queues_active_mib"),
        ),
        most(
            "the same killed and started: to the first message sent, ms",
            "under 5,000",
            Some(5000.0),
            scale("queues_restart_send_ms"),
        ),
        least(
            "FIFO over a million messages in 10,000 groups: cycles a second",
            5000.0,
            scale("fifo_backlog_per_s"),
        ),
        Goal {
            wanted: "at least half".to_owned(),
            ..least(
                "the same as a part of an empty queue's",
                0.5,
                ratio("fifo_backlog_per_s", "fifo_empty_per_s"),
            )
        },
    ]
}

/// What the scale figures are, in the order of the page.
const SCALE: &[(&str, &str)] = &[
    ("small_sent_per_s", "a backlog of 1,000: sent/s"),
    ("small_cycles_per_s", "cycles over it/s"),
    ("small_receive_p50_us", "receive p50 there, µs"),
    ("small_cpu_us", "server CPU there, µs a message"),
    ("large_sent_per_s", "a backlog of 10 million: sent/s"),
    ("large_backlog_mib", "memory that it adds, MiB"),
    ("large_cycles_per_s", "cycles over it/s"),
    ("large_receive_p50_us", "receive p50 there, µs"),
    ("large_cpu_us", "server CPU there, µs a message"),
    ("fifo_empty_per_s", "FIFO, empty, 10,000 groups: cycles/s"),
    ("fifo_empty_receive_p50_us", "receive p50 there, µs"),
    (
        "fifo_sent_per_s",
        "FIFO, a million messages in 10,000 groups: sent/s",
    ),
    ("fifo_backlog_per_s", "cycles over them/s"),
    ("fifo_backlog_receive_p50_us", "receive p50 there, µs"),
    ("fifo_memory_mib", "memory then, MiB"),
    ("queues", "queues"),
    ("queues_created_per_s", "created/s, each durable"),
    ("queues_idle_mib", "memory with all, idle, MiB"),
    (
        "queues_touched_per_s",
        "a batch of ten sent to each hundredth and received: messages/s",
    ),
    (
        "queues_active_mib",
        "memory then, all ten of each in flight, MiB",
    ),
    (
        "queues_restart_ms",
        "killed and started: until it accepts, ms",
    ),
    ("queues_restart_send_ms", "until a message is stored, ms"),
    ("queues_restarted_mib", "memory then, MiB"),
];

/// Writes all of it; a short run leaves the committed page alone.
///
/// # Errors
/// When a file cannot be written.
pub fn write(results: &Results, quick: bool) -> Result<()> {
    let folder = if quick { "target/queue-bench" } else { "bench" };
    let folder = process::repository().join(folder);
    let plots = folder.join("plots");
    fs::create_dir_all(&plots)?;
    let mut page = String::new();
    head(&mut page, results, quick)?;
    summary(&mut page, results)?;
    for row in ROWS {
        let plot = format!("queue-{}.svg", row.key);
        fs::write(plots.join(&plot), draw(results, row))?;
        section(&mut page, results, row, &plot)?;
    }
    if !results.scale.is_empty() {
        page.push_str(
            "\n## Backlogs, groups, and many queues (Levada alone)\n\n| figure | |\n|---|--:|\n",
        );
        for (key, title) in SCALE {
            writeln!(
                page,
                "| {title} | {} |",
                show(results.scale.get(key).copied())
            )?;
        }
    }
    tail(&mut page, results)?;
    fs::write(folder.join("QUEUES.md"), page)?;
    let text = serde_json::to_string_pretty(&json(results))? + "\n";
    fs::write(folder.join("queues.json"), text)?;
    println!("wrote {}", folder.join("QUEUES.md").display());
    Ok(())
}

fn head(page: &mut String, results: &Results, quick: bool) -> Result<()> {
    let Results {
        command, rounds, ..
    } = results;
    write!(
        page,
        "# Queues: figures\n\nMade by `{command}`; do not edit. Client and server share one machine; the \
         systems run in turns, each turn on a fresh folder; medians over the rounds ({rounds}). Bodies of \
         100 bytes, 16 connections with one request under way each, plain HTTP where it is SQS. Every \
         answer is checked: each entry of a batch and its id, and every body that is received, once and \
         no more.\n"
    )?;
    if quick {
        page.push_str(
            "\nA short run: backlogs, groups and numbers of queues are a tenth or less of what the words \
             below say.\n",
        );
    }
    let others = results.samples.values();
    let others = others.filter_map(|samples| samples.get("others_cpu_percent"));
    let others = median(&others.flatten().copied().collect::<Vec<f64>>());
    writeln!(
        page,
        "\nOther work on the machine took {} % of a core meanwhile (median of the rows).",
        show(others)
    )?;
    Ok(())
}

fn summary(page: &mut String, results: &Results) -> Result<()> {
    page.push_str("\n## The figures to reach\n\n| what | wanted | Levada | the bound | reached |\n|---|---|--:|--:|---|\n");
    for goal in goals(results) {
        let reached = match goal.is_reached() {
            None => "not measured",
            Some(true) => "✓",
            Some(false) => "no",
        };
        let (actual, bound) = (show(goal.actual), show(goal.bound));
        writeln!(
            page,
            "| {} | {} | {actual} | {bound} | {reached} |",
            goal.what, goal.wanted
        )?;
    }
    Ok(())
}

fn section(page: &mut String, results: &Results, row: &Row, plot: &str) -> Result<()> {
    let title = row.title;
    write!(
        page,
        "\n## {title}\n\n`{}`. In brackets: as a multiple of Levada's.\n\n",
        row.command()
    )?;
    write!(page, "![{title}](plots/{plot})\n\n| system | synced |")?;
    row.shown.iter().for_each(|(_, title)| {
        page.push_str(&format!(" {title} |"));
    });
    page.push_str("\n|---|---|");
    row.shown.iter().for_each(|_| page.push_str("--:|"));
    page.push('\n');
    for system in SYSTEMS {
        if results.of(row.key, system.key, "records").is_none() {
            continue;
        }
        let synced = if system.is_synced { "yes" } else { "no" };
        write!(page, "| {} | {synced} |", system.name)?;
        for (metric, _) in row.shown {
            let figure = results.of(row.key, system.key, metric);
            let ours = results
                .of(row.key, "levada", metric)
                .filter(|ours| *ours > 0.0);
            let ratio = figure.zip(ours).filter(|_| !system.is_ours());
            let ratio = ratio.map(|(figure, ours)| format!(" ({}×)", show(Some(figure / ours))));
            write!(page, " {}{} |", show(figure), ratio.unwrap_or_default())?;
        }
        page.push('\n');
    }
    Ok(())
}

fn tail(page: &mut String, results: &Results) -> Result<()> {
    page.push_str("\n## The machine\n\n");
    for (name, value) in &results.machine {
        writeln!(page, "- {name}: {value}")?;
    }
    for (name, values) in &results.limits {
        writeln!(page, "- `{name}`: {}", show(median(values)))?;
    }
    page.push_str("\n## How each system was run\n\n");
    for system in SYSTEMS {
        write!(page, "- **{}**: {}", system.name, system.note)?;
        if system.divisor > 1 {
            write!(page, " (1/{} of the messages)", system.divisor)?;
        }
        let repeated = results.of("receive", system.key, "repeated");
        if let Some(repeated) = repeated.filter(|repeated| *repeated > 0.0) {
            write!(page, "; {} messages came twice here", show(Some(repeated)))?;
        }
        page.push_str(".\n");
    }
    page.push_str(
        "\nServer CPU and memory are the kernel's, of the server and all its children.\n",
    );
    if !results.missing.is_empty() {
        page.push_str("\n## Missing\n\n");
    }
    for (name, why) in &results.missing {
        writeln!(page, "- {name}: {why}")?;
    }
    Ok(())
}

/// The first column and the processor time, as bars.
fn draw(results: &Results, row: &Row) -> String {
    let metrics = row
        .shown
        .iter()
        .filter(|(key, _)| ["records_per_s", "send_p99_us", "cpu_us_per_message"].contains(key));
    let panels = metrics.map(|(key, title)| {
        let bars = SYSTEMS.iter().filter_map(|system| {
            Some(Bar {
                name: system.name.replace('`', ""),
                figure: results.of(row.key, system.key, key)?,
                fill: match (system.is_ours(), system.is_synced) {
                    (true, _) => OURS,
                    (false, true) => "#e8590c",
                    (false, false) => "#ffc078",
                },
            })
        });
        Panel {
            title: (*title).to_owned(),
            bars: bars.collect(),
        }
    });
    panels_of(&panels.collect::<Vec<_>>())
}

fn json(results: &Results) -> Value {
    let mut rows: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    for ((row, system), samples) in &results.samples {
        rows.entry(row).or_default().insert(system, json!(samples));
    }
    let goals = goals(results).into_iter().map(|goal| {
        json!({
            "what": goal.what,
            "wanted": goal.wanted,
            "actual": goal.actual,
            "bound": goal.bound,
            "reached": goal.is_reached(),
        })
    });
    json!({
        "command": results.command,
        "rounds": results.rounds,
        "machine": results.machine.iter().cloned().collect::<BTreeMap<&str, String>>(),
        "limits": results.limits,
        "missing": results.missing,
        "goals": goals.collect::<Vec<_>>(),
        "rows": rows,
        "scale": results.scale,
    })
}
