//! `mixed.json`, `MIXED.md` and their plots.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};

use super::steady::WARM_SLICES;
use crate::bench::figures::show;
use crate::bench::plot::{BASE, Bar, OURS, Panel, panels_of};
use crate::scale::driver::number;

/// Producers' p99 beside other work, as a multiple of their quiet one.
const P99_RATIO_MAX: f64 = 1.5;
/// A backfill's MB/s beside other work, as a part of what it has alone.
const BACKFILL_SHARE_MIN: f64 = 0.5;
/// Growth over the whole run, as a part of the median, that is called none.
const DRIFT_MAX: f64 = 0.05;

/// Writes everything into `folder`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(all: &Map<String, Value>, folder: &Path) -> Result<()> {
    let plots = folder.join("plots");
    fs::create_dir_all(&plots)?;
    fs::write(
        folder.join("mixed.json"),
        serde_json::to_string_pretty(all)? + "\n",
    )?;
    fs::write(folder.join("MIXED.md"), render(all)?)?;
    if let Some(mixed) = all.get("mixed") {
        fs::write(
            plots.join("mixed-beside.svg"),
            panels_of(&beside_panels(mixed)),
        )?;
    }
    if let Some(steady) = all.get("steady") {
        fs::write(
            plots.join("mixed-steady.svg"),
            panels_of(&steady_panels(steady)),
        )?;
    }
    Ok(())
}

fn render(all: &Map<String, Value>) -> Result<String> {
    let mut page = "# Mixed and steady load\n\nMade by `cargo xtask mixed`; do not edit. One Levada, \
                    synced before every acknowledgement, on a machine that its clients share. MB and \
                    GB are 10^6 and 10^9 bytes; every answer is checked.\n"
        .to_owned();
    if let Some(mixed) = all.get("mixed") {
        beside(&mut page, mixed)?;
    }
    if let Some(steady) = all.get("steady") {
        self::steady(&mut page, steady)?;
    }
    Ok(page)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn words<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("–")
}

fn figure(value: &Value, key: &str) -> String {
    show(Some(number(value, key)).filter(|found| found.is_finite()))
}

/// The work of this name beside a kind's producers.
fn work<'a>(kind: &'a Value, name: &str) -> Option<&'a Value> {
    kind.get("beside")?.get(name)
}

fn beside(page: &mut String, mixed: &Value) -> Result<()> {
    write!(
        page,
        "\n## Producers beside other work\n\n`{}`. Producers of 1 KiB records, one a request, {} a \
         second over 4 connections in an open loop, in slices; p99 is the median of the slices'. The \
         backfill reads {} GB from the start, the page cache dropped before each pass. For snapshots \
         and rewriting 20,000 records/s go to a topic of which retention keeps 16 MiB, 4,000 \
         records/s between them stay, and dead bytes are at the bound from the start. The flood opens \
         connections, and sends garbage, as fast as it gets CPU at the lowest priority: an attacker \
         has a machine of his own. Settings: `{}`.\n\n\
         ![Producers beside other work](plots/mixed-beside.svg)\n\n\
         | meanwhile | p50 µs | p99 µs | of the quiet p99 | under 1.5 | worst slice's p99 | max µs | \
         backfill MB/s | of its MB/s alone | at least half | what went on |\n\
         |---|--:|--:|--:|---|--:|--:|--:|--:|---|---|\n",
        words(mixed, "command"),
        figure(mixed, "rate"),
        figure(mixed, "gigabytes"),
        words(mixed, "flags"),
    )?;
    let alone = number(mixed, "alone_mb_per_s");
    for kind in list(mixed, "quiet") {
        row(page, "nothing", kind, None, alone)?;
    }
    let quiet = number(mixed, "quiet_p99_us");
    for kind in list(mixed, "kinds") {
        row(page, words(kind, "kind"), kind, Some(quiet), alone)?;
    }
    writeln!(
        page,
        "\nThe backfill alone: {} MB/s. Quiet p99, median of the quiet rows: {} µs.",
        show(Some(alone)),
        show(Some(quiet))
    )?;
    machine(page, mixed)
}

fn row(page: &mut String, name: &str, kind: &Value, quiet: Option<f64>, alone: f64) -> Result<()> {
    let ratio = quiet.map(|quiet| number(kind, "p99_us") / quiet);
    let backfill = work(kind, "backfill").map(|found| number(found, "mb_per_s"));
    let share = backfill.map(|speed| speed / alone);
    let verdict = |reached: Option<bool>| match reached {
        None => "",
        Some(true) => "✓",
        Some(false) => "no",
    };
    let cell = |value: Option<f64>| value.map_or(String::new(), |value| show(Some(value)));
    writeln!(
        page,
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        figure(kind, "p50_us"),
        figure(kind, "p99_us"),
        cell(ratio),
        verdict(ratio.map(|ratio| ratio < P99_RATIO_MAX)),
        figure(kind, "p99_worst_us"),
        figure(kind, "max_us"),
        cell(backfill),
        cell(share),
        verdict(share.map(|share| share >= BACKFILL_SHARE_MIN)),
        went_on(kind),
    )?;
    Ok(())
}

fn went_on(kind: &Value) -> String {
    let mut told = Vec::new();
    if let Some(churn) = work(kind, "churn") {
        let (snapshots, rewritten) = (number(churn, "snapshots"), figure(churn, "rewritten_mb"));
        told.push(format!(
            "{snapshots:.0} snapshots, {rewritten} MB rewritten"
        ));
    }
    let did = work(kind, "flood").and_then(Value::as_array);
    told.extend(
        did.into_iter()
            .flatten()
            .filter_map(|did| did.as_str().map(str::to_owned)),
    );
    told.join("; ")
}

fn steady(page: &mut String, steady: &Value) -> Result<()> {
    let slices = list(steady, "slices");
    write!(
        page,
        "\n## Steady at 70 % of the peak\n\n`{}`. Peak {} records/s of 1 KiB in 64 KiB batches \
         (median of three runs before); then {} records/s in an open loop, {} slices of {} s. Default \
         settings; retention keeps 1 GiB. The slopes are Theil and Sen's with their 95 % interval, \
         without the first {WARM_SLICES} slices; growth is the slope over all slices held against \
         the median. It drifts when the whole interval is above zero and the growth above {:.0} %.\n\n\
         | what | median | slope a slice | interval | growth over the run | drifts |\n\
         |---|--:|--:|---|--:|---|\n",
        words(steady, "command"),
        figure(steady, "peak_records_per_s"),
        figure(steady, "rate"),
        slices.len(),
        figure(steady, "slice_s"),
        100.0 * DRIFT_MAX,
    )?;
    for (title, key) in [("memory, MB", "memory_mb"), ("p99, µs", "p99_us")] {
        let trend = steady.get("trends").and_then(|trends| trends.get(key));
        trend_row(page, title, trend.unwrap_or(&Value::Null))?;
    }
    page.push_str(
        "\n![Memory and p99, slice by slice](plots/mixed-steady.svg)\n\n\
         | slice | memory, MB | at its highest | p50 µs | p99 µs | max µs | records/s |\n\
         |--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for (number, slice) in slices.iter().enumerate() {
        let keys = [
            "memory_mb",
            "memory_high_mb",
            "p50_us",
            "p99_us",
            "max_us",
            "records_per_s",
        ];
        let cells = keys.map(|key| figure(slice, key)).join(" | ");
        writeln!(page, "| {} | {cells} |", number + 1)?;
    }
    machine(page, steady)
}

fn trend_row(page: &mut String, title: &str, trend: &Value) -> Result<()> {
    if trend.is_null() {
        writeln!(page, "| {title} | – | – | – | – | too few slices |")?;
        return Ok(());
    }
    let at = |key| number(trend, key);
    let growth = at("slope") * at("slices") / at("median");
    writeln!(
        page,
        "| {title} | {} | {:+.3} | {:+.3} to {:+.3} | {:+.1} % | {} |",
        show(Some(at("median"))),
        at("slope"),
        at("low"),
        at("high"),
        100.0 * growth,
        if at("low") > 0.0 && growth > DRIFT_MAX {
            "yes"
        } else {
            "no"
        },
    )?;
    Ok(())
}

fn machine(page: &mut String, part: &Value) -> Result<()> {
    let machine = part.get("machine").and_then(Value::as_object);
    let told = machine.into_iter().flatten();
    let told = told.map(|(name, value)| format!("{name} {}", value.as_str().unwrap_or("–")));
    writeln!(
        page,
        "\nThe machine: {}.",
        told.collect::<Vec<_>>().join(", ")
    )?;
    Ok(())
}

fn bar(name: impl Into<String>, figure: f64, fill: &'static str) -> Bar {
    Bar {
        name: name.into(),
        figure,
        fill,
    }
}

fn beside_panels(mixed: &Value) -> Vec<Panel> {
    let kinds = list(mixed, "kinds");
    let mut p99 = vec![bar("nothing", number(mixed, "quiet_p99_us"), BASE)];
    p99.extend(
        kinds
            .iter()
            .map(|kind| bar(words(kind, "kind"), number(kind, "p99_us"), OURS)),
    );
    let mut backfill = vec![bar("nothing", number(mixed, "alone_mb_per_s"), BASE)];
    backfill.extend(kinds.iter().filter_map(|kind| {
        let speed = number(work(kind, "backfill")?, "mb_per_s");
        Some(bar(words(kind, "kind"), speed, OURS))
    }));
    let panel = |title: &str, bars| Panel {
        title: title.to_owned(),
        bars,
    };
    vec![
        panel("producers' p99 µs (less is better), beside", p99),
        panel(
            "backfill MB/s (more is better), beside producers and",
            backfill,
        ),
    ]
}

fn steady_panels(steady: &Value) -> Vec<Panel> {
    let panel = |title: &str, key: &str| {
        let slices = list(steady, "slices").iter().enumerate();
        let bars =
            slices.map(|(at, slice)| bar(format!("slice {}", at + 1), number(slice, key), OURS));
        Panel {
            title: title.to_owned(),
            bars: bars.collect(),
        }
    };
    vec![
        panel("memory, MB (less is better)", "memory_mb"),
        panel("p99 µs (less is better)", "p99_us"),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_is_held_against_the_quiet_and_the_backfill_alone() -> Result<()> {
        let mut all = Map::new();
        let beside = json!({ "backfill": { "mb_per_s": 400.0 } });
        let kind = json!({ "kind": "a backfill", "p99_us": 300.0, "beside": beside });
        let mixed = json!({ "quiet_p99_us": 100.0, "alone_mb_per_s": 500.0, "kinds": [kind] });
        all.insert("mixed".to_owned(), mixed);
        let page = render(&all)?;
        assert!(
            page.contains("| a backfill | – | 300 | 3.00 | no |"),
            "{page}"
        );
        assert!(page.contains("| 400 | 0.80 | ✓ |"), "{page}");
        assert!(!page.contains("## Steady"), "{page}");
        Ok(())
    }
}
