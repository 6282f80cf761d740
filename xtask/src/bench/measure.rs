//! One run of a load generator, and what the server spent on it as Linux tells.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::clients;
use super::loads::{Driver, Load};
use super::systems::{System, binary};
use crate::broker::{Broker, levada_binary};
use crate::process::{self, stat, tree};

/// Values of one row and system by metric, one of each round.
pub type Samples = BTreeMap<&'static str, Vec<f64>>;

/// A tick of /proc/PID/stat on Linux.
const TICKS_PER_S: f64 = 100.0;
/// Where a block device's `stat` counts flushes that were completed.
const FLUSHES_AT: usize = 15;
/// Less than this is no gigabyte to tell CPU seconds of.
const GIGABYTES_MIN: f64 = 0.02;

/// Runs the load and adds its figures to `samples`.
///
/// # Errors
/// When the generator fails, or found a wrong answer.
pub fn row(
    system: &System,
    server: &Broker,
    topic: &str,
    load: &Load,
    samples: &mut Samples,
) -> Result<()> {
    let (result, spent) = spent_on(server, || drive(system, server, topic, load))?;
    let number = |key: &str| result.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let (cpu, span) = (spent.cpu_s, number("seconds"));
    let records = number("records");
    let gigabytes = records * f64::from(load.size) / 1e9;
    let mut keep = |key, value| samples.entry(key).or_default().push(value);
    // A reader whose protocol has no requests notes no latencies.
    let latency = |key: &str| Some(number(key)).filter(|us| *us > 0.0);
    keep("records", records);
    keep("records_per_s", number("records_per_s"));
    keep("mb_per_s", gigabytes * 1e3 / span);
    for key in ["p50_us", "p99_us"] {
        latency(key).into_iter().for_each(|us| keep(key, us));
    }
    keep("cpu_percent", 100.0 * cpu / spent.seconds);
    if gigabytes > GIGABYTES_MIN {
        keep("cpu_s_per_gb", cpu / gigabytes);
    }
    keep("written_per_byte", spent.written_bytes / gigabytes / 1e9);
    keep("device_read_per_byte", spent.read_bytes / gigabytes / 1e9);
    if let Some(flushes) = spent.flushes_per_s {
        keep("flushes_per_s", flushes);
    }
    keep("memory_high_mib", spent.memory_high_mib);
    keep("others_cpu_percent", spent.others_cpu_percent);
    Ok(())
}

/// What a load cost its server, and what went on beside.
pub struct Spent {
    pub seconds: f64,
    pub cpu_s: f64,
    pub written_bytes: f64,
    pub read_bytes: f64,
    pub flushes_per_s: Option<f64>,
    pub memory_high_mib: f64,
    pub others_cpu_percent: f64,
}

/// Does `work` on a server, children that come meanwhile included.
///
/// # Errors
/// When the process table cannot be read, or the work fails.
pub fn spent_on<T>(server: &Broker, work: impl FnOnce() -> Result<T>) -> Result<(T, Spent)> {
    let pids = tree(server.pid())?;
    pids.iter().for_each(|pid| forget_peak(*pid));
    let disk = disk_of(&process::repository().join("target"));
    let (before, machine, flushes) = (used(&pids)?, machine()?, flushes(&disk));
    let started = Instant::now();
    let result = work()?;
    let seconds = started.elapsed().as_secs_f64();
    let pids = tree(server.pid())?;
    let (after, machine_after) = (used(&pids)?, machine_seconds_since(machine)?);
    let cpu_s = after.cpu_s - before.cpu_s;
    let others = machine_after.busy_s - machine_after.ours_s - cpu_s;
    let flushes = flushes.zip(self::flushes(&disk));
    let spent = Spent {
        seconds,
        cpu_s,
        written_bytes: after.written_bytes - before.written_bytes,
        read_bytes: after.read_bytes - before.read_bytes,
        flushes_per_s: flushes.map(|(before, after)| (after - before) / seconds),
        memory_high_mib: memory_mib(&pids, "VmHWM:"),
        others_cpu_percent: (100.0 * others / seconds).max(0.0),
    };
    Ok((result, spent))
}

/// One run of the load generator that speaks the system's protocol.
///
/// # Errors
/// When it fails, or found a wrong answer.
pub fn drive(system: &System, server: &Broker, topic: &str, load: &Load) -> Result<Value> {
    let mut command = match load.driver {
        Driver::Ours => ours(system, server, topic, load),
        _ => clients::command(load, topic, &server.address)?,
    };
    let output = command
        .output()
        .context("the load generator does not start")?;
    let show = || process::show(&command);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let result = clients::figures(load, &stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("`{}` says: {}", show(), said.trim())
    })?;
    let clean = result.get("errors").and_then(Value::as_u64) == Some(0)
        && result.get("verified").and_then(Value::as_bool) == Some(true);
    if !output.status.success() || !clean {
        bail!("`{}` found wrong answers: {result}", show());
    }
    Ok(result)
}

/// The load generator that speaks the system's protocol, ready to run.
pub fn ours(system: &System, server: &Broker, topic: &str, load: &Load) -> Command {
    let mut command = match system.protocol() {
        None => process::command(levada_binary()),
        Some(_) => process::command(binary("levada-peers")),
    };
    match system.protocol() {
        None => command.args(["bench", "-o", "json"]),
        Some(protocol) => command.arg(protocol),
    };
    command.args(load.arguments());
    command.args(["--topic", topic, "--broker", &server.address]);
    command
}

/// User and system time of a server and its children since they started, seconds.
///
/// # Errors
/// When the process table cannot be read.
pub fn cpu_s(server: &Broker) -> Result<f64> {
    Ok(used(&tree(server.pid())?)?.cpu_s)
}

/// What a process and its children have used since they started.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    cpu_s: f64,
    written_bytes: f64,
    /// Only what was not in the page cache.
    read_bytes: f64,
}

/// User and system time, own and of children that ended, and bytes to and from storage.
fn used(pids: &[u32]) -> Result<Used> {
    let mut sum = Used::default();
    for pid in pids {
        let ticks: f64 = stat(*pid)?.iter().skip(11).take(4).sum();
        sum.cpu_s += ticks / TICKS_PER_S;
        let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        sum.written_bytes += field(&text, "write_bytes:").unwrap_or(0.0);
        sum.read_bytes += field(&text, "read_bytes:").unwrap_or(0.0);
    }
    Ok(sum)
}

/// CPU seconds of the whole machine, and of the children that we have waited for.
#[derive(Clone, Copy, Debug)]
struct Machine {
    busy_s: f64,
    ours_s: f64,
}

fn machine() -> Result<Machine> {
    let text = fs::read_to_string("/proc/stat")?;
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    // user nice system idle iowait irq softirq
    let busy = [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|at| ticks.get(*at))
        .sum::<f64>();
    let own = stat(std::process::id())?;
    let ours = own.iter().skip(13).take(2).sum::<f64>();
    Ok(Machine {
        busy_s: busy / TICKS_PER_S,
        ours_s: ours / TICKS_PER_S,
    })
}

fn machine_seconds_since(before: Machine) -> Result<Machine> {
    let now = machine()?;
    Ok(Machine {
        busy_s: now.busy_s - before.busy_s,
        ours_s: now.ours_s - before.ours_s,
    })
}

/// `major:minor` of the device under a folder.
fn disk_of(folder: &Path) -> String {
    let device = fs::metadata(folder).map_or(0, |found| found.dev());
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    format!("{major}:{minor}")
}

/// Flushes that a device has completed, whoever asked for them; None where it is not told.
fn flushes(disk: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/sys/dev/block/{disk}/stat")).ok()?;
    text.split_whitespace().nth(FLUSHES_AT)?.parse().ok()
}

/// The next reading of the highest memory is of what follows.
fn forget_peak(pid: u32) {
    // Where this is not allowed the peak is that of the whole life.
    fs::write(format!("/proc/{pid}/clear_refs"), "5").ok();
}

/// Resident memory of a server: now (`VmRSS:`) or at its highest (`VmHWM:`), MiB.
pub fn memory_mib(pids: &[u32], what: &str) -> f64 {
    let of = |pid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        field(&text, what).unwrap_or(0.0)
    };
    pids.iter().map(of).sum::<f64>() / 1024.0
}

/// Memory of a server and its children now, MiB.
///
/// # Errors
/// When the process table cannot be read.
pub fn idle_mib(server: &Broker) -> Result<f64> {
    Ok(memory_mib(&tree(server.pid())?, "VmRSS:"))
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_measured_with_its_children() -> Result<()> {
        let mut child = std::process::Command::new("sleep").arg("60").spawn()?;
        let own = std::process::id();
        let pids = tree(own)?;
        child.kill()?;
        child.wait()?;
        assert!(
            pids.contains(&own) && pids.contains(&child.id()),
            "{pids:?}"
        );
        assert!(memory_mib(&[own], "VmRSS:") > 0.5);
        let before = machine()?;
        assert!(before.busy_s > 0.0 && machine_seconds_since(before)?.busy_s >= 0.0);
        Ok(())
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n";
        assert_eq!(field(text, "write_bytes:"), Some(4096.0));
        assert_eq!(field(text, "nothing:"), None);
    }
}
