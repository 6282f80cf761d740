//! The process stands still: for moments, and for longer than the sessions of group members last.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Bench;
use crate::load::ledger::Ledger;
use crate::load::verify::Verifier;
use crate::load::{CLIENT_TOPIC, Load, RAW_TOPIC, Shape};

const SESSION_TIMEOUT_MS: u32 = 1500;
const SHORT_MS: std::ops::Range<u64> = 20..800;
const LONG_MS: std::ops::Range<u64> = 1700..2600;
const LOAD_MS: std::ops::Range<u64> = 100..400;
/// Everybody goes on within this time.
const GO_ON_WAIT_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

pub fn run(bench: &mut Bench<'_>) -> Result<()> {
    let settings = [("groups-session-timeout-ms-min", "500")];
    let mut server = bench.server(bench.folder.join("data"), &settings)?;
    server.start()?;
    let shape = Shape {
        seed: bench.plan.seed,
        clients: bench.plan.clients.clone(),
        session_timeout_ms: SESSION_TIMEOUT_MS,
        ..Shape::default()
    };
    let mut load = Load::start(&shape, &server.address, &bench.folder)?;
    let ledger = Arc::clone(&load.ledger);
    let mut verifier = Verifier::new(&server.address);
    for round in 1..=bench.plan.rounds {
        thread::sleep(Duration::from_millis(bench.random.within(LOAD_MS)));
        let is_long = round.is_multiple_of(3);
        let ms = bench
            .random
            .within(if is_long { LONG_MS } else { SHORT_MS });
        server.pause()?;
        thread::sleep(Duration::from_millis(ms));
        server.resume()?;
        bench.outcome.fired += 1;
        bench.outcome.rounds = round;
        if !goes_on(&ledger) {
            ledger.violation(format!(
                "round {round}: not everybody goes on within {GO_ON_WAIT_MAX:?} after {ms} ms of standstill"
            ));
        }
        verifier.check(&ledger, false, &format!("round {round}"));
        if !server.is_running() {
            ledger.violation(format!("the broker ended: {}", server.last_line()));
            break;
        }
        bench.count(if is_long {
            "longer than sessions: everybody goes on"
        } else {
            "short: everybody goes on"
        });
    }
    load.stop();
    verifier.check(&ledger, true, "the end");
    bench.close(&ledger, verifier.read);
    Ok(())
}

/// Every writer's partition and every group's commits have grown.
fn goes_on(ledger: &Ledger) -> bool {
    let before = counts(ledger);
    let started = Instant::now();
    while started.elapsed() < GO_ON_WAIT_MAX {
        let now = counts(ledger);
        if before
            .iter()
            .zip(&now)
            .all(|((_, before), (_, now))| now > before)
        {
            return true;
        }
        thread::sleep(POLL);
    }
    let now = counts(ledger);
    let still = before
        .iter()
        .zip(&now)
        .filter(|(before, now)| before == now);
    for ((who, _), _) in still {
        println!("{who} stands still");
    }
    false
}

fn counts(ledger: &Ledger) -> Vec<(String, i64)> {
    let places = ledger.places().into_iter();
    let loaded = places.filter(|(topic, _)| topic == RAW_TOPIC || topic == CLIENT_TOPIC);
    let mut counts: Vec<_> = loaded
        .map(|place| {
            (
                format!("{place:?}"),
                ledger.last(&place).unwrap_or_default(),
            )
        })
        .collect();
    let mut groups = std::collections::BTreeMap::<String, i64>::new();
    for ((group, _), offset) in ledger.committed() {
        *groups.entry(group).or_default() += offset;
    }
    counts.extend(groups);
    counts
}
