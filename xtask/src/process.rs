//! Child processes: run with a log line, with retries, line by line, or bounded in time.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often an install step is tried: registries and mirrors have bad minutes.
const INSTALL_ATTEMPTS: u32 = 3;
const INSTALL_RETRY_WAIT: Duration = Duration::from_secs(3);
const CHILD_POLL: Duration = Duration::from_millis(10);

/// The top folder of the repository.
pub fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The folder for everything that is downloaded or built beside cargo's `target`; ignored by git.
pub fn cache() -> PathBuf {
    repository().join(".cache")
}

/// Where cargo puts what it builds for us.
pub fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR");
    named.map_or_else(|| repository().join("target"), PathBuf::from)
}

/// A command that starts in the repository's top folder.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(repository()).stdin(Stdio::null());
    command
}

/// `cargo` as the one that runs us.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The command as a person would type it.
pub fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs to the end with our output; true when it exits with 0.
///
/// # Errors
/// When it cannot be started.
pub fn run(command: &mut Command) -> Result<bool> {
    println!("$ {}", show(command));
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", show(command)))?;
    Ok(status.success())
}

/// Runs an install step up to three times.
///
/// # Errors
/// When the last attempt fails too.
pub fn install(command: &mut Command) -> Result<()> {
    for attempt in 1..=INSTALL_ATTEMPTS {
        if run(command)? {
            return Ok(());
        }
        println!(
            "attempt {attempt} of {INSTALL_ATTEMPTS} failed: {}",
            show(command)
        );
        thread::sleep(INSTALL_RETRY_WAIT * attempt);
    }
    bail!("`{}` failed {INSTALL_ATTEMPTS} times", show(command))
}

/// Runs to the end, shows each line of its standard output and hands it to `each`.
///
/// # Errors
/// When it cannot be started or its output cannot be read.
pub fn run_lines(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    println!("$ {}", show(command));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", show(command)))?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            each(&line);
        }
    }
    Ok(child.wait()?.success())
}

/// Runs to the end and returns its standard output, or None when it fails or does not exist.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What a bounded child left behind.
pub struct Bounded {
    /// None when it was ended at its time limit.
    pub status: Option<ExitStatus>,
    pub elapsed: Duration,
}

/// Waits for `child` up to `limit`, then ends it.
///
/// # Errors
/// When the process table cannot be read.
pub fn wait_bounded(child: &mut Child, limit: Duration) -> Result<Bounded> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Bounded {
                status: Some(status),
                elapsed: started.elapsed(),
            });
        }
        if started.elapsed() >= limit {
            child.kill().ok();
            child.wait()?;
            return Ok(Bounded {
                status: None,
                elapsed: started.elapsed(),
            });
        }
        thread::sleep(CHILD_POLL);
    }
}

/// The process and all below it.
///
/// # Errors
/// Where there is no process table as Linux has it.
pub fn tree(root: u32) -> Result<Vec<u32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_string_lossy().parse::<u32>();
        let Ok(pid) = pid else { continue };
        // One that has ended meanwhile is no child of anybody.
        if let Ok(fields) = stat(pid) {
            parents.insert(pid, fields.get(1).copied().unwrap_or(0.0) as u32);
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| **of == parent)
                .map(|(pid, _)| *pid),
        );
        at += 1;
    }
    Ok(found)
}

/// The fields of /proc/PID/stat behind the name; the state, a letter, is 0.
///
/// # Errors
/// When there is no such process.
pub fn stat(pid: u32) -> Result<Vec<f64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(')').context("unlike /proc/PID/stat")?;
    let fields = fields.split_whitespace();
    Ok(fields.map(|field| field.parse().unwrap_or(0.0)).collect())
}
