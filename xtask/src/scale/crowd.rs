//! Idle connections and consumer groups: what each costs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Options;
use super::curve::load;
use super::driver::{Driver, number};

/// An ApiVersions request of version 0 without a client's name: length, API 18, version, id, null.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// Connections first, then groups on a fresh broker.
///
/// # Errors
/// When the broker does not start, refuses a connection or answers wrongly.
pub fn run(options: &Options, folder: &Path) -> Result<Value> {
    let connections = connections(options.connections, folder)?;
    println!("{connections}");
    let groups = groups(options.groups, folder)?;
    println!("{groups}");
    Ok(json!({ "connections": connections, "groups": groups }))
}

/// Opens all, each answered once, and holds them.
fn connections(count: usize, folder: &Path) -> Result<Value> {
    let driver = Driver::fresh(folder, &[])?;
    let before_mb = driver.memory_mb("VmRSS")?;
    let started = Instant::now();
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        let context =
            || format!("connection {number}: are so many open files allowed here (`ulimit -n`)?");
        open.push(connect(driver.address()).with_context(context)?);
    }
    let seconds = started.elapsed().as_secs_f64();
    let with_all_mb = driver.memory_mb("VmRSS")?;
    let beside = driver.bench(&[
        "produce", "--topic", "beside", "--rate", "1000", "--count", "5000", "--batch", "1",
    ])?;
    Ok(json!({
        "connections": count,
        "opened_per_s": count as f64 / seconds,
        "before_mb": before_mb,
        "with_all_mb": with_all_mb,
        "bytes_each": (with_all_mb - before_mb) * 1e6 / count as f64,
        "produce_p99_us_beside": number(&beside, "p99_us"),
    }))
}

fn connect(address: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    stream.write_all(&API_VERSIONS)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer)?;
    Ok(stream)
}

fn groups(count: u64, folder: &Path) -> Result<Value> {
    let driver = Driver::fresh(folder, &[])?;
    load(&driver, "create", (1000, 1), &[])?;
    let before_mb = driver.memory_mb("VmRSS")?;
    let all = count.to_string();
    let committed = load(&driver, "groups", (1000, 1), &["--count", &all])?;
    let with_all_mb = driver.memory_mb("VmRSS")?;
    let (driver, restart) = driver.restart(None)?;
    Ok(json!({
        "groups": count,
        "committed_per_s": number(&committed, "records_per_s"),
        "before_mb": before_mb,
        "with_all_mb": with_all_mb,
        "bytes_each": (with_all_mb - before_mb) * 1e6 / count as f64,
        "restart_ready_ms": restart.ready_ms,
        "restart_ack_ms": restart.first_ack_ms,
        "restarted_mb": driver.memory_mb("VmRSS")?,
    }))
}
