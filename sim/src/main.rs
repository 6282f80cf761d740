//! Runs seeds: `levada-sim --seed N [--trace FILE] [--log FILTER]`, or
//! `levada-sim --seeds A..B [--threads N] [--result FILE]`.
#![allow(clippy::disallowed_methods)] // A test tool: it stands outside the worlds that it makes.

use std::process::ExitCode;

use levada_sim::report::{Report, replay_command};
use levada_sim::run::{Outcome, hook_panics, run};
use levada_sim::sweep::sweep;

const USAGE: &str = "levada-sim --seed N [--trace FILE] [--log FILTER] | \
                     --seeds A..B [--threads N] [--result FILE]";

#[derive(Default)]
struct Arguments {
    seed: Option<u64>,
    seeds: Option<(u64, u64)>,
    trace: Option<String>,
    log: Option<String>,
    threads: Option<usize>,
    result: Option<String>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    hook_panics();
    match (arguments.seed, arguments.seeds) {
        (Some(seed), None) => one(seed, &arguments),
        (None, Some((first, end))) => many(first, end, &arguments),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or(format!("{flag} needs a value"))?;
        let number = |text: &str| {
            let wrong = |_| format!("{flag}: {text} is not a number");
            text.parse::<u64>().map_err(wrong)
        };
        match flag.as_str() {
            "--seed" => arguments.seed = Some(number(&value)?),
            "--seeds" => {
                let (first, end) = value.split_once("..").ok_or("--seeds takes A..B")?;
                arguments.seeds = Some((number(first)?, number(end)?));
            }
            "--trace" => arguments.trace = Some(value),
            "--log" => arguments.log = Some(value),
            "--threads" => arguments.threads = Some(number(&value)? as usize),
            "--result" => arguments.result = Some(value),
            _ => return Err(format!("what is {flag}?")),
        }
    }
    Ok(arguments)
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    if let Some(filter) = &arguments.log {
        let filter = tracing_subscriber::EnvFilter::new(filter);
        let lines = tracing_subscriber::fmt().with_env_filter(filter);
        lines.with_ansi(false).with_writer(std::io::stderr).init();
    }
    let outcome = run(seed);
    if let Some(path) = &arguments.trace
        && let Err(error) = std::fs::write(path, outcome.trace())
    {
        eprintln!("{path}: {error}");
        return ExitCode::from(2);
    }
    tell(&outcome);
    let mut report = Report::default();
    report.add(&outcome);
    print!("{}", report.table());
    ExitCode::from(u8::from(!outcome.violations.is_empty()))
}

/// Violations, and how to see them again.
fn tell(outcome: &Outcome) {
    for violation in &outcome.violations {
        println!("seed {}: {violation}", outcome.seed);
    }
    if !outcome.violations.is_empty() {
        println!("replay: {}", replay_command(outcome.seed));
    }
}

fn many(first: u64, end: u64, arguments: &Arguments) -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let begun = std::time::Instant::now();
    let report = sweep(first..end, arguments.threads.unwrap_or(cores), tell);
    print!("{}", report.table());
    let never = report.never_fired();
    for fault in &never {
        println!("never fired: {}", fault.text());
    }
    let blind = report.never_looked();
    for check in &blind {
        println!("the check {check} had nothing to look at");
    }
    println!(
        "{} seeds in {:.1} s",
        report.runs,
        begun.elapsed().as_secs_f64()
    );
    if let Some(path) = &arguments.result
        && let Err(error) = std::fs::write(path, report.json(first, end))
    {
        eprintln!("{path}: {error}");
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(
        !report.failed.is_empty() || !never.is_empty() || !blind.is_empty(),
    ))
}
