//! Power loss, kills and torn writes at any moment, from a seed: what was confirmed is there, in
//! order and byte for byte; nothing is there that was not appended.

use std::path::Path;

use bytes::Bytes;
use levada_env::fault::{Crash, FaultFs};
use levada_env::{Env, SeededRandom};
use levada_model::LogPosition;
use levada_wal::{Appended, Durability, FrameKind, Wal, WalConfig, WalError};

const DIR: &str = "/wal";

fn config(durability: Durability) -> WalConfig {
    WalConfig {
        durability,
        file_bytes_max: 96 << 10,
        group_bytes_max: 24 << 10,
        pool_bytes_max: 0,
        reserve_bytes: 0,
        ..WalConfig::default()
    }
}

/// One commit as it was appended: data, then the command that names it.
struct Commit {
    data: Vec<(Appended, Bytes)>,
    command: Appended,
    payload: Bytes,
}

struct World {
    random: SeededRandom,
    fs: FaultFs,
    durability: Durability,
    /// In order of their appends; the first `confirmed` were confirmed.
    commits: Vec<Commit>,
    confirmed: usize,
    number: u64,
}

impl World {
    fn body(&self, bytes_max: u64) -> Bytes {
        let mut bytes = vec![0; self.random.below(bytes_max) as usize];
        levada_env::Random::fill(&self.random, &mut bytes);
        Bytes::from(bytes)
    }

    fn append(&mut self, wal: &Wal) -> Result<(), WalError> {
        let mut data = Vec::new();
        for _ in 0..self.random.below(3) {
            let large = self.random.one_in(20);
            let body = self.body(if large { 40_000 } else { 3000 });
            let pieces = vec![body.slice(..body.len() / 2), body.slice(body.len() / 2..)];
            data.push((wal.append(FrameKind::Data, pieces)?, body));
        }
        self.number += 1;
        let mut payload = self.number.to_le_bytes().to_vec();
        payload.extend_from_slice(&self.body(400));
        let payload = Bytes::from(payload);
        let command = wal.append(FrameKind::Command, vec![payload.clone()])?;
        self.commits.push(Commit {
            data,
            command,
            payload,
        });
        Ok(())
    }

    /// Runs on an open log until the power goes or enough was done.
    async fn work(&mut self, env: &Env, wal: &Wal) -> Result<(), WalError> {
        for _ in 0..self.random.below(30) {
            for _ in 0..=self.random.below(4) {
                self.append(wal)?;
            }
            let last = self.commits.len() - 1;
            let up_to = last - self.random.below(2).min(last as u64) as usize;
            if up_to >= self.confirmed && !self.random.one_in(4) {
                wal.sync_to(self.commits[up_to].command).await?;
                self.confirmed = up_to + 1;
            }
            if self.random.one_in(6) {
                env.sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        if self.random.one_in(6) {
            wal.seal().await?;
            self.confirmed = self.commits.len();
        }
        Ok(())
    }

    /// Holds what is there against what was appended; forgets what was rightly lost.
    fn check(&mut self, wal: &Wal) -> Result<(), String> {
        let mut found = Vec::new();
        wal.replay::<WalError>(LogPosition(0), |position, payload| {
            found.push((position, payload));
            Ok(())
        })
        .map_err(|e| e.to_string())?;
        if found.len() < self.confirmed {
            return Err(format!(
                "{} confirmed, {} found",
                self.confirmed,
                found.len()
            ));
        }
        if found.len() > self.commits.len() {
            return Err("more was found than appended".into());
        }
        self.commits.truncate(found.len());
        for ((position, payload), commit) in found.iter().zip(&self.commits) {
            if *position != commit.command.position || *payload != commit.payload {
                return Err(format!(
                    "the command at {position} is not what was appended"
                ));
            }
            for (place, body) in &commit.data {
                let read = wal.read(place.file, place.offset_in_file, body.len() as u32);
                if read.map_err(|e| e.to_string())? != *body {
                    return Err(format!("data of {position} is not what was appended"));
                }
            }
        }
        self.confirmed = self.commits.len();
        Ok(())
    }

    fn crash_kind(&self) -> Crash {
        match self.random.below(4) {
            0 => Crash::Kill,
            1 => Crash::LoseUnsynced,
            _ => Crash::KeepSome,
        }
    }

    async fn run(&mut self) -> Result<(), String> {
        for round in 0..5 {
            let env = Env::simulated(self.random.next_u64(), std::sync::Arc::new(self.fs.clone()));
            // The power may go at any call that changes something, while opening too.
            let calls = 1 + self.random.below(60);
            if round < 4 && !self.random.one_in(5) {
                self.fs.cut_power_after(calls);
            }
            match Wal::open(&env, Path::new(DIR), config(self.durability)) {
                Ok((wal, recovered)) => {
                    if !recovered.damaged.is_empty() {
                        return Err(format!("damage where there is none: {recovered:?}"));
                    }
                    if !self.fs.is_off() {
                        self.check(&wal)?;
                        let worked = self.work(&env, &wal).await;
                        if worked.is_err() && !self.fs.is_off() {
                            return Err(format!("{worked:?} while the power is on"));
                        }
                    }
                }
                Err(error) if !self.fs.is_off() => return Err(error.to_string()),
                Err(_) => {}
            }
            self.fs.crash(self.crash_kind());
        }
        Ok(())
    }
}

fn run_seed(seed: u64, durability: Durability) -> (Result<(), String>, FaultFs) {
    let fs = FaultFs::new(seed);
    let mut world = World {
        random: SeededRandom::new(seed ^ 0x5eed),
        fs: fs.clone(),
        durability,
        commits: Vec::new(),
        confirmed: 0,
        number: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    (runtime.unwrap().block_on(world.run()), fs)
}

#[test]
fn what_was_confirmed_survives_any_crash() {
    let (mut torn, mut lost, mut crashes) = (0, 0, 0);
    for seed in 0..400 {
        let (result, fs) = run_seed(seed, Durability::Disk);
        assert_eq!(result, Ok(()), "seed {seed}");
        let counts = fs.counts();
        torn += counts.writes_torn;
        lost += counts.writes_lost;
        crashes += counts.crashes;
    }
    assert!(
        torn > 60 && lost > 200 && crashes > 1000,
        "{torn} {lost} {crashes}"
    );
}

#[test]
fn the_same_test_fails_when_nothing_is_synced() {
    let failed = (0..60)
        .filter(|seed| run_seed(*seed, Durability::Os).0.is_err())
        .count();
    assert!(
        failed > 10,
        "only {failed} of 60 seeds noticed that the sync is gone"
    );
}
