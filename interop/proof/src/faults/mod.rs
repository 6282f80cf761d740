//! One kind of fault at a time against the real process, under load, with every promise checked.
//!
//! Each kind counts how often it really happened and what came of it. A kind that never happened
//! fails the run: it would prove nothing.

mod damage;
mod device;
mod full;
mod pause;
mod power;
mod probe;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::load::Random;
use crate::load::ledger::Ledger;
use crate::load::server::{Server, levada};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// SIGSTOP for a random time, longer than session timeouts too, then SIGCONT
    Pause,
    /// No space left on the device, and space again
    Full,
    /// A sync that answers EIO
    SyncError,
    /// A write that answers EIO
    WriteError,
    /// Reads that answer EIO for a while, and at a start
    ReadError,
    /// A device that forgets what was not synced
    Power,
    /// A bit flipped in a file while stopped
    Flip,
    /// A file cut short while stopped
    Truncate,
}

/// All of them, in the order in which they run.
pub const ALL: [Kind; 8] = [
    Kind::Pause,
    Kind::Full,
    Kind::SyncError,
    Kind::WriteError,
    Kind::ReadError,
    Kind::Power,
    Kind::Flip,
    Kind::Truncate,
];

/// What to do.
pub struct Plan {
    pub binary: PathBuf,
    pub folder: PathBuf,
    pub kinds: Vec<Kind>,
    /// Of each kind; the quick ones do more.
    pub rounds: u32,
    pub seed: u64,
    pub clients: Vec<String>,
}

/// What came of one kind.
#[derive(Debug, Default, serde::Serialize)]
pub struct Outcome {
    pub rounds: u32,
    /// How often the fault really happened.
    pub fired: u64,
    /// What it led to, and how often.
    pub outcomes: BTreeMap<String, u64>,
    pub acknowledged: u64,
    pub commits: u64,
    /// Records that the checks have read back.
    pub checked: u64,
    pub seconds: f64,
    pub violations: Vec<String>,
}

/// What a kind works with.
pub struct Bench<'a> {
    pub plan: &'a Plan,
    pub folder: PathBuf,
    pub random: Random,
    pub outcome: Outcome,
}

impl Bench<'_> {
    /// The broker with these settings over a folder; not started.
    pub fn server(&self, data: PathBuf, settings: &[(&str, &str)]) -> Result<Server> {
        let words = levada(&self.plan.binary, settings);
        Server::new(&words, &self.folder, data)
    }

    pub fn count(&mut self, what: &str) {
        *self.outcome.outcomes.entry(what.to_owned()).or_default() += 1;
    }

    /// Takes a ledger's figures into the outcome; it is done with.
    pub fn close(&mut self, ledger: &Arc<Ledger>, checked: u64) {
        self.outcome.acknowledged += ledger.acknowledged();
        self.outcome.commits += ledger.commits();
        self.outcome.checked += checked;
        self.outcome.violations.extend(ledger.violations());
    }

    /// Something was promised that the ledger does not know.
    pub fn violation(&mut self, text: String) {
        println!("VIOLATION {text}");
        self.outcome.violations.push(text);
    }
}

/// Runs the kinds that the plan names.
///
/// # Errors
/// When something other than the broker is wrong: no mount, no such program.
pub fn run(plan: &Plan) -> Result<BTreeMap<String, Outcome>> {
    let mut all = BTreeMap::new();
    for kind in &plan.kinds {
        let name = kind_name(*kind);
        let mut bench = Bench {
            plan,
            folder: plan.folder.join(&name),
            random: Random((plan.seed << 8 | *kind as u64) | 1),
            outcome: Outcome::default(),
        };
        fs::create_dir_all(&bench.folder)?;
        let started = Instant::now();
        run_kind(*kind, &mut bench).with_context(|| format!("the kind {name}"))?;
        if bench.outcome.fired == 0 {
            bench.violation(format!("{name} never happened"));
        }
        let mut outcome = bench.outcome;
        outcome.seconds = started.elapsed().as_secs_f64();
        println!(
            "{name}: {} rounds, {} times, {:?}, {} records acknowledged, {} read back, {} violations, {:.1} s",
            outcome.rounds,
            outcome.fired,
            outcome.outcomes,
            outcome.acknowledged,
            outcome.checked,
            outcome.violations.len(),
            outcome.seconds
        );
        all.insert(name, outcome);
    }
    Ok(all)
}

fn run_kind(kind: Kind, bench: &mut Bench<'_>) -> Result<()> {
    match kind {
        Kind::Pause => pause::run(bench),
        Kind::Full => full::run(bench),
        Kind::SyncError => device::sync_errors(bench),
        Kind::WriteError => device::write_errors(bench),
        Kind::ReadError => device::read_errors(bench),
        Kind::Power => power::run(bench),
        Kind::Flip => damage::flips(bench),
        Kind::Truncate => damage::truncations(bench),
    }
}

fn kind_name(kind: Kind) -> String {
    use clap::ValueEnum;
    let value = kind.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}
