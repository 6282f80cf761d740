//! Attacks a running broker and measures what others feel of it.
//!
//! Each attack lasts a while. During it a client that behaves must keep its latency, the broker's
//! memory must stay below what its settings allow, and its log must not fill with the attacker's
//! doing. After it the file descriptors must be back.

mod attacks;
mod bombs;
mod client;
mod observe;
mod pressure;
mod sqs;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::load::server::Server;
use client::Client;
use observe::Process;

pub use attacks::names;

/// The topic of the client that behaves.
const GOOD_TOPIC: &str = "good";
/// Topics that the attackers use.
const BAD_TOPIC: &str = "bad";
const COMPACTED_TOPIC: &str = "compacted";
/// Has many partitions, into which nobody writes.
const WIDE_TOPIC: &str = "wide";
const WIDE_PARTITIONS: i32 = 2_000;
/// How long file descriptors may take to come back, and memory to settle.
const RECOVERY_WAIT: Duration = Duration::from_secs(15);
/// Descriptors that may come and go without an attack: log files, the client's own connections.
const DESCRIPTORS_SLACK: usize = 16;
/// Latency that an attack may add, beside ten times what it was: attackers and broker share this
/// machine, and the broker gives those that hold memory for nothing a second before it lets them go.
const P99_SLACK_MS: f64 = 2_500.0;
/// Lines that the broker may log in an attack, and more for each second: a gate lets one pass.
const LINES_MIN: u64 = 5;
const LINES_PER_SECOND: u64 = 3;

/// What to do.
pub struct Plan {
    /// Starts the broker; `{address}`, `{sqs}` and `{data}` are filled in.
    pub command: Vec<String>,
    pub folder: PathBuf,
    /// How long each attack lasts.
    pub seconds: u64,
    /// Only these attacks; all for none.
    pub only: Vec<String>,
    /// What the broker's settings allow for requests and for answers, in bytes.
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// What one attack came to.
#[derive(serde::Serialize)]
pub struct Report {
    pub attack: &'static str,
    /// What the attackers did, in their own words.
    pub did: String,
    pub p99_before_ms: f64,
    pub p99_during_ms: f64,
    pub worst_during_ms: f64,
    pub answers_during: usize,
    pub rss_before_mb: u64,
    pub rss_peak_mb: u64,
    pub rss_allowed_mb: u64,
    pub descriptors_before: usize,
    pub descriptors_peak: usize,
    pub descriptors_after: usize,
    pub lines: u64,
    /// Promises that were broken.
    pub broken: Vec<String>,
}

/// What an attack needs to know and to tell.
pub struct Target<'a> {
    pub address: &'a str,
    /// Of the SQS listener, where it is attacked too.
    pub sqs: Option<&'a str>,
    /// Set when the attack's time is over.
    pub over: &'a AtomicBool,
}

impl Target<'_> {
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Runs the attacks one after the other on one broker.
///
/// # Errors
/// When the broker or an attack cannot be started.
pub fn run(plan: &Plan) -> Result<Vec<Report>> {
    let data = plan.folder.join("data");
    std::fs::create_dir_all(&data)?;
    let sqs = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .to_string();
    let words = plan.command.iter().map(|word| word.replace("{sqs}", &sqs));
    let words: Vec<String> = words.collect();
    let mut server = Server::new(&words, &plan.folder, data)?;
    server.start()?;
    let pid = server.pid().context("the broker runs")?;
    let process = Process::new(pid, plan.folder.join("broker.log"));
    client::create_topics(&server.address)?;
    sqs::create_queues(&sqs)?;
    let mut reports = Vec::new();
    for attack in attacks::ALL {
        if !plan.only.is_empty() && !plan.only.iter().any(|name| name == attack.name) {
            continue;
        }
        let report = one(plan, attack, (&server.address, &sqs), &process)
            .with_context(|| format!("the attack {}", attack.name))?;
        print(&report);
        reports.push(report);
        anyhow::ensure!(server.is_running(), "the broker ended in {}", attack.name);
    }
    Ok(reports)
}

/// Attacks a broker that somebody else runs and measures, with all of these at once, until `over` is
/// set. What each did, in its own words.
///
/// # Errors
/// When the broker does not accept any more.
pub fn attack(address: &str, only: &[String], over: &AtomicBool) -> Result<Vec<String>> {
    let chosen = attacks::ALL.iter();
    let chosen = chosen.filter(|attack| only.iter().any(|name| name == attack.name));
    let target = &Target {
        address,
        sqs: None,
        over,
    };
    let ready = &Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let running: Vec<_> = chosen
            .map(|attack| scope.spawn(move || (attack.run)(target, ready)))
            .collect();
        let joined = running.into_iter().map(|attacker| {
            let did = attacker.join();
            did.map_err(|_| anyhow::anyhow!("the attacker panicked"))?
        });
        joined.collect()
    })
}

fn one(
    plan: &Plan,
    attack: &attacks::Attack,
    (address, sqs): (&str, &str),
    process: &Process,
) -> Result<Report> {
    let length = Duration::from_secs(plan.seconds);
    let before = Client::measure((address, sqs), length / 2, &|| {});
    let (rss_before, descriptors_before, lines_before) =
        (process.rss_mb()?, process.descriptors()?, process.lines()?);
    let (over, peaks) = (AtomicBool::new(false), Mutex::new((0u64, 0usize)));
    let sample = || {
        let (rss, descriptors) = (process.rss_mb(), process.descriptors());
        let mut peaks = peaks
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        peaks.0 = peaks.0.max(rss.unwrap_or(0));
        peaks.1 = peaks.1.max(descriptors.unwrap_or(0));
    };
    let target = Target {
        address,
        sqs: Some(sqs),
        over: &over,
    };
    let ready = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let (did, during) = thread::scope(|scope| {
        let attacker = scope.spawn(|| (attack.run)(&target, &ready));
        while !ready.load(Ordering::Acquire) && !attacker.is_finished() {
            sample();
            thread::sleep(Duration::from_millis(20));
        }
        let during = Client::measure((address, sqs), length, &sample);
        over.store(true, Ordering::Relaxed);
        let did = attacker
            .join()
            .map_err(|_| anyhow::anyhow!("the attacker panicked"));
        (did, during)
    });
    let did = did??;
    let lasted = began.elapsed();
    let descriptors_after =
        process.settle(descriptors_before + DESCRIPTORS_SLACK, RECOVERY_WAIT)?;
    let (rss_peak, descriptors_peak) = *peaks
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let lines = process.lines()? - lines_before;
    let allowed = rss_before + attack.allowed_mb(plan);
    let mut report = Report {
        attack: attack.name,
        did,
        p99_before_ms: before.p99_ms(),
        p99_during_ms: during.p99_ms(),
        worst_during_ms: during.worst_ms(),
        answers_during: during.count(),
        rss_before_mb: rss_before,
        rss_peak_mb: rss_peak,
        rss_allowed_mb: allowed,
        descriptors_before,
        descriptors_peak,
        descriptors_after,
        lines,
        broken: during.error.into_iter().collect(),
    };
    let lines_max = LINES_MIN + LINES_PER_SECOND * (lasted.as_secs() + 1);
    report.judge(lines_max);
    Ok(report)
}

impl Report {
    fn judge(&mut self, lines_max: u64) {
        let broken = &mut self.broken;
        let (p99, allowed) = (self.p99_during_ms, 10.0 * self.p99_before_ms + P99_SLACK_MS);
        if p99 > allowed || self.answers_during == 0 {
            broken.push(format!(
                "p99 of another client {p99:.0} ms, allowed {allowed:.0} ms"
            ));
        }
        let (peak, allowed) = (self.rss_peak_mb, self.rss_allowed_mb);
        if peak > allowed {
            broken.push(format!("memory {peak} MiB, allowed {allowed} MiB"));
        }
        let (after, before) = (self.descriptors_after, self.descriptors_before);
        if after > before + DESCRIPTORS_SLACK {
            broken.push(format!(
                "{after} file descriptors are left, {before} before"
            ));
        }
        if self.lines > lines_max {
            broken.push(format!(
                "{} lines in the log, allowed {lines_max}",
                self.lines
            ));
        }
    }
}

fn print(report: &Report) {
    println!(
        "{}: {}\n    another client: p99 {:.1} ms before, {:.1} ms during (worst {:.0} ms, {} answers)\n    \
         memory: {} MiB before, {} MiB at most (allowed {}); descriptors {} -> {} -> {}; {} lines logged",
        report.attack,
        report.did,
        report.p99_before_ms,
        report.p99_during_ms,
        report.worst_during_ms,
        report.answers_during,
        report.rss_before_mb,
        report.rss_peak_mb,
        report.rss_allowed_mb,
        report.descriptors_before,
        report.descriptors_peak,
        report.descriptors_after,
        report.lines,
    );
    for broken in &report.broken {
        println!("    BROKEN: {broken}");
    }
}
