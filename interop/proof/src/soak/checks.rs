//! What is checked between the faults.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::churn::Churn;
use super::faults::{Fault, lock};
use super::{CLIENT_RETENTION_BYTES, RETENTION};
use crate::connection::Connection;
use crate::load::admin::{live_bytes, log_end, log_start, topic_names};
use crate::load::ledger::{Ledger, Place};
use crate::load::server::Server;
use crate::load::verify::{Allowance, Verifier};
use crate::load::{CLIENT_TOPIC, RAW_PRODUCERS, RAW_TOPIC};

/// Every so many faults all that is retained is read again.
const FULL_READ_EVERY: usize = 25;
/// Without kills, what is new is checked after every so many faults.
const CHECK_EVERY: usize = 4;
/// A record's time is taken before it is synced, and a busy disk may sync for seconds.
const RETENTION_MARGIN: Duration = Duration::from_secs(8);
/// Nobody may stand still for longer.
const PROGRESS_WAIT_MAX: Duration = Duration::from_secs(60);

/// When a count grew last.
struct Pulse {
    count: u64,
    grew: Instant,
}

pub struct Checks {
    server: Arc<Mutex<Server>>,
    address: String,
    churn: Arc<Churn>,
    ledger: Arc<Ledger>,
    verifier: Verifier,
    /// Where the raw partitions ended at which time.
    ends: VecDeque<(Instant, Vec<(Place, i64)>)>,
    pulses: BTreeMap<String, Pulse>,
}

impl Checks {
    pub fn new(server: &Arc<Mutex<Server>>, churn: &Arc<Churn>, ledger: &Arc<Ledger>) -> Checks {
        let address = lock(server).address.clone();
        let mut verifier = Verifier::new(&address);
        verifier.allowance = Allowance {
            trimmed: true,
            ..Allowance::default()
        };
        Checks {
            server: Arc::clone(server),
            address,
            churn: Arc::clone(churn),
            ledger: Arc::clone(ledger),
            verifier,
            ends: VecDeque::new(),
            pulses: BTreeMap::new(),
        }
    }

    pub fn read(&self) -> u64 {
        self.verifier.read
    }

    /// After each fault: the promises when it may have lost some, and that everybody goes on.
    pub fn after(&mut self, fault: Fault, number: usize) {
        self.still_runs();
        self.remember_ends();
        if fault == Fault::Kill || number.is_multiple_of(CHECK_EVERY) {
            let full = number.is_multiple_of(FULL_READ_EVERY);
            self.everything(full, &format!("fault {number}, {}", fault.name()));
        }
        self.everybody_goes_on();
    }

    /// Everything that is retained, once more.
    pub fn at_the_end(&mut self) {
        self.everything(true, "the end");
        let said = lock(&self.server).said_since(0);
        if let Some(line) = said.lines().find(|line| line.contains("panicked")) {
            self.ledger
                .violation(format!("the broker panicked: {line}"));
        }
    }

    pub fn violation(&self, text: String) {
        self.ledger.violation(text);
    }

    pub fn still_runs(&self) {
        let mut server = lock(&self.server);
        if !server.is_running() {
            let last = server.last_line();
            self.ledger
                .violation(format!("the broker ended by itself: {last}"));
        }
    }

    pub fn tell(&self, elapsed: Duration, fired: &BTreeMap<&'static str, u64>) {
        println!(
            "{:>6.0} s: {} faults, {} records acknowledged, {} given to consumers, {} read back, {} topics made, {} violations",
            elapsed.as_secs_f64(),
            fired.values().sum::<u64>(),
            self.ledger.acknowledged(),
            self.ledger.seen(),
            self.verifier.read,
            self.churn.created(),
            self.ledger.violations().len()
        );
    }

    fn everything(&mut self, full: bool, when: &str) {
        let churn = Arc::clone(&self.churn);
        let _gate = lock(&churn.gate);
        self.verifier.check(&self.ledger, full, when);
        let checked = self.topics(when).and_then(|()| self.retention(when));
        if let Err(error) = checked {
            self.ledger.violation(format!("{when}: {error:#}"));
        }
    }

    /// What was created is there, and what was deleted is not.
    fn topics(&mut self, when: &str) -> Result<()> {
        let kept = lock(&self.churn.kept).clone();
        let gone = lock(&self.churn.gone).clone();
        let found = topic_names(&self.address)?;
        for name in kept.difference(&found) {
            self.ledger.violation(format!(
                "{when}: the topic {name} was created and is not there"
            ));
        }
        // One that is being made again right now stands in neither.
        let gone_still = lock(&self.churn.gone).clone();
        for name in gone
            .intersection(&found)
            .filter(|name| gone_still.contains(*name))
        {
            self.ledger
                .violation(format!("{when}: the topic {name} was deleted and is there"));
        }
        Ok(())
    }

    /// Retention takes no record before its time, and no partition below its size.
    fn retention(&self, when: &str) -> Result<()> {
        let mut connection = Connection::open(&self.address)?;
        // What came after this moment is younger than the time that it was to stay.
        let young = RETENTION.saturating_sub(RETENTION_MARGIN);
        let limits = self.ends.iter().find(|(time, _)| time.elapsed() < young);
        for partition in 0..RAW_PRODUCERS {
            let place = (RAW_TOPIC.to_owned(), partition);
            let start = log_start(&mut connection, &place)?;
            let limit = limits.and_then(|(_, ends)| ends.iter().find(|(at, _)| *at == place));
            if let Some((_, limit)) = limit.filter(|(_, limit)| start > *limit) {
                self.ledger.violation(format!(
                    "{when}: {place:?} begins at {start}, but only what is below {limit} is old enough"
                ));
            }
        }
        for (place, bytes) in live_bytes(&self.address)? {
            let is_trimmed = place.0 == CLIENT_TOPIC && log_start(&mut connection, &place)? > 0;
            if is_trimmed && bytes < CLIENT_RETENTION_BYTES {
                self.ledger.violation(format!(
                    "{when}: {place:?} was cut to {bytes} bytes, {CLIENT_RETENTION_BYTES} were to stay"
                ));
            }
        }
        Ok(())
    }

    /// Where the raw partitions end now.
    fn remember_ends(&mut self) {
        let places = (0..RAW_PRODUCERS).map(|partition| (RAW_TOPIC.to_owned(), partition));
        let mut connection = match Connection::open(&self.address) {
            Ok(connection) => connection,
            Err(_) => return,
        };
        let ends = places.filter_map(|place| {
            let end = log_end(&mut connection, &place).ok()?;
            Some((place, end))
        });
        let ends = ends.collect();
        self.ends.push_back((Instant::now(), ends));
        let old = RETENTION * 2;
        while self
            .ends
            .get(1)
            .is_some_and(|(time, _)| time.elapsed() > old)
        {
            self.ends.pop_front();
        }
    }

    /// Every writer's partition grows, and consumers are given records.
    fn everybody_goes_on(&mut self) {
        let mut counts = vec![("consumers".to_owned(), self.ledger.seen())];
        for place in self.ledger.places() {
            if place.0 == RAW_TOPIC || place.0 == CLIENT_TOPIC {
                let last = self.ledger.last(&place).unwrap_or_default();
                counts.push((format!("{place:?}"), last as u64));
            }
        }
        counts.push(("commits".to_owned(), self.ledger.commits()));
        counts.push(("topics".to_owned(), self.churn.created()));
        let now = Instant::now();
        for (who, count) in counts {
            let pulse = self
                .pulses
                .entry(who.clone())
                .or_insert(Pulse { count, grew: now });
            if pulse.count != count {
                *pulse = Pulse { count, grew: now };
            } else if now - pulse.grew > PROGRESS_WAIT_MAX {
                pulse.grew = now;
                self.ledger
                    .violation(format!("{who} stood still for {PROGRESS_WAIT_MAX:?}"));
            }
        }
    }
}
