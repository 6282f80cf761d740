//! The process and its disk, looked at once a second, and whether they grow.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::SLACK_BYTES;
use super::faults::lock;
use crate::load::admin::live_bytes;
use crate::load::ledger::Ledger;
use crate::load::server::Server;
use crate::observe;
use crate::trend::{Trend, median, thin};

const EVERY: Duration = Duration::from_secs(1);
/// Seconds of which the median is one point of a trend.
const POINT_SECONDS: f64 = 5.0;
/// The first part of the long life, in which caches fill and the allocator comes to hold pages of
/// every size, is left out of its trends.
const WARM_UP: f64 = 1.0 / 3.0;
/// Memory breathes over minutes: a shorter long life is told, and not judged.
const JUDGED_SECONDS_MIN: f64 = 900.0;
/// A life shorter than this says nothing about memory.
const LIFE_SECONDS_MIN: f64 = 5.0;
/// A trend is a growth only if in an hour it would add more than this part of the median.
const GROWTH_AN_HOUR_MAX: f64 = 0.05;
/// The same for counts, which are small.
const COUNT_AN_HOUR_MAX: f64 = 4.0;
/// The same for the disk beyond 1.5 times the live bytes, which moves by whole files.
const DISK_AN_HOUR_MAX: f64 = (16 << 20) as f64;
const HOUR: f64 = 3600.0;

struct Sample {
    seconds: f64,
    pid: u32,
    figures: observe::Figures,
    disk_bytes: u64,
    live_bytes: u64,
}

#[derive(Default)]
struct Kept {
    samples: Vec<Sample>,
    /// From then on the process is not killed any more.
    lives_on_seconds: Option<f64>,
}

/// A thread that looks; ended by [`Samples::close`].
pub struct Samples {
    kept: Arc<Mutex<Kept>>,
    started: Instant,
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What was measured.
#[derive(Debug, Default, serde::Serialize)]
pub struct Growth {
    pub samples: usize,
    pub long_life_seconds: f64,
    /// In bytes and counts an hour, over the long life.
    pub rss: Option<Trend>,
    pub files_open: Option<Trend>,
    pub threads: Option<Trend>,
    /// What the disk holds beyond 1.5 times the live bytes.
    pub disk_slack: Option<Trend>,
    /// The median memory of each life, over the time of the whole run.
    pub rss_by_life: Option<Trend>,
    pub rss_median_bytes: f64,
    pub rss_max_bytes: u64,
    pub files_open_max: u64,
    pub threads_max: u64,
    pub disk_max_bytes: u64,
    pub live_max_bytes: u64,
    /// The most that the disk held beyond 1.5 times the live bytes.
    pub slack_used_max_bytes: u64,
    pub slack_allowed_bytes: u64,
}

impl Samples {
    pub fn start(server: &Arc<Mutex<Server>>, data: PathBuf, ledger: Arc<Ledger>) -> Samples {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let is_stopped = Arc::new(AtomicBool::new(false));
        let started = Instant::now();
        let thread = {
            let (kept, server, is_stopped) = (
                Arc::clone(&kept),
                Arc::clone(server),
                Arc::clone(&is_stopped),
            );
            thread::spawn(move || {
                while !is_stopped.load(Ordering::Relaxed) {
                    if let Some(sample) = look(&server, &data, started) {
                        hold_disk(&sample, &ledger);
                        lock(&kept).samples.push(sample);
                    }
                    thread::sleep(EVERY);
                }
            })
        };
        Samples {
            kept,
            started,
            is_stopped,
            thread,
        }
    }

    /// The process will not be killed any more.
    pub fn lives_on(&self) {
        lock(&self.kept).lives_on_seconds = Some(self.started.elapsed().as_secs_f64());
    }

    /// Ends looking, keeps every sample in a table, and tells what grew.
    pub fn close(self, ledger: &Ledger, table: &Path) -> Growth {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.thread.join().ok();
        if let Err(error) = std::fs::write(table, lines(&lock(&self.kept).samples)) {
            println!("!! {} cannot be written: {error}", table.display());
        }
        let growth = growth(&lock(&self.kept));
        let trends = [
            ("memory over the long life", growth.rss, None),
            ("memory from life to life", growth.rss_by_life, None),
            ("open files", growth.files_open, Some(COUNT_AN_HOUR_MAX)),
            ("threads", growth.threads, Some(COUNT_AN_HOUR_MAX)),
            ("the disk", growth.disk_slack, Some(DISK_AN_HOUR_MAX)),
        ];
        for (what, trend, allowed) in trends {
            let Some(trend) = trend.filter(|_| growth.long_life_seconds >= JUDGED_SECONDS_MIN)
            else {
                continue;
            };
            if trend.grows_more_than(allowed.unwrap_or(trend.median * GROWTH_AN_HOUR_MAX)) {
                ledger.violation(format!("{what} grows: {trend:?} an hour"));
            }
        }
        growth
    }
}

fn lines(samples: &[Sample]) -> String {
    let mut text = "seconds,pid,rss_bytes,threads,files_open,disk_bytes,live_bytes\n".to_owned();
    for sample in samples {
        let figures = &sample.figures;
        text += &format!(
            "{:.1},{},{},{},{},{},{}\n",
            sample.seconds,
            sample.pid,
            figures.rss_bytes,
            figures.threads,
            figures.files_open,
            sample.disk_bytes,
            sample.live_bytes
        );
    }
    text
}

/// A sample; None while the process is down or does not answer.
fn look(server: &Mutex<Server>, data: &Path, started: Instant) -> Option<Sample> {
    let (pid, address) = {
        let server = lock(server);
        (server.pid()?, server.address.clone())
    };
    // Disk first: what is deleted in between makes the bound looser for the disk, not tighter.
    let live_before: u64 = live_bytes(&address)
        .ok()?
        .iter()
        .map(|(_, bytes)| bytes)
        .sum();
    let disk_bytes = observe::disk_bytes(data);
    let live_after: u64 = live_bytes(&address)
        .ok()?
        .iter()
        .map(|(_, bytes)| bytes)
        .sum();
    Some(Sample {
        seconds: started.elapsed().as_secs_f64(),
        pid,
        figures: observe::process(pid)?,
        disk_bytes,
        live_bytes: live_before.max(live_after),
    })
}

fn slack_used(sample: &Sample) -> u64 {
    sample
        .disk_bytes
        .saturating_sub(sample.live_bytes + sample.live_bytes / 2)
}

fn hold_disk(sample: &Sample, ledger: &Ledger) {
    if slack_used(sample) > SLACK_BYTES {
        ledger.violation(format!(
            "the disk holds {} bytes for {} live ones: more than 1.5 times and {SLACK_BYTES}",
            sample.disk_bytes, sample.live_bytes
        ));
    }
}

fn growth(kept: &Kept) -> Growth {
    let samples = &kept.samples;
    let end = samples.last().map_or(0.0, |sample| sample.seconds);
    let from = kept.lives_on_seconds.unwrap_or(end);
    let long_life_seconds = end - from;
    let warm = from + long_life_seconds * WARM_UP;
    let trend = |value: fn(&Sample) -> u64| {
        let long = samples.iter().filter(|sample| sample.seconds >= warm);
        let points: Vec<_> = long
            .map(|sample| (sample.seconds, value(sample) as f64))
            .collect();
        Trend::of(&in_hours(&thin(&points, POINT_SECONDS)))
    };
    let most = |value: fn(&Sample) -> u64| samples.iter().map(value).max().unwrap_or(0);
    let all_rss = samples.iter().map(|s| s.figures.rss_bytes as f64).collect();
    Growth {
        samples: samples.len(),
        long_life_seconds,
        rss: trend(|sample| sample.figures.rss_bytes),
        files_open: trend(|sample| sample.figures.files_open),
        threads: trend(|sample| sample.figures.threads),
        disk_slack: trend(slack_used),
        rss_by_life: Trend::of(&in_hours(&by_life(samples))),
        rss_median_bytes: median(all_rss).unwrap_or(0.0),
        rss_max_bytes: most(|sample| sample.figures.rss_bytes),
        files_open_max: most(|sample| sample.figures.files_open),
        threads_max: most(|sample| sample.figures.threads),
        disk_max_bytes: most(|sample| sample.disk_bytes),
        live_max_bytes: most(|sample| sample.live_bytes),
        slack_used_max_bytes: most(slack_used),
        slack_allowed_bytes: SLACK_BYTES,
    }
}

fn in_hours(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points
        .iter()
        .map(|(time, value)| (time / HOUR, *value))
        .collect()
}

/// The median memory of each life that is long enough, but for the long last one.
fn by_life(samples: &[Sample]) -> Vec<(f64, f64)> {
    let lives = samples.chunk_by(|a, b| a.pid == b.pid);
    let points = lives.filter_map(|life| {
        let (first, last) = (life.first()?, life.last()?);
        let rss = life.iter().map(|s| s.figures.rss_bytes as f64).collect();
        (last.seconds - first.seconds >= LIFE_SECONDS_MIN)
            .then(|| Some((first.seconds, median(rss)?)))?
    });
    let mut points: Vec<_> = points.collect();
    points.pop();
    points
}
