//! Partitions that lie interleaved in the log, each read by itself from a cold disk, and what
//! the disk gives when the same files are read from start to end.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::figures::Results;
use super::loads::Load;
use super::measure::{self, drive};
use super::rows::{COLD_LIMIT, COLD_PARTITIONS, Row};
use super::systems::{System, binary};
use crate::broker::{Broker, Kind};
use crate::process;

/// So much of the files is read for the bound: long enough to be steady, short enough to wait for.
const SEQUENTIAL_BYTES_MAX: u64 = 512 << 20;
/// Partitions that are read, evenly among all; the page tells their median.
const PARTITIONS_READ: u32 = 16;
/// Less than this part of the records from the device, and they came from memory.
const DEVICE_SHARE_MIN: f64 = 0.9;

/// Writes, stops the server, starts it again, drops the page cache, reads; on Levada. The cache goes
/// last: a start reads the log itself.
///
/// # Errors
/// When an answer is wrong, the page cache cannot be dropped, or the records did not come from disk.
pub fn run(
    system: &'static System,
    row: &Row,
    shortened: impl Fn(&Load) -> Load,
    folder: &Path,
    results: &mut Results,
) -> Result<()> {
    let (before, load) = row.before.zip(row.load).context("a cold row has loads")?;
    fs::remove_dir_all(folder).ok();
    process::command("sync").status()?;
    let server = Broker::start(Kind::Levada, folder)?;
    drive(system, &server, row.key, &shortened(&before))?;
    drop(server);
    let server = Broker::start(Kind::Levada, folder)?;
    let samples = results.samples.entry((row.key, system.key)).or_default();
    for number in 0..PARTITIONS_READ {
        // A partition's neighbours come along with it: each is read cold by itself.
        cool(&folder.join("data"))?;
        let partition = Some(number * COLD_PARTITIONS / PARTITIONS_READ);
        let load = Load {
            partition,
            ..shortened(&load)
        };
        measure::row(system, &server, row.key, &load, samples)?;
        let device = samples
            .get("device_read_per_byte")
            .and_then(|all| all.last());
        ensure!(
            device.is_some_and(|share| *share >= DEVICE_SHARE_MIN),
            "the records came from memory, not from the disk: {device:?} bytes of it for each read"
        );
    }
    drop(server);
    let mut read = process::command(binary("levada-floor"));
    read.args(["read", "--ending", "log"]);
    read.args(["--bytes", &SEQUENTIAL_BYTES_MAX.to_string()]);
    let read = floor(read.arg("--data").arg(folder.join("data")))?;
    let speed = read.get("mb_per_s").and_then(Value::as_f64);
    let speed = speed.context("`levada-floor read` tells no speed")?;
    results
        .limits
        .entry(COLD_LIMIT.to_owned())
        .or_default()
        .push(speed);
    Ok(())
}

/// Takes the files of a folder out of the page cache; tells how many, and how.
///
/// # Errors
/// When the system does not let go of them.
pub fn cool(data: &Path) -> Result<Value> {
    let mut cool = process::command(binary("levada-floor"));
    floor(cool.arg("cool").arg("--data").arg(data))
}

fn floor(command: &mut std::process::Command) -> Result<Value> {
    let output = command.output()?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(
        output.status.success(),
        "`{}`: {}",
        process::show(command),
        said()
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}
