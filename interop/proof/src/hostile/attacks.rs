//! The list of attacks, and those that need nothing but connections.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::net::sockopt::set_socket_linger;

use super::{Plan, Target, bombs, pressure, sqs};
use crate::load::Random;

/// Memory beside the budgets that any load may take: caches, buffers of the allocator.
const SLACK_MB: u64 = 64;
/// What a connection may cost before it has sent a request, in KiB: its task, its buffer.
const CONNECTION_KIB: u64 = 12;

/// Connections that are only open.
const IDLE: usize = 9_000;
/// Connections that send a byte now and then.
const SLOW: usize = 2_000;
pub const SLOW_PAUSE: Duration = Duration::from_millis(250);
/// Connections that claim to send 100 MB.
const CLAIMS: usize = 3_000;
const CLAIM_BYTES: i32 = 100_000_000;
pub const FLOODERS: usize = 3;

/// One attack.
pub struct Attack {
    pub name: &'static str,
    /// Connections that it holds open.
    connections: usize,
    /// Whether it may fill the budgets of requests and answers.
    fills_budgets: bool,
    /// Memory that opened batches or decoded requests may take beside the budgets, in MiB.
    opened_mb: u64,
    /// Attacks until it is over; sets the flag when the attack stands. Says what it did.
    pub run: fn(&Target<'_>, &Arc<AtomicBool>) -> Result<String>,
}

/// Every attack, in the order in which they run.
pub const ALL: &[Attack] = &[
    attack("flood", 100, false, 0, flood),
    attack("garbage", 100, true, 0, garbage),
    attack("idle", IDLE, false, 0, idle),
    attack("slow", SLOW, true, 0, slow),
    attack("claims", CLAIMS, true, 0, claims),
    attack("unread", 100, true, 0, pressure::unread),
    attack(
        "polls",
        100,
        true,
        pressure::DECODED_MB_MAX,
        pressure::polls,
    ),
    attack("bombs", 100, true, bombs::OPENED_MB_MAX, bombs::run),
    attack("sqs-flood", 100, false, 0, sqs::flood),
    attack("sqs-idle", sqs::IDLE, false, 0, sqs::idle),
    attack("sqs-heads", sqs::SLOW, false, 0, sqs::heads),
    attack("sqs-bodies", sqs::SLOW, true, 0, sqs::bodies),
    attack("sqs-large", sqs::SLOW, true, 0, sqs::large_bodies),
    attack("sqs-claims", sqs::SLOW, false, 0, sqs::claims),
    attack("sqs-deep", 100, true, 0, sqs::deep),
    attack("sqs-polls", sqs::POLLS, false, 0, sqs::polls),
];

const fn attack(
    name: &'static str,
    connections: usize,
    fills_budgets: bool,
    opened_mb: u64,
    run: fn(&Target<'_>, &Arc<AtomicBool>) -> Result<String>,
) -> Attack {
    Attack {
        name,
        connections,
        fills_budgets,
        opened_mb,
        run,
    }
}

/// The names of the attacks.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|attack| attack.name).collect()
}

impl Attack {
    /// By how much memory may grow: what the settings allow and no more.
    pub fn allowed_mb(&self, plan: &Plan) -> u64 {
        let connections = self.connections as u64 * CONNECTION_KIB / 1024;
        let budgets = (plan.request_bytes + plan.response_bytes) >> 20;
        let budgets = if self.fills_budgets { budgets } else { 0 };
        SLACK_MB + connections + budgets + self.opened_mb
    }
}

/// Connects; ends with a reset, so that neither side keeps the port.
pub fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).context("the broker does not accept")?;
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    Ok(stream)
}

pub fn wait_until_over(target: &Target<'_>) {
    while !target.is_over() {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Connections opened and dropped as fast as they come.
fn flood(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let count = AtomicU64::new(0);
    ready.store(true, Ordering::Release);
    repeat(target, FLOODERS, |_| {
        if connect(target.address).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let count = count.into_inner();
    Ok(format!("{count} connections opened and dropped"))
}

/// Threads that do the same until the attack is over.
pub fn repeat(target: &Target<'_>, threads: usize, act: impl Fn(&mut Random) + Sync) {
    thread::scope(|scope| {
        for number in 0..threads {
            let act = &act;
            scope.spawn(move || {
                let mut random = Random(number as u64 * 2 + 1);
                while !target.is_over() {
                    act(&mut random);
                }
            });
        }
    });
}

/// Frames of random bytes: each closes its connection, and may be logged.
fn garbage(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let count = AtomicU64::new(0);
    ready.store(true, Ordering::Release);
    repeat(target, FLOODERS, |random| {
        let Ok(mut stream) = connect(target.address) else {
            return;
        };
        let length = random.within(1..2000) as usize;
        let mut bytes = (length as u32).to_be_bytes().to_vec();
        bytes.extend([0, random.within(0..70) as u8, 0, random.within(0..12) as u8]);
        bytes.extend((4..length).map(|_| random.number() as u8));
        let _ = stream.write_all(&bytes);
        count.fetch_add(1, Ordering::Relaxed);
    });
    let count = count.into_inner();
    Ok(format!("{count} connections with a frame of random bytes"))
}

/// Opens so many connections and sends each the same beginning.
pub fn hold(address: &str, count: usize, beginning: &[u8]) -> Result<Vec<TcpStream>> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = connect(address)?;
        stream.write_all(beginning)?;
        held.push(stream);
    }
    Ok(held)
}

/// Many connections of which nothing comes, half of them within the size of a request.
fn idle(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let silent = hold(target.address, IDLE / 2, &[])?;
    let half = hold(target.address, IDLE / 2, &[0, 0])?;
    ready.store(true, Ordering::Release);
    wait_until_over(target);
    let count = silent.len() + half.len();
    Ok(format!(
        "{count} connections held, half of them with half a size"
    ))
}

/// A byte now and then of a request that never ends.
fn slow(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let mut held = hold(target.address, SLOW, &5_000i32.to_be_bytes())?;
    ready.store(true, Ordering::Release);
    let mut bytes = 0;
    while !target.is_over() {
        for stream in &mut held {
            bytes += usize::from(stream.write_all(&[0]).is_ok());
        }
        thread::sleep(SLOW_PAUSE);
    }
    Ok(format!("{bytes} single bytes over {SLOW} connections"))
}

/// Claims of 100 MB on many connections: some bytes come, and whoever is closed comes again.
fn claims(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let beginning = [&CLAIM_BYTES.to_be_bytes()[..], &[0; 1000]].concat();
    let mut held = hold(target.address, CLAIMS, &beginning)?;
    ready.store(true, Ordering::Release);
    let mut again = 0;
    while !target.is_over() {
        for stream in &mut held {
            if stream.write_all(&[0; 64]).is_err()
                && let Ok(mut fresh) = connect(target.address)
            {
                let _ = fresh.write_all(&beginning);
                *stream = fresh;
                again += 1;
            }
        }
        thread::sleep(SLOW_PAUSE);
    }
    Ok(format!("{CLAIMS} claims of 100 MB, {again} made again"))
}
