//! `cargo xtask count`: instructions of the hot paths, held against what is committed.
//!
//! Times on a shared machine differ by a factor from run to run; instructions hardly do, so CI can
//! hold them to a few per cent. The counts are Valgrind's: no counter of the processor is needed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::process;
use crate::report::Tally;
use crate::toolchain;

/// A path, and the two lengths whose difference is counted: what a start costs falls out.
const PATHS: [(&str, u64, u64); 7] = [
    ("produce-batch", 64, 576),
    ("produce-one", 640, 5760),
    ("fetch-batches", 64, 576),
    ("hand-over", 256, 1280),
    ("queue-send-one", 256, 1280),
    ("queue-send-ten", 64, 320),
    ("queue-round-ten", 64, 320),
];
/// How far a count may be from the committed one, in either direction.
const TOLERANCE: f64 = 0.03;

/// Features of a processor that libraries on the paths choose by.
const FEATURES: [&str; 6] = ["sse4_2", "pclmulqdq", "avx2", "bmi2", "erms", "sha_ni"];

#[derive(clap::Args, Default)]
pub struct Options {
    /// Take the counts as they are now: they become what is held against
    #[arg(long)]
    pub accept: bool,
    /// Only these paths
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub path: Vec<String>,
}

/// What is committed.
#[derive(Default, Serialize, Deserialize)]
struct Counts {
    /// Where it was counted: compiler, C library and processor pick other instructions elsewhere.
    machine: String,
    /// By path: instructions a request.
    instructions: BTreeMap<String, u64>,
}

/// Counts every path, prints them beside the committed ones, and fails where one is too far off.
///
/// # Errors
/// When Valgrind cannot be had or a path does not run.
pub fn run(options: &Options) -> Result<Tally> {
    toolchain::debian("valgrind", "valgrind")?;
    let mut cargo = process::cargo();
    cargo.args(["build", "--release", "--quiet", "--package", "levada-count"]);
    ensure!(process::run(&mut cargo)?, "levada-count does not compile");
    let chosen = |name: &str| options.path.is_empty() || options.path.iter().any(|p| p == name);
    let mut counts = committed()?;
    let machine = machine()?;
    if counts.machine != machine && !options.accept {
        println!("counted on: {}\nthis is:    {machine}", counts.machine);
        println!("Counts of two such machines cannot be compared: nothing is checked here.");
        return Ok(Tally {
            skipped: PATHS.len() as u64,
            ..Tally::default()
        });
    }
    counts.machine = machine;
    let mut tally = Tally::default();
    println!(
        "{:<16} {:>12} {:>12} {:>8}",
        "instructions", "committed", "now", "change"
    );
    for (name, short, long) in PATHS.into_iter().filter(|(name, ..)| chosen(name)) {
        let now = (collected(name, long)? - collected(name, short)?) / (long - short);
        let before = counts.instructions.insert(name.to_owned(), now);
        let change = before.map(|before| now as f64 / before as f64 - 1.0);
        let told = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        println!(
            "{name:<16} {:>12} {now:>12} {:>8}",
            told(before.map(|before| before.to_string())),
            told(change.map(|change| format!("{:+.1}%", change * 100.0))),
        );
        let near = change.is_some_and(|change| change.abs() <= TOLERANCE);
        tally += Tally::of(near || options.accept);
    }
    if options.accept {
        std::fs::write(path(), serde_json::to_string_pretty(&counts)? + "\n")?;
    } else if tally.failed > 0 {
        println!(
            "A path costs more or less than is committed. When that is meant: `cargo xtask count \
             --accept`, and say in the commit what changed."
        );
    }
    Ok(tally)
}

fn path() -> PathBuf {
    process::repository().join("bench/count/counts.json")
}

fn committed() -> Result<Counts> {
    match std::fs::read_to_string(path()) {
        Ok(text) => serde_json::from_str(&text).with_context(|| path().display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Counts::default()),
        Err(error) => Err(error).with_context(|| path().display().to_string()),
    }
}

/// What decides which instructions are there: rustc, glibc, and the features that are asked for at
/// run time.
fn machine() -> Result<String> {
    let first_line = |program: &str| -> Result<String> {
        let output = process::command(program).arg("--version").output();
        let output = output.with_context(|| program.to_owned())?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    let processor = std::fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let flags = processor.lines().find(|line| line.starts_with("flags"));
    let flags: Vec<&str> = flags.unwrap_or_default().split_whitespace().collect();
    let there: Vec<&str> = FEATURES
        .into_iter()
        .filter(|feature| flags.contains(feature))
        .collect();
    let (rustc, libc) = (first_line("rustc")?, first_line("ldd")?);
    Ok(format!("{rustc}; {libc}; {}", there.join(" ")))
}

/// Instructions of one run from start to end.
fn collected(name: &str, count: u64) -> Result<u64> {
    let target = process::repository().join("target");
    let profile = target.join(format!("count-{name}.callgrind"));
    let mut valgrind = process::command("valgrind");
    valgrind.arg("--tool=callgrind");
    valgrind.arg(format!("--callgrind-out-file={}", profile.display()));
    valgrind.arg(target.join("release/levada-count"));
    valgrind.args([name, &count.to_string()]);
    let output = valgrind.stdin(Stdio::null()).output().context("valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} did not run:\n{text}");
    let line = text.lines().find_map(|line| line.split_once("Collected :"));
    let (_, number) = line.with_context(|| format!("valgrind told no count:\n{text}"))?;
    Ok(number.trim().parse()?)
}
