//! The checks that every history must pass. Each is a pure function over the history and stands in
//! a file whose doc comment says what is promised and what is tolerated.
//!
//! What all of them tolerate: a call without an answer (or with an error that leaves its end open,
//! [`crate::history::is_definite`]) may have had its effect, may not, or may have it later. A
//! request that named its topic only by name while two topics of that name were possible says
//! nothing about either; [`Report::ambiguous`] counts such calls.

mod bounds;
mod calls;
mod facts;
mod topics;

mod commits;
mod committed;
mod damage;
mod deletes;
mod duplicates;
mod groups;
mod kept;
mod linear;
mod log_spec;
mod order;
mod origin;
mod queues;
mod reads;
mod retention;
mod watermark;

use std::fmt;

use super::History;
use facts::Facts;

/// A broken promise breaks many reads; so many of one check are told.
const VIOLATIONS_MAX: usize = 10;

/// The name of a check and how it is run.
type Check = (&'static str, fn(&Facts<'_>, &mut Findings));

/// Every check, in the order in which they are told.
const CHECKS: [Check; 21] = [
    ("kept", kept::check),
    ("origin", origin::check),
    ("duplicates", duplicates::check),
    ("order", order::check),
    ("reads", reads::check),
    ("watermark", watermark::check),
    ("retention", retention::check),
    ("deletes", deletes::check),
    ("damage", damage::check),
    ("commits", commits::check),
    ("committed", committed::check),
    ("groups", groups::check),
    ("linear", linear::check),
    ("queue-kept", queues::kept::check),
    ("queue-done", queues::done::check),
    ("queue-delay", queues::times::check_delays),
    ("queue-hidden", queues::times::check_hidden),
    ("queue-order", queues::order::check),
    ("queue-once", queues::order::check_once),
    ("queue-attempts", queues::attempts::check),
    ("queue-log", queues::log::check),
];

/// Events of a history that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The name of the check that found it.
    pub check: &'static str,
    /// The promise that is broken, and by what.
    pub what: String,
    /// The index and text of each event that takes part.
    pub events: Vec<(usize, String)>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.what)?;
        let mut events = self.events.iter();
        events.try_for_each(|(index, event)| write!(f, "\n{index:>6} {event}"))
    }
}

/// What the checks found in one history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub violations: Vec<Violation>,
    /// How many things each check held against its promise: one that had nothing to look at in any
    /// run has proved nothing.
    pub looked: Vec<(&'static str, u64)>,
    /// Calls whose topic cannot be told.
    pub ambiguous: u64,
    /// Windows that the linearizability checker gave up on; the other checks saw them.
    pub undecided: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(f, "VIOLATION {violation}")?;
        }
        for (name, looked) in &self.looked {
            writeln!(f, "{name:>12}: {looked} checked")?;
        }
        writeln!(f, "{:>12}: {}", "ambiguous", self.ambiguous)?;
        writeln!(f, "{:>12}: {}", "undecided", self.undecided)
    }
}

/// What one check has found so far.
#[derive(Debug, Default)]
struct Findings {
    looked: u64,
    undecided: u64,
    violations: Vec<(String, Vec<usize>)>,
}

impl Findings {
    /// One more thing is held against the promise.
    fn look(&mut self) {
        self.looked += 1;
    }

    fn violation(&mut self, what: String, events: Vec<usize>) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push((what, events));
        }
    }
}

/// Runs every check.
pub fn check_all(history: &History) -> Report {
    let facts = Facts::new(history);
    let unclear =
        |call: &&calls::Call<'_>| calls::place_of(call.op).is_some() && call.part.is_none();
    let mut report = Report {
        ambiguous: facts.calls.iter().filter(unclear).count() as u64,
        ..Report::default()
    };
    for (name, check) in CHECKS {
        let mut findings = Findings::default();
        check(&facts, &mut findings);
        report.looked.push((name, findings.looked));
        report.undecided += findings.undecided;
        let violations = findings.violations.into_iter();
        report
            .violations
            .extend(violations.map(|(what, events)| Violation {
                check: name,
                what,
                events: texts(history, events),
            }));
    }
    report
}

fn texts(history: &History, mut events: Vec<usize>) -> Vec<(usize, String)> {
    events.sort_unstable();
    events.dedup();
    let text = |index: usize| Some((index, history.events.get(index)?.to_string()));
    events.into_iter().filter_map(text).collect()
}
