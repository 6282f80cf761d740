//! What goes on beside the producers: a backfill, a churn that makes the broker snapshot and
//! rewrite, a flood.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::beside::Work;
use crate::bench::cold;
use crate::bench::systems::binary;
use crate::process;
use crate::scale::driver::{Driver, median, number};

/// The topic that the backfill reads.
pub const BIG_TOPIC: &str = "big";
/// Of which retention keeps little.
pub const CHURN_TOPIC: &str = "churn";
/// Between the churn in the log, and kept: so that segments are sparse and not empty.
pub const KEPT_TOPIC: &str = "kept";
/// Records of 1 KiB a second that go, and that stay.
const RATES: [u64; 2] = [20_000, 4_000];
/// A portion of what is written before: of those that go, and of those that stay.
const FILL_RECORDS: [u64; 2] = [8_000, 800];
const CHURN_SLICE_S: u64 = 2;
const POLL: Duration = Duration::from_millis(10);

/// Reads the big topic from its start, cold, again and again.
pub struct Backfill<'a> {
    driver: &'a Driver,
    passes: AtomicUsize,
}

impl<'a> Backfill<'a> {
    pub fn new(driver: &'a Driver) -> Self {
        let passes = AtomicUsize::new(0);
        Self { driver, passes }
    }

    /// One pass: MB/s, and how the page cache was dropped before. None when it was ended early.
    ///
    /// # Errors
    /// When an answer was wrong.
    pub fn pass(&self, over: &AtomicBool) -> Result<Option<(f64, Value)>> {
        let cooled = cold::cool(&self.driver.data())?;
        let read = self.driver.begin(&["consume", "--topic", BIG_TOPIC])?;
        let figures = read.end_before(over)?;
        self.passes.fetch_add(1, Ordering::Relaxed);
        let dropped_by = cooled.get("dropped_by").cloned().unwrap_or_default();
        Ok(figures.map(|figures| (number(&figures, "mb_per_s"), dropped_by)))
    }
}

impl Work for Backfill<'_> {
    fn name(&self) -> &'static str {
        "backfill"
    }

    fn run(&self, over: &AtomicBool) -> Result<Value> {
        let (mut speeds, mut how) = (Vec::new(), Value::Null);
        while !over.load(Ordering::Relaxed) {
            // One that outlasts the producers was not beside them throughout.
            if let Some((speed, dropped_by)) = self.pass(over)? {
                speeds.push(speed);
                how = dropped_by;
            }
        }
        let speed = median(speeds.clone());
        Ok(json!({ "mb_per_s": speed, "mb_per_s_of_passes": speeds, "dropped_by": how }))
    }

    fn is_enough(&self) -> bool {
        self.passes.load(Ordering::Relaxed) > 0
    }
}

/// Writes what retention soon takes, with some that stays between it.
pub struct Churn<'a> {
    driver: &'a Driver,
    seen: AtomicBool,
}

impl<'a> Churn<'a> {
    pub fn new(driver: &'a Driver) -> Self {
        let seen = AtomicBool::new(false);
        Self { driver, seen }
    }

    /// Bytes that were rewritten so far.
    fn rewritten(&self) -> Result<f64> {
        self.driver.counter("levada_rewritten_bytes_total")
    }

    /// So many records to both topics, at these rates if given, or until `over`.
    fn write(&self, counts: [u64; 2], rates: Option<[u64; 2]>, over: &AtomicBool) -> Result<()> {
        let begin = |topic: &str, at: usize| {
            let count = counts[at].to_string();
            let rate = rates.map(|rates| rates[at].to_string());
            let mut words = vec![
                "produce", "--topic", topic, "--batch", "16", "--count", &count,
            ];
            words.extend(rate.iter().flat_map(|rate| ["--rate", rate]));
            self.driver.begin(&words)
        };
        let (churn, kept) = (begin(CHURN_TOPIC, 0)?, begin(KEPT_TOPIC, 1)?);
        let churn = churn.end_before(over);
        kept.end_before(over)?;
        churn.map(drop)
    }

    /// Writes so many bytes of churn as fast as it goes, in portions smaller than a log file, so that
    /// each file has some of what is kept.
    ///
    /// # Errors
    /// When an answer was wrong.
    pub fn fill(&self, bytes: f64) -> Result<()> {
        let portions = bytes / (FILL_RECORDS[0] * 1024) as f64;
        let over = AtomicBool::new(false);
        (0..portions.ceil() as u64).try_for_each(|_| self.write(FILL_RECORDS, None, &over))
    }

    fn snapshots(&self) -> BTreeSet<std::ffi::OsString> {
        let entries = fs::read_dir(self.driver.data().join("snapshot"));
        let entries = entries.into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).collect()
    }
}

impl Work for Churn<'_> {
    fn name(&self) -> &'static str {
        "churn"
    }

    fn run(&self, over: &AtomicBool) -> Result<Value> {
        let before = self.rewritten()?;
        let mut snapshots = BTreeSet::new();
        let old = self.snapshots();
        while !over.load(Ordering::Relaxed) {
            let counts = RATES.map(|rate| rate * CHURN_SLICE_S);
            self.write(counts, Some(RATES), over)?;
            snapshots.extend(self.snapshots().difference(&old).cloned());
            let both = !snapshots.is_empty() && self.rewritten()? > before;
            self.seen.store(both, Ordering::Relaxed);
        }
        let rewritten_mb = (self.rewritten()? - before) / 1e6;
        Ok(json!({ "rewritten_mb": rewritten_mb, "snapshots": snapshots.len() }))
    }

    /// Both a snapshot and a rewrite have been seen.
    fn is_enough(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }
}

/// A client that opens connections as fast as it can, and one that sends garbage on each. They yield
/// to whoever wants the machine: an attacker has a machine of his own.
pub struct Flood<'a> {
    pub driver: &'a Driver,
}

impl Work for Flood<'_> {
    fn name(&self) -> &'static str {
        "flood"
    }

    fn run(&self, over: &AtomicBool) -> Result<Value> {
        let mut flood = process::command("nice");
        flood.args(["-n", "19"]).arg(binary("levada-hostile"));
        flood.args(["--attack", "flood", "--attack", "garbage"]);
        flood.args(["--against", self.driver.address()]);
        // It ends when its standard input does.
        flood.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = flood.spawn().context("the flood does not start")?;
        while !over.load(Ordering::Relaxed) {
            if let Some(status) = child.try_wait()? {
                bail!("the flood ended by itself: {status}");
            }
            thread::sleep(POLL);
        }
        drop(child.stdin.take());
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "the flood failed");
        let did = String::from_utf8_lossy(&output.stdout);
        Ok(json!(did.lines().collect::<Vec<_>>()))
    }
}
