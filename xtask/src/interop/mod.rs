//! `cargo xtask interop`: real clients against one broker each, some at a time, and the tables of
//! `docs/compatibility.md` from what they say. The clients of SQS run in `cargo xtask queues`.

mod clients;
mod docs;
mod sqs;

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::broker::{self, Broker, Kind};
use crate::process;
use crate::proofs;
use crate::report::Tally;
use crate::toolchain;
use clients::{Api, Client};

pub use docs::{check as check_docs, write_queues as write_queue_docs};

/// How many run at a time; those of SQS wait most of it.
const KAFKA_CLIENTS_AT_ONCE: usize = 2;
const SQS_CLIENTS_AT_ONCE: usize = 4;

#[derive(clap::Args)]
pub struct Options {
    /// Run only this client
    #[arg(long, value_name = "NAME")]
    pub client: Option<String>,
    /// The broker to run them against
    #[arg(long, value_enum, default_value = "levada")]
    pub against: Kind,
}

/// What one client said of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// `ok`, `n/a` or `FAIL`.
    pub result: String,
    pub detail: String,
}

/// Everything one client said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub client: String,
    pub version: String,
    /// Why it did not run, if it did not.
    pub skipped: Option<String>,
    pub checks: BTreeMap<String, Verdict>,
}

/// Runs the clients; writes `docs/compatibility.md` after a full run against Levada.
///
/// # Errors
/// When a client is named that does not exist, or the broker cannot start.
pub fn run(options: &Options) -> Result<Tally> {
    let (outcomes, tally) = run_clients(options)?;
    let is_full = options.client.is_none() && options.against == Kind::Levada;
    if is_full && outcomes.iter().all(|outcome| outcome.skipped.is_none()) {
        docs::write(&outcomes)?;
    }
    Ok(tally)
}

/// Runs the clients without touching the docs; the outcomes stay in `target/interop/result.json`.
///
/// # Errors
/// As [`run`].
pub fn run_clients(options: &Options) -> Result<(Vec<Outcome>, Tally)> {
    let chosen = choose(clients::ALL, options.client.as_deref())?;
    if options.against == Kind::Levada {
        proofs::build_levada()?;
    }
    let folder = work_folder(Api::Kafka);
    run_set(chosen, options.against, &folder, KAFKA_CLIENTS_AT_ONCE)
}

/// Runs the clients of SQS, or one of them; the outcomes stay in `target/queues/clients/result.json`.
///
/// # Errors
/// As [`run`].
pub fn run_queue_clients(name: Option<&str>) -> Result<(Vec<Outcome>, Tally)> {
    let chosen = choose(sqs::ALL, name)?;
    proofs::build_levada()?;
    let folder = work_folder(Api::Sqs);
    run_set(chosen, Kind::Levada, &folder, SQS_CLIENTS_AT_ONCE)
}

/// Prepares these clients one after the other, then runs them, those that may take longest first.
fn run_set(
    chosen: Vec<&'static Client>,
    against: Kind,
    folder: &Path,
    at_once: usize,
) -> Result<(Vec<Outcome>, Tally)> {
    fs::remove_dir_all(folder).ok();
    fs::create_dir_all(folder)?;
    let names: Vec<&str> = chosen.iter().map(|client| client.name).collect();
    let mut outcomes = Vec::new();
    let mut ready = Vec::new();
    for client in chosen {
        println!("preparing {}", client.name);
        match (client.prepare)() {
            Ok(command) => ready.push((client, command)),
            Err(error) => outcomes.push(skipped(client, &error)),
        }
    }
    ready.sort_by_key(|(client, _)| Reverse(client.seconds_max));
    outcomes.extend(run_all(ready.into(), against, folder, at_once));
    outcomes.sort_by_key(|outcome| names.iter().position(|name| *name == outcome.client));
    fs::write(
        folder.join("result.json"),
        serde_json::to_string_pretty(&outcomes)?,
    )?;
    let tally = count(&outcomes);
    Ok((outcomes, tally))
}

/// Where logs and results of the last run are.
fn work_folder(api: Api) -> PathBuf {
    process::repository().join(match api {
        Api::Kafka => "target/interop",
        Api::Sqs => "target/queues/clients",
    })
}

fn choose(all: &'static [Client], name: Option<&str>) -> Result<Vec<&'static Client>> {
    let Some(name) = name else {
        return Ok(all.iter().collect());
    };
    let found = all.iter().find(|client| client.name == name);
    let names: Vec<&str> = all.iter().map(|client| client.name).collect();
    Ok(vec![found.with_context(|| {
        format!("no client `{name}`; there are: {}", names.join(", "))
    })?])
}

fn skipped(client: &Client, error: &anyhow::Error) -> Outcome {
    let line = "!".repeat(72);
    println!("{line}\n!! SKIPPED {}: {error:#}\n{line}", client.name);
    Outcome {
        client: client.name.to_owned(),
        version: String::new(),
        skipped: Some(format!("{error:#}")),
        checks: BTreeMap::new(),
    }
}

type Queue = VecDeque<(&'static Client, Command)>;

fn run_all(ready: Queue, against: Kind, folder: &Path, at_once: usize) -> Vec<Outcome> {
    let queue = Mutex::new(ready);
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().map(|mut queue| queue.pop_front());
                    let Ok(Some((client, command))) = next else {
                        return;
                    };
                    let outcome = run_one(client, command, against, folder);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_default()
}

fn run_one(client: &Client, command: Command, against: Kind, folder: &Path) -> Outcome {
    let folder = folder.join(client.name);
    let mut checks = match run_program(client, command, against, &folder) {
        Ok(checks) => checks,
        Err(error) => {
            println!("{}: {error:#}", client.name);
            BTreeMap::new()
        }
    };
    for name in client.checks {
        checks.entry((*name).to_owned()).or_insert_with(|| Verdict {
            result: "FAIL".to_owned(),
            detail: "the client said nothing of it".to_owned(),
        });
    }
    let bad: Vec<_> = checks
        .iter()
        .filter(|(_, verdict)| verdict.result == "FAIL")
        .collect();
    let good = checks.len() - bad.len();
    println!("{:<28} {good} of {} checks hold", client.name, checks.len());
    for (name, verdict) in bad {
        println!("    FAIL {name}: {}", verdict.detail);
    }
    let version = (client.version)().unwrap_or_else(|| "unknown".to_owned());
    Outcome {
        client: client.name.to_owned(),
        version,
        skipped: None,
        checks,
    }
}

fn run_program(
    client: &Client,
    mut command: Command,
    against: Kind,
    folder: &Path,
) -> Result<BTreeMap<String, Verdict>> {
    let broker = match client.api {
        Api::Kafka => Broker::start(against, folder)?,
        Api::Sqs => {
            let broker = Broker::start_levada_with(folder, &["--sqs", "127.0.0.1:0"])?;
            command.arg(format!("http://{}", sqs::address(folder)?));
            broker
        }
    };
    let log = folder.join("client.log");
    let output = fs::File::create(&log)?;
    command
        .env("LEVADA_BIN", broker::levada_binary())
        .arg(&broker.address)
        .arg("1")
        .stdout(output.try_clone()?)
        .stderr(output);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{}`", process::show(&command)))?;
    let limit = Duration::from_secs(client.seconds_max);
    let ended = process::wait_bounded(&mut child, limit)?;
    let checks = parse(&fs::read_to_string(&log)?);
    let took = ended.elapsed.as_secs_f64();
    match ended.status {
        None => println!("{}: ended after its {} s", client.name, client.seconds_max),
        Some(status) if checks.is_empty() => bail!("{status}; see {}", log.display()),
        Some(_) => println!("{}: {took:.1} s", client.name),
    }
    Ok(checks)
}

/// The lines `CHECK <name> ok|FAIL|n/a <detail>` of a client's output.
fn parse(text: &str) -> BTreeMap<String, Verdict> {
    let mut checks = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("CHECK ")) {
        let mut words = line.splitn(3, ' ');
        if let (Some(name), Some(result)) = (words.next(), words.next()) {
            let detail = words.next().unwrap_or_default().trim().to_owned();
            checks.insert(
                name.to_owned(),
                Verdict {
                    result: result.to_owned(),
                    detail,
                },
            );
        }
    }
    checks
}

fn count(outcomes: &[Outcome]) -> Tally {
    let mut tally = Tally::default();
    for outcome in outcomes {
        if outcome.skipped.is_some() {
            let missing = Tally {
                skipped: 1,
                ..Tally::default()
            };
            tally += if toolchain::is_ci() {
                Tally::of(false)
            } else {
                missing
            };
        }
        for verdict in outcome
            .checks
            .values()
            .filter(|verdict| verdict.result != "n/a")
        {
            tally += Tally::of(verdict.result == "ok");
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_client_are_read_and_noise_is_not() {
        let checks =
            parse("noise\nCHECK connect ok 0.1 s\nCHECK admin FAIL no: way\nCHECK a n/a b\n");
        let verdict = |result: &str, detail: &str| Verdict {
            result: result.to_owned(),
            detail: detail.to_owned(),
        };
        assert_eq!(checks.len(), 3);
        assert_eq!(checks["connect"], verdict("ok", "0.1 s"));
        assert_eq!(checks["admin"], verdict("FAIL", "no: way"));
    }
}
