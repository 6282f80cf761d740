//! `levada-diff`: runs the script against two brokers and compares what they said.
//!
//! Every difference must stand in the list of reviewed ones with its reason, and every one in the
//! list must still occur.
#![allow(clippy::disallowed_methods)] // a test tool

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use levada_proof::script;
use levada_proof::session::{Session, Step};
use serde::Deserialize;

/// A step that takes longer is named.
const SLOW: Duration = Duration::from_secs(2);

#[derive(Parser)]
struct Arguments {
    /// `host:port` of the Apache Kafka that is right
    #[arg(long)]
    kafka: String,
    /// `host:port` of the broker that is held against it
    #[arg(long)]
    levada: String,
    /// The reviewed differences
    #[arg(long)]
    list: PathBuf,
    /// Print every step of both
    #[arg(long)]
    verbose: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reviewed {
    #[serde(default)]
    difference: Vec<Difference>,
}

/// Differences that share a reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// Names of steps as printed; `*` at the end stands for anything.
    steps: Vec<String>,
    reason: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let text = std::fs::read_to_string(&arguments.list)
        .with_context(|| format!("{}", arguments.list.display()))?;
    let reviewed: Reviewed = toml::from_str(&text)?;
    let kafka = numbered(play(&arguments.kafka).context("Apache Kafka")?);
    let levada = numbered(play(&arguments.levada).context("Levada")?);
    if arguments.verbose {
        for (name, outcome) in &kafka {
            println!("{name}\n  kafka:  {outcome}");
        }
    }
    let to_mend = reviewed
        .difference
        .iter()
        .filter(|one| one.reason.starts_with("To mend"));
    println!(
        "{} reasons to differ, {} of them to mend",
        reviewed.difference.len(),
        to_mend.count()
    );
    let failed = compare(&kafka, &levada, &reviewed);
    println!(
        "{} passed, {failed} failed",
        kafka.len().saturating_sub(failed)
    );
    std::process::exit(i32::from(failed > 0));
}

fn play(address: &str) -> Result<Vec<Step>> {
    let mut session = Session::open(address)?;
    script::run(&mut session)?;
    for step in session.steps.iter().filter(|step| step.elapsed > SLOW) {
        eprintln!("slow at {address}: {} took {:?}", step.name, step.elapsed);
    }
    Ok(session.steps)
}

/// Steps by name; a name that comes again gets a number.
fn numbered(steps: Vec<Step>) -> BTreeMap<String, String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for step in steps {
        let name = step.name.trim().to_owned();
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        let name = if *count > 1 {
            format!("{name} #{count}")
        } else {
            name
        };
        all.insert(name, step.outcome);
    }
    all
}

/// Prints what is wrong and returns how much it is.
fn compare(
    kafka: &BTreeMap<String, String>,
    levada: &BTreeMap<String, String>,
    reviewed: &Reviewed,
) -> usize {
    let mut failed = 0;
    let mut occurred: BTreeMap<&str, bool> = BTreeMap::new();
    for pattern in reviewed
        .difference
        .iter()
        .flat_map(|difference| &difference.steps)
    {
        occurred.insert(pattern, false);
    }
    let names = kafka
        .keys()
        .chain(levada.keys().filter(|name| !kafka.contains_key(*name)));
    for name in names {
        let (theirs, ours) = (kafka.get(name), levada.get(name));
        if theirs == ours {
            continue;
        }
        let matching: Vec<&&str> = occurred.keys().filter(|p| matches(p, name)).collect();
        if let Some(pattern) = matching.first().map(|pattern| **pattern) {
            occurred.insert(pattern, true);
            continue;
        }
        failed += 1;
        let said =
            |outcome: Option<&String>| outcome.map_or("(no such step)".to_owned(), String::clone);
        println!(
            "DIFFERENT {name}\n  kafka:  {}\n  levada: {}",
            said(theirs),
            said(ours)
        );
    }
    for (pattern, _) in occurred.iter().filter(|(_, occurred)| !**occurred) {
        failed += 1;
        println!("NO LONGER DIFFERENT {pattern}: take it out of the list");
    }
    for difference in reviewed
        .difference
        .iter()
        .filter(|difference| difference.reason.is_empty())
    {
        failed += 1;
        println!("NO REASON given for {:?}", difference.steps);
    }
    failed
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, outcome)| ((*name).to_owned(), (*outcome).to_owned()))
            .collect()
    }

    fn list(steps: &[&str], reason: &str) -> Reviewed {
        let steps = steps.iter().map(|step| (*step).to_owned()).collect();
        Reviewed {
            difference: vec![Difference {
                steps,
                reason: reason.to_owned(),
            }],
        }
    }

    #[test]
    fn an_unlisted_difference_fails_and_a_listed_one_does_not() {
        let (a, b) = (outcomes(&[("x v1", "1")]), outcomes(&[("x v1", "2")]));
        assert_eq!(compare(&a, &b, &Reviewed::default()), 1);
        assert_eq!(compare(&a, &b, &list(&["x v1"], "because")), 0);
        assert_eq!(compare(&a, &b, &list(&["x*"], "because")), 0);
        assert_eq!(compare(&a, &b, &list(&["x*"], "")), 1);
    }

    #[test]
    fn a_listed_difference_that_is_gone_fails() {
        let a = outcomes(&[("x v1", "1")]);
        assert_eq!(compare(&a, &a, &list(&["x v1"], "because")), 1);
    }

    #[test]
    fn a_step_that_one_side_lacks_is_a_difference() {
        let (a, b) = (outcomes(&[("x", "1")]), outcomes(&[]));
        assert_eq!(compare(&a, &b, &Reviewed::default()), 1);
        assert_eq!(compare(&b, &a, &Reviewed::default()), 1);
    }
}
