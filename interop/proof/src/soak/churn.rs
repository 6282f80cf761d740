//! Topics and connections that come and go.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use levada_wire_kafka::messages::MetadataRequest;

use super::faults::lock;
use crate::connection::Connection;
use crate::load::Random;
use crate::load::admin::{create_topic, delete_topic, log_end};
use crate::load::ledger::Ledger;
use crate::load::producer::{self, Pace, Task};

/// Topics that each worker keeps before it deletes its oldest.
const KEPT_MAX: usize = 8;
const PAUSE: Duration = Duration::from_millis(400);
const RETRY_WAIT: Duration = Duration::from_millis(50);
const CONNECT_PAUSE: Duration = Duration::from_millis(150);
const PARTITIONS: i32 = 3;

/// What is there, and what is not any more.
#[derive(Default)]
pub struct Churn {
    /// Taken while topics go: a check in between would miss what it has just been promised.
    pub gate: Mutex<()>,
    pub kept: Mutex<BTreeSet<String>>,
    /// The last that were deleted.
    pub gone: Mutex<BTreeSet<String>>,
    created: AtomicU64,
    deleted: AtomicU64,
    connections: AtomicU64,
}

impl Churn {
    pub fn created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }

    pub fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::Relaxed)
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Tries until it succeeds or the load ends.
    fn until_done(ledger: &Ledger, mut body: impl FnMut() -> Result<()>) -> bool {
        while !ledger.is_stopped() {
            if body().is_ok() {
                return true;
            }
            thread::sleep(RETRY_WAIT);
        }
        false
    }

    fn create(&self, address: &str, name: &str, ledger: &Ledger) -> bool {
        let done = Self::until_done(ledger, || {
            match create_topic(address, name, PARTITIONS, &[]) {
                // The answer to an earlier try was lost.
                Err(error) if format!("{error:#}").ends_with("error 36") => Ok(()),
                other => other,
            }
        });
        if done {
            lock(&self.kept).insert(name.to_owned());
            self.created.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    fn delete(&self, address: &str, name: &str, ledger: &Ledger) -> bool {
        let _gate = lock(&self.gate);
        ledger.forget_topic(name);
        lock(&self.kept).remove(name);
        let done = Self::until_done(ledger, || delete_topic(address, name));
        if done {
            lock(&self.gone).insert(name.to_owned());
            self.deleted.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    /// A topic made again under the name of a deleted one holds nothing of it.
    fn make_again(&self, address: &str, name: &str, ledger: &Ledger) {
        lock(&self.gone).remove(name);
        if !self.create(address, name, ledger) {
            return;
        }
        let place = (name.to_owned(), 0);
        let mut end = 0;
        let look = || {
            end = log_end(&mut Connection::open(address)?, &place)?;
            Ok(())
        };
        if Self::until_done(ledger, look) && end != 0 {
            ledger.violation(format!(
                "{name} was deleted and made again, and ends at {end}"
            ));
        }
        self.delete(address, name, ledger);
    }
}

/// Creates topics, writes a little into each, deletes the oldest.
pub fn topics(address: &str, worker: u64, mut random: Random, churn: &Churn, ledger: &Ledger) {
    let mut mine = Vec::new();
    for number in 0_u64.. {
        if ledger.is_stopped() {
            return;
        }
        let name = format!("churn-{worker}-{number}");
        if !churn.create(address, &name, ledger) {
            return;
        }
        let task = Task {
            place: (name.clone(), random.within(0..PARTITIONS as u64) as i32),
            name: name.clone(),
            random: Random(random.number() | 1),
            pace: Pace::default(),
            batches_max: random.within(1..6),
        };
        producer::run(address, task, ledger);
        mine.push(name);
        if mine.len() > KEPT_MAX {
            let oldest = mine.remove(0);
            if churn.delete(address, &oldest, ledger) && random.within(0..3) == 0 {
                churn.make_again(address, &oldest, ledger);
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Connects and goes: saying nothing, in the middle of a request, or after an answer.
pub fn connections(address: &str, churn: &Churn, ledger: &Ledger) {
    for number in 0_u64.. {
        if ledger.is_stopped() {
            return;
        }
        if connect(address, number % 3).is_ok() {
            churn.connections.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(CONNECT_PAUSE);
    }
}

fn connect(address: &str, how: u64) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    match how {
        0 => {}
        1 => stream.write_all(&[0, 0, 1, 0, 0, 3])?,
        _ => {
            let answer = Connection::open(address)?.call(9, &MetadataRequest::default())?;
            ensure!(!answer.brokers.is_empty(), "no broker");
        }
    }
    Ok(())
}
