//! `cargo xtask fuzz`: every parser against a fuzzer, one after the other, and a table of the runs.
//!
//! The binaries are those of `fuzz/targets`, built with coverage by cargo-fuzz. What is found new
//! gathers in `target/fuzz`; `--keep` takes the smallest of it into the committed corpus.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::process;
use crate::report::Tally;
use crate::toolchain;

#[derive(clap::Args)]
pub struct Options {
    /// Only these targets
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub target: Vec<String>,
    /// How long each target is fuzzed
    #[arg(long, default_value_t = 600)]
    pub seconds: u64,
    /// Add the smallest new inputs to the committed corpus
    #[arg(long)]
    pub keep: bool,
}

/// Memory that a target may take: more is a finding.
const RSS_MB_MAX: u32 = 2048;
/// Time that one input may take: more is a finding.
const INPUT_SECONDS_MAX: u32 = 10;
const INPUT_BYTES_MAX: u32 = 16 * 1024;

/// What became of one target.
#[derive(Serialize, Deserialize)]
struct Row {
    target: String,
    seconds: f64,
    executions: u64,
    /// Edges of the program that some input reached.
    coverage: u64,
    corpus_inputs: u64,
    peak_rss_mb: u64,
    /// Files of inputs that broke something.
    findings: Vec<String>,
}

/// Fuzzes the targets in turn; a finding ends its target's run.
///
/// # Errors
/// When the fuzzer cannot be built or a target does not exist.
pub fn run(options: &Options) -> Result<Tally> {
    let names = chosen(&options.target)?;
    let folder = process::repository().join("target/fuzz");
    fs::create_dir_all(&folder)?;
    let binaries = build(&folder)?;
    corpus(&["unpack", &folder.join("committed").to_string_lossy()])?;
    let mut rows = Vec::new();
    for name in &names {
        let row = fuzz(name, &binaries.join(name), &folder, options.seconds)?;
        save(&folder, &row)?;
        if options.keep {
            keep(name, &binaries.join(name), &folder)?;
        }
        rows.push(row);
    }
    Ok(print(&rows))
}

fn chosen(wanted: &[String]) -> Result<Vec<String>> {
    let folder = process::repository().join("fuzz/targets/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        names.extend(
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    for name in wanted {
        ensure!(
            names.contains(name),
            "no target `{name}`; there are: {}",
            names.join(", ")
        );
    }
    Ok(if wanted.is_empty() {
        names
    } else {
        wanted.to_vec()
    })
}

/// Builds all targets; gives the folder of their binaries.
fn build(folder: &Path) -> Result<PathBuf> {
    let tool = toolchain::cargo_fuzz()?;
    let build = folder.join("build");
    let mut cargo = process::command(tool);
    // Our code is safe Rust: an address sanitizer would watch nothing but the C of zstd.
    cargo.args([
        "build",
        "--fuzz-dir",
        "fuzz/targets",
        "--sanitizer",
        "none",
        "--target-dir",
    ]);
    // Coverage is an unstable part of the stable compiler.
    cargo.arg(&build).env("RUSTC_BOOTSTRAP", "1");
    ensure!(process::run(&mut cargo)?, "the fuzz targets were not built");
    let version = process::output(process::command("rustc").arg("-vV")).context("rustc -vV")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(build
        .join(host.context("rustc names no host")?)
        .join("release"))
}

/// The corpus tool of the crate `levada-fuzz`.
fn corpus(arguments: &[&str]) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args([
        "run",
        "--quiet",
        "--package",
        "levada-fuzz",
        "--example",
        "corpus",
        "--",
    ]);
    ensure!(
        process::run(cargo.args(arguments))?,
        "the corpus tool failed"
    );
    Ok(())
}

fn fuzz(name: &str, binary: &Path, folder: &Path, seconds: u64) -> Result<Row> {
    let (work, found) = (
        folder.join("corpus").join(name),
        folder.join("found").join(name),
    );
    fs::create_dir_all(&work)?;
    fs::create_dir_all(&found)?;
    let mut command = process::command(binary);
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={RSS_MB_MAX}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .arg("-print_final_stats=1")
        .arg(&work)
        .arg(folder.join("committed").join(name));
    println!("$ {}", process::show(&command));
    let began = Instant::now();
    let before = findings(&found)?;
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut log = fs::File::create(folder.join(format!("{name}.log")))?;
    let mut row = Row {
        target: name.to_owned(),
        seconds: 0.0,
        executions: 0,
        coverage: 0,
        corpus_inputs: 0,
        peak_rss_mb: 0,
        findings: Vec::new(),
    };
    if let Some(errors) = child.stderr.take() {
        for line in BufReader::new(errors).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            row.read(&line);
            writeln!(log, "{line}")?;
        }
    }
    let ended_well = child.wait()?.success();
    row.seconds = began.elapsed().as_secs_f64();
    row.findings = findings(&found)?;
    row.findings.retain(|file| !before.contains(file));
    if !ended_well && row.findings.is_empty() {
        row.findings.push(format!("{name}.log: it ended early"));
    }
    Ok(row)
}

/// Files of inputs that broke something; slow ones are only told.
fn findings(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| !name.to_string_lossy().starts_with("slow-unit"))
        {
            files.push(path.display().to_string());
        }
    }
    files.sort();
    Ok(files)
}

impl Row {
    /// Takes what a line of libFuzzer's output tells.
    fn read(&mut self, line: &str) {
        let number = |text: &str| text.trim().parse().ok();
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = number(count).unwrap_or(self.executions);
        } else if let Some(peak) = line.strip_prefix("stat::peak_rss_mb:") {
            self.peak_rss_mb = number(peak).unwrap_or(self.peak_rss_mb);
        } else if line.starts_with('#') {
            let words: Vec<&str> = line.split_whitespace().collect();
            for pair in words.windows(2) {
                match pair[0] {
                    "cov:" => self.coverage = number(pair[1]).unwrap_or(self.coverage),
                    "corp:" => {
                        let inputs = pair[1].split('/').next().and_then(number);
                        self.corpus_inputs = inputs.unwrap_or(self.corpus_inputs);
                    }
                    _ => {}
                }
            }
            let done = words[0].trim_start_matches('#').parse();
            self.executions = done.unwrap_or(self.executions);
        }
    }
}

/// Puts the row into `result.json`, in the place of the target's earlier one.
fn save(folder: &Path, row: &Row) -> Result<()> {
    let path = folder.join("result.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|_| "[]".to_owned());
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap_or_default();
    let mut rows: Vec<_> = rows
        .into_iter()
        .filter(|old| old["target"] != row.target.as_str())
        .collect();
    rows.push(serde_json::to_value(row)?);
    fs::write(path, serde_json::to_string_pretty(&rows)? + "\n")?;
    Ok(())
}

/// Leaves of what was found only what adds coverage, and commits the smallest of that.
fn keep(name: &str, binary: &Path, folder: &Path) -> Result<()> {
    let merged = folder.join("merged").join(name);
    fs::remove_dir_all(&merged).ok();
    fs::create_dir_all(&merged)?;
    let mut merge = process::command(binary);
    merge.arg("-merge=1").arg(&merged);
    merge.arg(folder.join("committed").join(name));
    merge.arg(folder.join("corpus").join(name));
    ensure!(
        process::run(merge.stderr(Stdio::null()))?,
        "the corpus of {name} was not merged"
    );
    corpus(&["keep", name, &merged.to_string_lossy()])
}

fn print(rows: &[Row]) -> Tally {
    let mut tally = Tally::default();
    println!(
        "\n{:<18} {:>8} {:>12} {:>9} {:>8} {:>8} {:>9}",
        "target", "seconds", "executions", "coverage", "corpus", "rss MB", "findings"
    );
    for row in rows {
        println!(
            "{:<18} {:>8.0} {:>12} {:>9} {:>8} {:>8} {:>9}",
            row.target,
            row.seconds,
            row.executions,
            row.coverage,
            row.corpus_inputs,
            row.peak_rss_mb,
            row.findings.len()
        );
        tally += Tally::of(row.findings.is_empty());
    }
    for finding in rows.iter().flat_map(|row| &row.findings) {
        println!("FOUND {finding}");
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuzzer_s_lines_are_read() {
        let mut row = Row {
            target: "t".into(),
            seconds: 0.0,
            executions: 0,
            coverage: 0,
            corpus_inputs: 0,
            peak_rss_mb: 0,
            findings: Vec::new(),
        };
        row.read("#4096\tpulse  cov: 321 ft: 900 corp: 45/1Kb lim: 4 exec/s: 2048 rss: 38Mb");
        assert_eq!(
            (row.executions, row.coverage, row.corpus_inputs),
            (4096, 321, 45)
        );
        row.read("stat::number_of_executed_units: 5000");
        row.read("stat::peak_rss_mb:              99");
        assert_eq!((row.executions, row.peak_rss_mb), (5000, 99));
    }
}
