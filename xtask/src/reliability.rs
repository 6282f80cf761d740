//! `cargo xtask reliability`: the tables of `docs/reliability.md` from what the proofs wrote down.
//!
//! Each proof leaves `target/NAME/result.json`; `--collect` takes those that are there over into
//! `docs/runs`, which is committed. The page's part between the two marks is made from these files
//! and from nothing else; a test holds it to them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process;
use crate::report::Tally;

const PAGE: &str = "docs/reliability.md";
const BEGIN: &str = "<!-- made by `cargo xtask reliability`: begin -->\n";
const END: &str = "<!-- end -->";

/// The proofs in the order of the page: name, the command of the long form, and how it is told.
const RUNS: &[(&str, &str, Render)] = &[
    ("sim", "cargo xtask sim --seeds A..B", sim),
    ("kill", "cargo xtask kill --rounds 1000 --seed 3", kill),
    ("faults", "cargo xtask faults", faults),
    ("soak", "cargo xtask soak --minutes 60", soak),
    ("fuzz", "cargo xtask fuzz", fuzz),
    ("mutants", "cargo xtask mutants", mutants),
];

type Render = fn(&Value, &mut String) -> std::fmt::Result;

#[derive(clap::Args)]
pub struct Options {
    /// Take over the results in `target/` first
    #[arg(long)]
    pub collect: bool,
}

/// Writes the page's tables.
///
/// # Errors
/// When a result or the page cannot be read.
pub fn run(options: &Options) -> Result<Tally> {
    let repository = process::repository();
    if options.collect {
        for (name, ..) in RUNS {
            let from = repository.join("target").join(name).join("result.json");
            if from.exists() {
                fs::copy(&from, repository.join(format!("docs/runs/{name}.json")))?;
                println!("took over {}", from.display());
            }
        }
    }
    let page = fs::read_to_string(repository.join(PAGE))?;
    fs::write(repository.join(PAGE), filled(&page, &repository)?)?;
    Ok(Tally::of(true))
}

fn filled(page: &str, repository: &Path) -> Result<String> {
    let (head, rest) = page
        .split_once(BEGIN)
        .context("the page has no begin mark")?;
    let (_, tail) = rest.split_once(END).context("the page has no end mark")?;
    Ok(format!("{head}{BEGIN}{}{END}{tail}", tables(repository)?))
}

fn tables(repository: &Path) -> Result<String> {
    let mut out = String::new();
    for (name, command, render) in RUNS {
        let path = repository.join(format!("docs/runs/{name}.json"));
        write!(out, "\n### `{command}`\n\n")?;
        if !path.exists() {
            writeln!(out, "Not run in full yet.")?;
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let result: Value = serde_json::from_str(&text).context(path.display().to_string())?;
        render(&result, &mut out)?;
    }
    ensure!(!out.contains("null"), "a figure is missing:\n{out}");
    out.push('\n');
    Ok(out)
}

/// A number with its thousands apart.
fn number(value: &Value) -> String {
    let Some(count) = value.as_u64() else {
        return value.as_f64().map_or("null".into(), |n| format!("{n:.0}"));
    };
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn length(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

fn sim(run: &Value, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "Seeds {} to {}: {} runs, {} operations, {} events in the histories that were checked, \
         {} runs with a violation.\n",
        number(&run["seeds"]["first"]),
        number(&run["seeds"]["end"]),
        number(&run["runs"]),
        number(&run["operations"]),
        number(&run["events"]),
        length(&run["failed"]),
    )?;
    writeln!(out, "| fault | fired | in runs |\n|---|--:|--:|")?;
    for fault in run["faults"].as_array().into_iter().flatten() {
        let name = fault["fault"].as_str().unwrap_or("null");
        let (fired, runs) = (number(&fault["fired"]), number(&fault["runs"]));
        writeln!(out, "| {name} | {fired} | {runs} |")?;
    }
    writeln!(out, "\n| check | looked at |\n|---|--:|")?;
    for (check, looked) in run["checked"].as_object().into_iter().flatten() {
        writeln!(out, "| {check} | {} |", number(looked))?;
    }
    Ok(())
}

fn kill(run: &Value, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "{} rounds: {} records and {} commits acknowledged, {} records read back and compared, \
         {} violations.",
        number(&run["rounds"]),
        number(&run["acknowledged"]),
        number(&run["commits"]),
        number(&run["checked"]),
        length(&run["violations"]),
    )
}

fn faults(run: &Value, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "| fault | rounds | fired | acknowledged | read back | what happened | violations |\n\
         |---|--:|--:|--:|--:|---|--:|"
    )?;
    for (kind, one) in run.as_object().into_iter().flatten() {
        let outcomes = one["outcomes"].as_object().into_iter().flatten();
        let outcomes = outcomes.map(|(what, count)| format!("{what}: {}", number(count)));
        writeln!(
            out,
            "| {kind} | {} | {} | {} | {} | {} | {} |",
            number(&one["rounds"]),
            number(&one["fired"]),
            number(&one["acknowledged"]),
            number(&one["checked"]),
            outcomes.collect::<Vec<_>>().join("; "),
            length(&one["violations"]),
        )?;
    }
    Ok(())
}

fn soak(run: &Value, out: &mut String) -> std::fmt::Result {
    let growth = &run["growth"];
    let mib = |value: &Value| {
        value
            .as_f64()
            .map_or("null".into(), |n| format!("{:.0}", n / 1048576.0))
    };
    writeln!(
        out,
        "{} minutes: {} records acknowledged, {} read back, {} topics made, {} connections, \
         {} lives of the process, {} violations. Memory {} MiB in the median, {} MiB at most; at most \
         {} open files and {} threads; at most {} MiB of disk.\n",
        number(&run["minutes"]),
        number(&run["acknowledged"]),
        number(&run["checked"]),
        number(&run["topics_created"]),
        number(&run["connections"]),
        number(&run["lives"]),
        length(&run["violations"]),
        mib(&growth["rss_median_bytes"]),
        mib(&growth["rss_max_bytes"]),
        number(&growth["files_open_max"]),
        number(&growth["threads_max"]),
        mib(&growth["disk_max_bytes"]),
    )?;
    writeln!(out, "| fault | times |\n|---|--:|")?;
    for (fault, times) in run["faults"].as_object().into_iter().flatten() {
        writeln!(out, "| {fault} | {} |", number(times))?;
    }
    Ok(())
}

fn fuzz(run: &Value, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "| target | seconds | executions | edges reached | inputs kept | findings |\n|---|--:|--:|--:|--:|--:|"
    )?;
    for one in run.as_array().into_iter().flatten() {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            one["target"].as_str().unwrap_or("null"),
            number(&one["seconds"]),
            number(&one["executions"]),
            number(&one["coverage"]),
            number(&one["corpus_inputs"]),
            length(&one["findings"]),
        )?;
    }
    Ok(())
}

fn mutants(run: &Value, out: &mut String) -> std::fmt::Result {
    let all = run.as_array().map_or(&[][..], Vec::as_slice);
    let caught = all
        .iter()
        .filter(|one| one["caught_by"].is_string())
        .count();
    writeln!(
        out,
        "{caught} of {} deliberate faults were caught.\n\n| fault | what a user would lose | caught by | code |\n|---|---|---|---|",
        all.len()
    )?;
    for one in all {
        let text = |key: &str| one[key].as_str().unwrap_or("nothing").to_owned();
        let (name, about, by) = (text("name"), text("about"), text("caught_by"));
        writeln!(out, "| {name} | {about} | {by} | {} |", text("code"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_runs_wrote_down() {
        let repository = process::repository();
        let page = fs::read_to_string(repository.join(PAGE)).unwrap();
        let wanted = filled(&page, &repository).unwrap();
        assert!(page == wanted, "run `cargo xtask reliability`");
    }

    #[test]
    fn thousands_stand_apart() {
        let told = [0, 999, 1000, 1_234_567].map(|n| number(&Value::from(n)));
        assert_eq!(told, ["0", "999", "1,000", "1,234,567"]);
    }
}
