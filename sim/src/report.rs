//! What many runs gave: faults by kind, operations, violations; as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use crate::faults::{Fault, Fired};
use crate::run::Outcome;

/// The sum of runs.
#[derive(Default)]
pub struct Report {
    pub runs: u64,
    pub operations: u64,
    pub events: u64,
    pub fired: Fired,
    /// Runs in which each kind fired.
    pub runs_with: Fired,
    /// How many things each check of the histories has looked at.
    pub looked: BTreeMap<&'static str, u64>,
    /// Calls whose topic could not be told, and windows that the linearizability checker gave up on.
    pub ambiguous: u64,
    pub undecided: u64,
    /// Seeds with violations.
    pub failed: Vec<(u64, Vec<String>)>,
}

/// How to see a seed's run again.
#[must_use]
pub fn replay_command(seed: u64) -> String {
    format!("cargo xtask sim --seed {seed} --trace trace.txt")
}

impl Report {
    pub fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.operations += outcome.operations;
        self.events += outcome.history.events.len() as u64;
        for (fault, times) in &outcome.fired {
            *self.fired.entry(*fault).or_default() += times;
            *self.runs_with.entry(*fault).or_default() += 1;
        }
        for (check, looked) in &outcome.checked.looked {
            *self.looked.entry(check).or_default() += looked;
        }
        self.ambiguous += outcome.checked.ambiguous;
        self.undecided += outcome.checked.undecided;
        if !outcome.violations.is_empty() {
            self.failed.push((outcome.seed, outcome.violations.clone()));
        }
    }

    /// Adds the runs of another.
    pub fn merge(&mut self, other: Report) {
        self.runs += other.runs;
        self.operations += other.operations;
        self.events += other.events;
        for (fault, times) in other.fired {
            *self.fired.entry(fault).or_default() += times;
        }
        for (fault, runs) in other.runs_with {
            *self.runs_with.entry(fault).or_default() += runs;
        }
        for (check, looked) in other.looked {
            *self.looked.entry(check).or_default() += looked;
        }
        self.ambiguous += other.ambiguous;
        self.undecided += other.undecided;
        self.failed.extend(other.failed);
        self.failed.sort();
    }

    /// Kinds of faults that no run has seen.
    #[must_use]
    pub fn never_fired(&self) -> Vec<Fault> {
        let fired = |fault: &Fault| self.fired.get(fault).copied().unwrap_or(0) > 0;
        Fault::ALL
            .iter()
            .copied()
            .filter(|fault| !fired(fault))
            .collect()
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("{:<50} {:>10} {:>8}\n", "fault", "fired", "in runs");
        for fault in Fault::ALL {
            let of = |fired: &Fired| fired.get(fault).copied().unwrap_or(0);
            let (fired, runs) = (of(&self.fired), of(&self.runs_with));
            let _ = writeln!(text, "{:<50} {fired:>10} {runs:>8}", fault.text());
        }
        for (check, looked) in &self.looked {
            let _ = writeln!(text, "check {check:<44} {looked:>10}");
        }
        let _ = writeln!(
            text,
            "ambiguous calls {}, undecided windows {}",
            self.ambiguous, self.undecided
        );
        let _ = writeln!(
            text,
            "{} runs, {} operations, {} events in the histories checked, {} runs with violations",
            self.runs,
            self.operations,
            self.events,
            self.failed.len()
        );
        text
    }

    /// Checks that never had anything to look at.
    #[must_use]
    pub fn never_looked(&self) -> Vec<&'static str> {
        let blind = self.looked.iter().filter(|(_, looked)| **looked == 0);
        blind.map(|(check, _)| *check).collect()
    }

    /// For `docs/reliability.md`.
    #[must_use]
    pub fn json(&self, first: u64, end: u64) -> String {
        let faults: Vec<_> = Fault::ALL
            .iter()
            .map(|fault| {
                json!({
                    "fault": fault.text(),
                    "fired": self.fired.get(fault).copied().unwrap_or(0),
                    "runs": self.runs_with.get(fault).copied().unwrap_or(0),
                })
            })
            .collect();
        let failed: Vec<_> = self
            .failed
            .iter()
            .map(|(seed, violations)| json!({ "seed": seed, "violations": violations }))
            .collect();
        let all = json!({
            "seeds": { "first": first, "end": end },
            "runs": self.runs,
            "operations": self.operations,
            "histories_checked": self.runs,
            "events": self.events,
            "checked": self.looked,
            "ambiguous_calls": self.ambiguous,
            "undecided_windows": self.undecided,
            "faults": faults,
            "failed": failed,
        });
        format!("{all:#}\n")
    }
}
