//! Real clients as load generators: librdkafka through `bench/clients/librdkafka.py`, and the
//! performance tools of Apache Kafka's Java client. What they print becomes the figures that
//! `levada bench` would tell.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::loads::{Driver, Kind, Load};
use crate::{process, toolchain};

/// What the Java tools are told to be: as Kafka's own scripts do.
const JVM: &str = "-Xmx512m";
const CONSUMER_TIMEOUT_MS: &str = "30000";

/// Builds or installs what a driver needs.
///
/// # Errors
/// When that cannot be had.
pub fn install(driver: Driver) -> Result<()> {
    match driver {
        Driver::Ours => Ok(()),
        Driver::Librdkafka => toolchain::python().map(drop),
        Driver::Java => toolchain::kafka_jars().map(drop),
    }
}

/// The load as a person would type it, without the broker.
pub fn show(load: &Load) -> String {
    match load.driver {
        Driver::Ours => format!("levada bench {}", load.arguments().join(" ")),
        Driver::Librdkafka => format!("librdkafka.py {}", load.arguments().join(" ")),
        Driver::Java => format!("{} {}", java_class(load), java_arguments(load).join(" ")),
    }
}

/// The command against a broker.
///
/// # Errors
/// When the client cannot be had.
pub fn command(load: &Load, topic: &str, broker: &str) -> Result<Command> {
    if load.driver == Driver::Librdkafka {
        let mut python = process::command(toolchain::python()?);
        python.arg("bench/clients/librdkafka.py");
        python.args(load.arguments());
        python.args(["--topic", topic, "--broker", broker]);
        return Ok(python);
    }
    let mut java = process::command("java");
    java.args([JVM, "-cp", &toolchain::kafka_jars()?]);
    java.arg(format!("org.apache.kafka.tools.{}", java_class(load)));
    java.args(java_arguments(load)).args(["--topic", topic]);
    match load.kind {
        Kind::Consume => java.args(["--bootstrap-server", broker]),
        _ => {
            java.args(["--producer-props", "acks=all"]);
            java.arg(format!("bootstrap.servers={broker}"));
            // At a rate it is the latency that is asked for.
            java.args(load.rate.map(|_| "linger.ms=0"))
        }
    };
    Ok(java)
}

fn java_class(load: &Load) -> &'static str {
    match load.kind {
        Kind::Consume => "ConsumerPerformance",
        _ => "ProducerPerformance",
    }
}

fn java_arguments(load: &Load) -> Vec<String> {
    let (count, size) = (load.count.to_string(), load.size.to_string());
    let rate = load.rate.map_or("-1".to_owned(), |rate| rate.to_string());
    let words = match load.kind {
        Kind::Consume => vec!["--messages", &count, "--timeout", CONSUMER_TIMEOUT_MS],
        _ => vec![
            "--num-records",
            &count,
            "--record-size",
            &size,
            "--throughput",
            &rate,
        ],
    };
    words.into_iter().map(str::to_owned).collect()
}

/// The figures in what the client printed.
///
/// # Errors
/// When it printed something else, or did less than it should.
pub fn figures(load: &Load, stdout: &str) -> Result<Value> {
    match (load.driver, load.kind) {
        (Driver::Java, Kind::Consume) => java_consumer(load, stdout),
        (Driver::Java, _) => java_producer(load, stdout),
        _ => Ok(serde_json::from_str(stdout)?),
    }
}

/// `N records sent, R records/sec (M MB/sec), A ms avg latency, X ms max latency, P ms 50th, ...`, the
/// last line; those before are of parts of the run.
fn java_producer(load: &Load, stdout: &str) -> Result<Value> {
    let mut lines = stdout.lines().filter(|line| line.contains(" ms 99th"));
    let line = lines
        .next_back()
        .context("ProducerPerformance printed no figures")?;
    let before = |mark: &str| -> Result<f64> {
        let part = line.split(',').find(|part| part.contains(mark));
        let number = part.and_then(|part| part.split_whitespace().next()?.parse().ok());
        number.with_context(|| format!("no number before `{mark}` in `{line}`"))
    };
    let (records, rate) = (before(" records sent")?, before(" records/sec")?);
    ensure!(
        records == load.count as f64,
        "of {} records {records} were sent",
        load.count
    );
    Ok(json!({
        "records": records,
        "records_per_s": rate,
        "seconds": records / rate,
        "p50_us": before(" ms 50th")? * 1e3,
        "p99_us": before(" ms 99th")? * 1e3,
        "errors": 0,
        "verified": true,
    }))
}

/// A line of names and one of values. Time in which the group formed is not counted.
fn java_consumer(load: &Load, stdout: &str) -> Result<Value> {
    let cells = |line: &str| {
        line.split(',')
            .map(|cell| cell.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let mut lines = stdout
        .lines()
        .skip_while(|line| !line.contains("fetch.time.ms"));
    let names = cells(
        lines
            .next()
            .context("ConsumerPerformance printed no figures")?,
    );
    let values = cells(
        lines
            .next()
            .context("ConsumerPerformance printed no values")?,
    );
    let named = |name: &str| -> Result<f64> {
        let at = names.iter().position(|found| found == name);
        let value = at.and_then(|at| values.get(at)?.parse().ok());
        value.with_context(|| format!("no {name} in `{stdout}`"))
    };
    let (records, seconds) = (
        named("data.consumed.in.nMsg")?,
        named("fetch.time.ms")? / 1e3,
    );
    ensure!(
        records >= load.count as f64,
        "of {} records {records} were read",
        load.count
    );
    Ok(json!({
        "records": records,
        "records_per_s": records / seconds,
        "seconds": seconds,
        "errors": 0,
        "verified": true,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::rows::ROWS;
    use super::*;

    fn load(key: &str) -> Load {
        let row = ROWS.iter().find(|row| row.key == key);
        let load = row.and_then(|row| row.load).expect("a row with a load");
        Load { count: 500, ..load }
    }

    #[test]
    fn the_java_tools_own_words_are_read() -> Result<()> {
        let printed = "301 records sent, 60.2 records/sec (0.06 MB/sec), 3.0 ms avg latency, 9.0 ms max latency.\n\
            500 records sent, 1250.5 records/sec (1.22 MB/sec), 2.10 ms avg latency, 40.00 ms max latency, \
            2 ms 50th, 4 ms 95th, 8 ms 99th, 40 ms 99.9th.\n";
        let found = figures(&load("java-produce"), printed)?;
        assert_eq!(
            (&found["records_per_s"], &found["p99_us"]),
            (&json!(1250.5), &json!(8000.0))
        );
        let printed = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, \
            rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n\
            2026-01-01 00:00:00:000, 2026-01-01 00:00:01:000, 0.5, 0.5, 512, 512.0, 750, 250, 2.0, 2048.0\n";
        let found = figures(&load("java-consume"), printed)?;
        assert_eq!(found["records_per_s"], json!(2048.0));
        assert!(figures(&load("java-produce"), "usage: ...").is_err());
        Ok(())
    }
}
