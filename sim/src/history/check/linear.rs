//! **Each partition is one log: produces, fetches and ListOffsets are linearizable.**
//!
//! There is one order of all calls to a partition that agrees with real time, in which each produce
//! puts its batch at the end of the log, at the offset that it was told, each fetch returns what
//! stands there then and the log's end as the high watermark, and ListOffsets tells the end.
//! stateright's `LinearizabilityTester` looks for it, with `log_spec` as the specification.
//!
//! **How histories are cut, so that the search cannot explode.** By partition: linearizability is
//! local. And by the log's end: every one of these calls tells where the log ended when it had its
//! effect, so calls with a smaller end come before those with a larger one, and between them the
//! log is known. Calls sorted so are cut into windows of [`WINDOW_MAX`]; across a cut only real
//! time is left to check (no call behind the cut was over before one ahead of it began).
//!
//! **Open ends.** All attempts of a batch with a sequence are one append, from the first attempt to
//! the first acknowledgement. An append without an answer, whose records somebody read, stands
//! where they were read, at any time after it was sent. Of those that nobody ever read, each record
//! may fill an offset that nobody ever read either. So no call of a window is left in flight.
//!
//! Log starts and errors are other checks' questions and left out here.
//!
//! **Why stateright.** 0.31, MIT, is the widely used one of the Rust crates that check a recorded
//! history. Its search is the plain one, which the cuts and the memory in `log_spec` make up for.
//! It brings its model checker's explorer (a small HTTP server) as a dependency, which nothing here
//! starts; only this crate, outside the default members, has it. `todc-utils` 0.1.1 (MIT, without
//! dependencies) is porcupine's algorithm with such a memory built in, but its specification has
//! one fixed first state, and a window here begins in the middle of a log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use levada_model::Offset;

use super::Findings;
use super::calls::{Append, Effect};
use super::facts::Facts;
use super::log_spec::{Kind, LogOp, Verdict, search};
use super::topics::Part;
use crate::history::*;

/// Calls of one search. (The specification has room for 128.)
const WINDOW_MAX: usize = 32;

type Log = BTreeMap<Offset, RecordId>;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for part in facts.parts() {
        let log = facts.log(part);
        let log: Rc<Log> = Rc::new(
            log.into_iter()
                .map(|(offset, seen)| (offset, seen.id))
                .collect(),
        );
        let mut ops = reads(facts, part);
        let appends = appends(facts, part, &log);
        let end = ops.iter().map(LogOp::log_end).max().unwrap_or_default();
        ops.extend(ghosts(facts, part, &appends, &log, end));
        ops.extend(appends);
        ops.sort_by_key(|op| (op.log_end(), op.is_read(), op.begin));
        check_windows(facts, part, &ops, &log, findings);
    }
}

fn check_windows(
    facts: &Facts<'_>,
    part: Part,
    ops: &[LogOp],
    log: &Rc<Log>,
    findings: &mut Findings,
) {
    let mut end = Offset::ZERO;
    // The latest beginning ahead of the cut.
    let mut latest: Option<&LogOp> = None;
    for window in ops.chunks(WINDOW_MAX) {
        findings.look();
        let late =
            latest.and_then(|late| Some((late, window.iter().find(|op| op.end < late.begin)?)));
        if let Some((late, early)) = late {
            tell(facts, part, &[late, early], findings);
            return;
        }
        match search(window, end, log) {
            Verdict::Linearizable => {}
            Verdict::Undecided => findings.undecided += 1,
            Verdict::Contradiction => {
                // What comes first in the order of the log's end is a history of its own.
                let fails =
                    |count: &usize| search(&window[..*count], end, log) == Verdict::Contradiction;
                let count = (1..window.len()).find(fails).unwrap_or(window.len());
                let last: Vec<&LogOp> = window[..count].iter().rev().take(2).collect();
                tell(facts, part, &last, findings);
                return;
            }
        }
        end = window.iter().map(LogOp::log_end).fold(end, Offset::max);
        latest = window.iter().chain(latest).max_by_key(|op| op.begin);
    }
}

fn tell(facts: &Facts<'_>, part: Part, ops: &[&LogOp], findings: &mut Findings) {
    let place = facts.topics.name(part);
    let calls = ops.iter().filter_map(|op| op.call);
    findings.violation(
        format!("{place}: with these no order of its calls agrees with a log and with real time"),
        calls.flat_map(|call| facts.events(call)).collect(),
    );
}

fn reads(facts: &Facts<'_>, part: Part) -> Vec<LogOp> {
    let calls = facts.calls_of(part).filter_map(|(index, call)| {
        let kind = match (call.op, call.answer()?) {
            (
                Op::Fetch { .. },
                Answer::Fetched {
                    records,
                    high_watermark,
                    ..
                },
            ) => Kind::Read {
                records: records.clone(),
                high: *high_watermark,
            },
            (
                Op::ListOffset {
                    end: End::Latest, ..
                },
                Answer::At(high),
            ) => Kind::Read {
                records: Vec::new(),
                high: *high,
            },
            _ => return None,
        };
        Some(LogOp {
            begin: call.invoked,
            end: call.answered(),
            kind,
            call: Some(index),
        })
    });
    calls.collect()
}

/// Every append that has surely happened, where it stands.
fn appends(facts: &Facts<'_>, part: Part, log: &Log) -> Vec<LogOp> {
    let mut ops = Vec::new();
    let mut found: BTreeMap<RecordId, Vec<Offset>> = BTreeMap::new();
    for (offset, id) in log {
        found.entry(*id).or_default().push(*offset);
    }
    for attempts in batches(facts, part).values() {
        let bases: BTreeSet<Offset> = attempts
            .iter()
            .filter_map(|attempt| base(attempt, part))
            .collect();
        let is_sequenced = attempts.iter().any(|attempt| attempt.sequenced.is_some());
        let mut read = begins(attempts[0].records, &found);
        read.retain(|at| !bases.contains(at));
        if is_sequenced {
            // More than one base is the check `duplicates`'s.
            let acks = attempts
                .iter()
                .filter(|attempt| base(attempt, part).is_some());
            let end = acks
                .map(|attempt| facts.calls[attempt.call].answered())
                .min();
            if let Some(base) = bases.first().copied().or_else(|| read.pop_front()) {
                let begin = facts.calls[attempts[0].call].invoked;
                ops.push(op(attempts[0], base, begin, end.unwrap_or(usize::MAX)));
            }
            continue;
        }
        for attempt in attempts {
            let call = &facts.calls[attempt.call];
            match base(attempt, part) {
                Some(base) => ops.push(op(attempt, base, call.invoked, call.answered())),
                None => ops.extend(
                    read.pop_front()
                        .map(|base| op(attempt, base, call.invoked, usize::MAX)),
                ),
            }
        }
    }
    ops
}

/// Where a batch begins, by the word of whoever read any of its records; ascending.
fn begins(batch: &[RecordId], found: &BTreeMap<RecordId, Vec<Offset>>) -> VecDeque<Offset> {
    let records = batch.iter().zip(0_i64..);
    let all = records.flat_map(|(id, nth)| {
        let offsets = found.get(id).into_iter().flatten();
        offsets.map(move |offset| Offset(offset.0 - nth))
    });
    let all: BTreeSet<Offset> = all.filter(|begin| *begin >= Offset::ZERO).collect();
    all.into_iter().collect()
}

fn op(attempt: &Append<'_>, base: Offset, begin: usize, end: usize) -> LogOp {
    LogOp {
        begin,
        end,
        kind: Kind::Append {
            base,
            records: Some(attempt.records.to_vec()),
        },
        call: Some(attempt.call),
    }
}

/// Where an attempt was acknowledged, if that was surely in this partition.
fn base(attempt: &Append<'_>, part: Part) -> Option<Offset> {
    attempt.base.filter(|_| attempt.part == Some(part))
}

/// The attempts of each batch that may have had an effect here, in the order in which they were
/// sent.
type Batches<'f, 'a> = BTreeMap<(Option<Sequenced>, RecordId), Vec<&'f Append<'a>>>;

fn batches<'f, 'a>(facts: &'f Facts<'a>, part: Part) -> Batches<'f, 'a> {
    let mut batches = Batches::new();
    for append in facts.appends_perhaps_of(part) {
        let Some(first) = append.records.first() else {
            continue;
        };
        if facts.calls[append.call].effect() != Effect::Never {
            batches
                .entry((append.sequenced, *first))
                .or_default()
                .push(append);
        }
    }
    batches
}

/// Records that nobody ever read, at offsets that nobody ever read: no more of them than produces
/// without an answer can have left.
fn ghosts(facts: &Facts<'_>, part: Part, appends: &[LogOp], log: &Log, end: Offset) -> Vec<LogOp> {
    let placed: BTreeSet<usize> = appends.iter().filter_map(|op| op.call).collect();
    let (placed, batches) = (&placed, batches(facts, part));
    let unplaced = batches.iter().flat_map(|((sequenced, _), attempts)| {
        let is_placed = attempts
            .iter()
            .any(|attempt| placed.contains(&attempt.call));
        let open = attempts.iter().filter(move |attempt| match sequenced {
            Some(_) => !is_placed,
            None => !placed.contains(&attempt.call),
        });
        open.take(if sequenced.is_some() { 1 } else { usize::MAX })
    });
    let begins = unplaced.flat_map(|append| {
        let begin = facts.calls[append.call].invoked;
        append.records.iter().map(move |_| begin)
    });
    let mut begins: Vec<usize> = begins.collect();
    begins.sort_unstable();
    let covered = appends.iter().map(|op| (begin_of(op), op.log_end()));
    let covered: BTreeMap<Offset, Offset> = covered.collect();
    let last = covered.values().copied().fold(end, Offset::max);
    let is_hole = |offset: &Offset| {
        let batch = covered.range(..=offset).next_back();
        batch.is_none_or(|(_, until)| until <= offset) && !log.contains_key(offset)
    };
    let holes = (0..last.0).map(Offset).filter(is_hole);
    let ghost = |(base, begin)| LogOp {
        begin,
        end: usize::MAX,
        kind: Kind::Append {
            base,
            records: None,
        },
        call: None,
    };
    holes.zip(begins).map(ghost).collect()
}

fn begin_of(op: &LogOp) -> Offset {
    match &op.kind {
        Kind::Append { base, .. } => *base,
        Kind::Read { high, .. } => *high,
    }
}
