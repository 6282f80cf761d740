//! **No gap and no reordering within a partition.**
//!
//! - A read returns contiguous offsets that begin where it was asked to begin.
//! - A batch stands together: records of one batch have neighbouring offsets in their order.
//! - A batch acknowledged before another was sent has lower offsets than it.
//! - Batches of one idempotent producer stand in the order of their sequences (which wrap from
//!   `i32::MAX` to 0), with none left out where the log between them is known; and batches of a
//!   higher epoch stand behind all of a lower one: a fenced producer writes no more.
//! - A batch whose sequence follows one that was acknowledged before is not refused as out of
//!   order: the broker has forgotten none.
//!
//! Tolerated: a retried batch counts from its first attempt on, since that one may have left it.
//! Several attempts of a plain batch may stand several times, each time whole.

use std::collections::BTreeMap;

use levada_model::{Offset, ProducerId};
use levada_wire_kafka::ErrorCode;

use super::Findings;
use super::bounds::Bounds;
use super::calls::Append;
use super::facts::{Facts, Seen};
use super::topics::Part;
use crate::history::*;

/// Sequences are compared within half of their circle.
const HALF_CIRCLE: i64 = 1 << 30;
const CIRCLE: i64 = 1 << 31;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for part in facts.parts() {
        let log = facts.log(part);
        check_contiguous(facts, part, findings);
        check_batches(facts, part, &log, findings);
        check_acknowledged(facts, part, findings);
        check_producers(facts, part, &log, findings);
        check_refused(facts, part, findings);
    }
}

fn check_refused(facts: &Facts<'_>, part: Part, findings: &mut Findings) {
    let code = Some(ErrorCode::OutOfOrderSequenceNumber.code());
    for append in facts.appends_of(part) {
        let call = &facts.calls[append.call];
        let Some(own) = append.sequenced.filter(|_| call.refusal() == code) else {
            continue;
        };
        findings.look();
        let precedes = |other: &&Append<'_>| {
            let next = other.sequenced.map(|of| Sequenced {
                base: of.base.plus(other.records.len() as u32),
                ..of
            });
            next == Some(own)
                && other.base.is_some()
                && facts.calls[other.call].answered() < call.invoked
        };
        if let Some(before) = facts.appends_of(part).find(precedes) {
            let place = facts.topics.name(part);
            findings.violation(
                format!("{place}: a batch is out of order, the one before it was acknowledged"),
                facts.events_of_both(before.call, append.call),
            );
        }
    }
}

fn check_contiguous(facts: &Facts<'_>, part: Part, findings: &mut Findings) {
    for read in facts.reads_of(part) {
        let mut due = read.from;
        for (offset, _) in read.records {
            findings.look();
            if *offset != due {
                let place = facts.topics.name(part);
                findings.violation(
                    format!(
                        "{place}: a read from {} gives offset {offset} where {due} is due",
                        read.from
                    ),
                    facts.events(read.call),
                );
                break;
            }
            due = due.plus(1);
        }
    }
}

/// Each known record of a batch is held against the known records around it.
fn check_batches(
    facts: &Facts<'_>,
    part: Part,
    log: &BTreeMap<Offset, Seen>,
    findings: &mut Findings,
) {
    let mut batches: BTreeMap<RecordId, &[RecordId]> = BTreeMap::new();
    for append in facts
        .appends
        .iter()
        .filter(|append| append.records.len() > 1)
    {
        for id in append.records {
            batches.entry(*id).or_insert(append.records);
        }
    }
    for (offset, seen) in log {
        let Some(batch) = batches.get(&seen.id) else {
            continue;
        };
        findings.look();
        let nth = batch
            .iter()
            .position(|id| *id == seen.id)
            .unwrap_or_default() as i64;
        for (index, due) in batch.iter().enumerate() {
            let beside = Offset(offset.0 - nth + index as i64);
            let is_no_offset = beside.0 < 0;
            let found = log.get(&beside);
            if is_no_offset || found.is_some_and(|found| found.id != *due) {
                let place = facts.topics.name(part);
                let instead = found.map_or("nothing".to_owned(), |found| found.id.to_string());
                let mut events = facts.events(seen.call);
                events.extend(
                    found
                        .map(|found| facts.events(found.call))
                        .unwrap_or_default(),
                );
                findings.violation(
                    format!(
                        "{place}: {} at {offset} needs {due} at {beside}, there is {instead}",
                        seen.id
                    ),
                    events,
                );
                break;
            }
        }
    }
}

/// The order of acknowledgements in real time.
fn check_acknowledged(facts: &Facts<'_>, part: Part, findings: &mut Findings) {
    let mut first_sent: BTreeMap<Sequenced, usize> = BTreeMap::new();
    for append in facts.appends_of(part) {
        if let Some(sequenced) = append.sequenced {
            let invoked = facts.calls[append.call].invoked;
            let first = first_sent.entry(sequenced).or_insert(invoked);
            *first = invoked.min(*first);
        }
    }
    let answered = |append: &Append<'_>| Some((facts.calls[append.call].answered(), append.end()?));
    let ends = Bounds::new(facts.appends_of(part).filter_map(answered).collect());
    for append in facts.appends_of(part) {
        let Some(base) = append.base else { continue };
        findings.look();
        let sent = facts.calls[append.call].invoked;
        let sent = append.sequenced.map_or(sent, |own| first_sent[&own]);
        if let Some((event, end)) = ends.before(sent).filter(|(_, end)| base < *end) {
            let place = facts.topics.name(part);
            let mut events = facts.events(append.call);
            events.push(event);
            findings.violation(
                format!("{place}: a batch got offset {base}, {end} was the end of the log before"),
                events,
            );
        }
    }
}

/// A batch of an idempotent producer where it stands.
struct Placed {
    sequenced: Sequenced,
    base: Offset,
    len: u32,
    call: usize,
}

fn check_producers(
    facts: &Facts<'_>,
    part: Part,
    log: &BTreeMap<Offset, Seen>,
    findings: &mut Findings,
) {
    for placed in placed(facts, part, log).values() {
        for pair in placed.windows(2) {
            let [one, next] = pair else { continue };
            findings.look();
            if let Some(why) = out_of_order(one, next, log) {
                let place = facts.topics.name(part);
                let (a, b) = (one.sequenced, next.sequenced);
                findings.violation(
                    format!(
                        "{place}: producer {} has sequence {} of epoch {} at offset {}, \
                         {} of {} at {}: {why}",
                        a.producer, a.base, a.epoch, one.base, b.base, b.epoch, next.base
                    ),
                    facts.events_of_both(one.call, next.call),
                );
            }
        }
    }
}

/// The batches of each producer in the order of their offsets.
fn placed(
    facts: &Facts<'_>,
    part: Part,
    log: &BTreeMap<Offset, Seen>,
) -> BTreeMap<ProducerId, Vec<Placed>> {
    let at: BTreeMap<RecordId, Offset> = log
        .iter()
        .rev()
        .map(|(offset, seen)| (seen.id, *offset))
        .collect();
    let mut batches: BTreeMap<Sequenced, Placed> = BTreeMap::new();
    for append in facts.appends_perhaps_of(part) {
        // Any record of the batch tells where it begins.
        let known = append.records.iter().zip(0_i64..);
        let mut begins = known.filter_map(|(id, nth)| Some(Offset(at.get(id)?.0 - nth)));
        if let (Some(sequenced), Some(base)) = (append.sequenced, append.base.or(begins.next())) {
            batches.entry(sequenced).or_insert(Placed {
                sequenced,
                base,
                len: append.records.len() as u32,
                call: append.call,
            });
        }
    }
    let mut producers: BTreeMap<ProducerId, Vec<Placed>> = BTreeMap::new();
    for placed in batches.into_values() {
        producers
            .entry(placed.sequenced.producer)
            .or_default()
            .push(placed);
    }
    producers
        .values_mut()
        .for_each(|all| all.sort_by_key(|placed| placed.base));
    producers
}

fn out_of_order(one: &Placed, next: &Placed, log: &BTreeMap<Offset, Seen>) -> Option<&'static str> {
    let (a, b) = (one.sequenced, next.sequenced);
    if a.epoch != b.epoch {
        return (b.epoch < a.epoch).then_some("a fenced epoch has written");
    }
    let due = a.base.plus(one.len);
    let ahead = (i64::from(b.base.0) - i64::from(due.0)).rem_euclid(CIRCLE);
    if ahead >= HALF_CIRCLE {
        return Some("out of order");
    }
    let end = one.base.plus(u64::from(one.len));
    let between = next.base.0 - end.0;
    let is_known = log.range(end..next.base.max(end)).count() as i64 == between;
    (ahead > 0 && is_known).then_some("sequences between them are missing")
}
