//! No space left on the device: producers are told to try again, everybody else goes on, nothing is
//! lost, and it recovers by itself once there is space.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use levada_wire_kafka::ErrorCode;

use super::{Bench, probe};
use crate::load::admin::{create_topic, delete_topic, topic_names};
use crate::load::ledger::{Ledger, Place};
use crate::load::producer::{self, Pace, Task};
use crate::load::server::Server;
use crate::load::verify::{Allowance, Verifier};
use crate::load::{Load, RAW_PRODUCERS, RAW_TOPIC, Random, Shape};
use crate::mount::SmallDisk;

const DISK_MIB: u64 = 192;
/// What is left for the load when the ballast lies on the disk.
const LEFT_BYTES: u64 = 2 << 20;
const SETTINGS: [(&str, &str); 6] = [
    ("storage-file-bytes-max", "2MiB"),
    ("storage-pool-bytes-max", "0"),
    ("storage-reserve-bytes", "16MiB"),
    ("storage-snapshot-bytes", "4MiB"),
    ("storage-disk-slack-bytes", "0"),
    ("storage-maintenance-interval-ms", "200"),
];
const WAIT_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
/// Commits that must be taken while the disk is full.
const COMMITS: i64 = 50;
const GROUP: &str = "while-full";
/// Batches of about 10 records of 2 KB: what is deleted to make room is 30 MB.
const OLD_BATCHES: u64 = 1500;

/// How space comes back.
#[derive(Clone, Copy, Debug)]
enum Relief {
    Ballast,
    Delete,
    Retention,
}

const RELIEFS: [Relief; 3] = [Relief::Ballast, Relief::Delete, Relief::Retention];

pub fn run(bench: &mut Bench<'_>) -> Result<()> {
    let mount = bench.folder.join("disk");
    let disk = SmallDisk::in_memory(&mount, DISK_MIB)?;
    let mut server = bench.server(mount.join("data"), &SETTINGS)?;
    server.start()?;
    let shape = Shape {
        seed: bench.plan.seed,
        clients: bench.plan.clients.clone(),
        raw_configs: vec![("retention.bytes".to_owned(), (4 << 20).to_string())],
        client_configs: vec![("retention.bytes".to_owned(), (4 << 20).to_string())],
        ..Shape::default()
    };
    create_topic(&server.address, "probe", 1, &[])?;
    let mut load = Load::start(&shape, &server.address, &bench.folder)?;
    let mut round = Round {
        ledger: Arc::clone(&load.ledger),
        verifier: Verifier::new(&server.address),
        disk: &disk,
        number: 0,
    };
    round.verifier.allowance = Allowance {
        trimmed: true,
        ..Allowance::default()
    };
    for number in 1..=bench.plan.rounds.max(RELIEFS.len() as u32) {
        round.number = number;
        let relief = RELIEFS[number as usize % RELIEFS.len()];
        let result = round.run(bench, &mut server, relief);
        bench.outcome.rounds = number;
        if let Err(error) = result {
            round
                .ledger
                .violation(format!("round {number}, {relief:?}: {error:#}"));
            break;
        }
    }
    disk.release()?;
    load.stop();
    if server.is_running() {
        round.verifier.check(&round.ledger, true, "the end");
    } else {
        let text = format!("the broker ended: {}", server.last_line());
        round.ledger.violation(text);
    }
    bench.close(&round.ledger, round.verifier.read);
    server.kill()
}

struct Round<'a> {
    ledger: Arc<Ledger>,
    verifier: Verifier,
    disk: &'a SmallDisk,
    number: u32,
}

impl Round<'_> {
    fn run(&mut self, bench: &mut Bench<'_>, server: &mut Server, relief: Relief) -> Result<()> {
        let old = format!("old-{}", self.number);
        self.make_old(&server.address, &old)?;
        self.disk.fill(LEFT_BYTES)?;
        let code = until_refused(&server.address)?;
        bench.outcome.fired += 1;
        if code != ErrorCode::KafkaStorageError {
            bail!("a full disk is told as {code:?}, not as KAFKA_STORAGE_ERROR");
        }
        self.while_full(server)?;
        if self.number.is_multiple_of(2) {
            server.kill()?;
            server.start().context("on a full disk")?;
            self.while_full(server)?;
            bench.count("kill -9 and restart on the full disk");
        }
        match relief {
            Relief::Ballast => self.disk.release()?,
            Relief::Delete => {
                self.forget(&old);
                delete_topic(&server.address, &old).context("on a full disk")?;
                if topic_names(&server.address)?.contains(&old) {
                    bail!("{old} was deleted on a full disk and is there");
                }
            }
            Relief::Retention => {
                // Its records may go from now on.
                self.forget(&old);
                let code = probe::alter(&server.address, &old, "retention.bytes", "1")?;
                if code != ErrorCode::None {
                    bail!("retention cannot be set on a full disk: {code:?}");
                }
            }
        }
        until_accepted(&server.address)?;
        self.everybody_goes_on()?;
        self.verifier.check(
            &self.ledger,
            false,
            &format!("round {}, after", self.number),
        );
        self.disk.release()?;
        self.forget(&old);
        delete_topic(&server.address, &old)?;
        bench.count(match relief {
            Relief::Ballast => "space by another's file removed",
            Relief::Delete => "space by deleting a topic",
            Relief::Retention => "space by retention",
        });
        Ok(())
    }

    /// Data that can be given up later.
    fn make_old(&self, address: &str, topic: &str) -> Result<()> {
        create_topic(address, topic, 1, &[])?;
        let task = Task {
            place: (topic.to_owned(), 0),
            name: topic.to_owned(),
            random: Random(u64::from(self.number) | 1),
            pace: Pace {
                wait: Duration::ZERO,
                batch_records: 9..11,
                value_bytes: 1900..2100,
            },
            batches_max: OLD_BATCHES,
        };
        producer::run(address, task, &self.ledger);
        Ok(())
    }

    fn forget(&mut self, topic: &str) {
        self.ledger.forget_topic(topic);
        self.verifier.forget_topic(topic);
    }

    /// Readers and commits go on, and every promise stands.
    fn while_full(&mut self, server: &Server) -> Result<()> {
        let when = format!("round {}, full", self.number);
        self.verifier.check(&self.ledger, true, &when);
        let place = (RAW_TOPIC.to_owned(), 0);
        let from = i64::from(self.number) * 2 * COMMITS;
        for offset in from..from + COMMITS {
            let code = probe::commit(&server.address, GROUP, &place, offset, &self.ledger)?;
            if code != ErrorCode::None {
                bail!("a commit on a full disk is refused: {code:?}");
            }
        }
        Ok(())
    }

    /// The producers of the load, which were refused, are acknowledged again.
    fn everybody_goes_on(&self) -> Result<()> {
        let places: Vec<Place> = (0..RAW_PRODUCERS)
            .map(|partition| (RAW_TOPIC.to_owned(), partition))
            .collect();
        let before: Vec<_> = places.iter().map(|place| self.ledger.last(place)).collect();
        let grown = || {
            let now = places.iter().map(|place| self.ledger.last(place));
            before.iter().zip(now).all(|(before, now)| now > *before)
        };
        wait_for("the producers go on", || Ok(grown().then_some(())))
    }
}

fn until_refused(address: &str) -> Result<ErrorCode> {
    let place = ("probe".to_owned(), 0);
    wait_for("a refused produce", || {
        let code = probe::produce(address, &place)?;
        Ok((code != ErrorCode::None).then_some(code))
    })
}

fn until_accepted(address: &str) -> Result<()> {
    let place = ("probe".to_owned(), 0);
    wait_for("an accepted produce after space came back", || {
        let code = probe::produce(address, &place)?;
        Ok((code == ErrorCode::None).then_some(()))
    })
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    while started.elapsed() < WAIT_MAX {
        if let Some(found) = look()? {
            return Ok(found);
        }
        thread::sleep(POLL);
    }
    bail!("{what} did not come within {WAIT_MAX:?}")
}
