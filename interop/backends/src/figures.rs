//! What the backends cost on this machine: latencies, printed as a table.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use levada_env::port::Urgency;
use levada_env::{Env, Random, SeededRandom};
use levada_journal::Journal;
use levada_journal::object::{ObjectSettings, open_s3};
use levada_sequencer::command_log::CommandLog;
use levada_sequencer::command_log::postgres::{PostgresLog, PostgresSettings};

use crate::servers::{Postgres, Seaweed};

const APPENDS: usize = 2000;
const SEGMENTS: usize = 40;
const SEGMENT_BYTES: usize = 8 << 20;

/// Measures both, one request at a time.
///
/// # Errors
/// When a server does not start or refuses.
pub async fn print(weed: &Path, postgres: &Path) -> Result<()> {
    println!("{:<44} {:>8} {:>10} {:>10}", "", "times", "p50", "p99");
    appends(postgres).await?;
    segments(weed).await
}

fn bytes(count: usize) -> Bytes {
    let mut bytes = vec![0; count];
    SeededRandom::new(1).fill(&mut bytes);
    bytes.into()
}

async fn appends(programs: &Path) -> Result<()> {
    let server = Postgres::start(programs).await?;
    let settings = PostgresSettings {
        connection: Postgres::connection(server.address()),
        ..PostgresSettings::default()
    };
    let log = PostgresLog::open(Env::real(), settings).await?;
    for size in [2_000, 50_000] {
        let record = bytes(size);
        let append = || async {
            let appending = log.append(record.clone(), Vec::new(), Urgency::Normal)?;
            Ok(appending.durable.await?)
        };
        let name = format!("PostgreSQL: append of {size} bytes");
        measure(&name, APPENDS, append).await?;
    }
    Ok(())
}

async fn segments(weed: &Path) -> Result<()> {
    let server = Seaweed::start(weed).await?;
    let journal = open_s3(Env::real(), &server.s3(), ObjectSettings::default()).await?;
    let segment = bytes(SEGMENT_BYTES);
    let put = || async {
        let staged = journal.stage(vec![segment.clone()], Urgency::Normal)?;
        Ok(staged.ticket.await?)
    };
    measure("SeaweedFS: segment of 8 MiB", SEGMENTS, put).await?;
    let staged = journal.stage(vec![segment.clone()], Urgency::Normal)?;
    staged.ticket.await?;
    for (name, length) in [("1 MiB", 1 << 20), ("4 KiB", 4 << 10)] {
        let part = staged.extent.part(3 << 20, length);
        let read = || async {
            journal.read(part).await?;
            Ok(())
        };
        let name = format!("SeaweedFS: read of {name} in the middle");
        measure(&name, SEGMENTS, read).await?;
    }
    Ok(())
}

async fn measure<F: Future<Output = Result<()>>>(
    name: &str,
    times: usize,
    run: impl Fn() -> F,
) -> Result<()> {
    let mut taken = Vec::with_capacity(times);
    // The first tenth warms connections and caches.
    for time in 0..times + times / 10 {
        let started = Instant::now();
        run().await?;
        if time >= times / 10 {
            taken.push(started.elapsed());
        }
    }
    taken.sort_unstable();
    let at = |part: f64| show(taken[((times - 1) as f64 * part) as usize]);
    println!("{name:<44} {times:>8} {:>10} {:>10}", at(0.5), at(0.99));
    Ok(())
}

fn show(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
