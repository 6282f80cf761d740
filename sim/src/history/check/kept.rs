//! **An acknowledged record is neither lost nor changed.**
//!
//! A batch acknowledged at offset `b` stands there: two acknowledgements never name one offset for
//! different records; every read that passes over an acknowledged offset returns that record; an
//! offset at or below one that was acknowledged before is never out of range; and after
//! [`Note::Audit`] each acknowledged record is read back once more.
//!
//! Tolerated: records below a log start that somebody saw (whether it was allowed to move is the
//! check `retention`'s question), topics that somebody asked to delete and that the last reading
//! does not find, and records that damage may cost, if the read of them fails.

use std::collections::{BTreeMap, BTreeSet};

use levada_model::Offset;
use levada_wire_kafka::ErrorCode;

use super::calls::Read;
use super::facts::{Facts, Seen};
use super::topics::Part;
use super::{Findings, deletes};
use crate::history::*;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for part in facts.parts() {
        let acknowledged = acknowledged(facts, part, findings);
        for read in facts.reads_of(part) {
            check_read(facts, part, &acknowledged, read, findings);
        }
        check_refusals(facts, part, &acknowledged, findings);
        if let Some(audit) = facts.audit {
            check_audit(facts, part, &acknowledged, audit, findings);
        }
    }
}

type Acknowledged = BTreeMap<Offset, Seen>;

fn acknowledged(facts: &Facts<'_>, part: Part, findings: &mut Findings) -> Acknowledged {
    let mut all = Acknowledged::new();
    for append in facts.appends_of(part) {
        for (offset, id) in append.acknowledged() {
            findings.look();
            let call = append.call;
            let before = all.insert(offset, Seen { id, call });
            if let Some(before) = before.filter(|before| before.id != id) {
                let place = facts.topics.name(part);
                findings.violation(
                    format!(
                        "{place} offset {offset} was acknowledged for {} and for {id}",
                        before.id
                    ),
                    facts.events_of_both(before.call, call),
                );
            }
        }
    }
    all
}

fn check_read(
    facts: &Facts<'_>,
    part: Part,
    acknowledged: &Acknowledged,
    read: &Read<'_>,
    findings: &mut Findings,
) {
    let found: BTreeMap<Offset, RecordId> = read.records.iter().copied().collect();
    for (offset, promised) in acknowledged.range(read.from..read.end()) {
        findings.look();
        let place = facts.topics.name(part);
        let what = match found.get(offset) {
            Some(id) if *id == promised.id => continue,
            Some(id) => format!(
                "{place} offset {offset}: {} was acknowledged, {id} was read",
                promised.id
            ),
            // Its neighbours are there, so it is missing whenever the read began.
            None => format!(
                "{place} offset {offset}: {} was acknowledged, a read passed it over",
                promised.id
            ),
        };
        findings.violation(what, facts.events_of_both(promised.call, read.call));
    }
}

/// "Out of range" says that nothing stands at or above the offset, or that it was trimmed.
fn check_refusals(
    facts: &Facts<'_>,
    part: Part,
    acknowledged: &Acknowledged,
    findings: &mut Findings,
) {
    for (index, call, from) in facts.out_of_range(part) {
        findings.look();
        let mut above = acknowledged.range(from..);
        let promised = above.find(|(_, seen)| facts.calls[seen.call].answered() < call.invoked);
        if let Some((offset, promised)) = promised
            && !facts.may_be_trimmed(part, from, call.answered())
        {
            let place = facts.topics.name(part);
            findings.violation(
                format!("{place} offset {from} is out of range, {offset} was acknowledged"),
                facts.events_of_both(promised.call, index),
            );
        }
    }
}

fn check_audit(
    facts: &Facts<'_>,
    part: Part,
    acknowledged: &Acknowledged,
    audit: usize,
    findings: &mut Findings,
) {
    if facts.topics.all[part.topic].dying < usize::MAX && !is_found(facts, part, audit) {
        return;
    }
    let reads = facts
        .reads_of(part)
        .filter(|read| facts.calls[read.call].invoked > audit);
    let found: BTreeSet<Offset> = reads
        .flat_map(|read| read.records.iter().map(|(offset, _)| *offset))
        .collect();
    for (offset, promised) in acknowledged.range(facts.log_start_last(part)..) {
        findings.look();
        if found.contains(offset) || is_told_damaged(facts, part, *offset, audit, &found) {
            continue;
        }
        let place = facts.topics.name(part);
        let mut events = facts.events(promised.call);
        events.push(audit);
        findings.violation(
            format!(
                "{place} offset {offset}: {} was acknowledged, the last reading did not find it",
                promised.id
            ),
            events,
        );
    }
}

/// Whether every fetch of the last reading found the partition.
fn is_found(facts: &Facts<'_>, part: Part, audit: usize) -> bool {
    let calls = facts.calls_of(part).map(|(_, call)| call);
    let fetches = calls.filter(|call| matches!(call.op, Op::Fetch { .. }) && call.invoked > audit);
    let mut fetches = fetches.peekable();
    fetches.peek().is_some() && fetches.all(|call| !deletes::is_unknown_topic(call))
}

/// Whether damage may cost the record, and a read of it or of what leads up to it has failed.
fn is_told_damaged(
    facts: &Facts<'_>,
    part: Part,
    offset: Offset,
    audit: usize,
    found: &BTreeSet<Offset>,
) -> bool {
    let mut fetches = facts
        .calls_of(part)
        .filter(|(_, call)| call.invoked > audit);
    facts.may_be_damaged(part, offset, usize::MAX)
        && fetches.any(|(_, call)| {
            matches!(call.op, Op::Fetch { from, .. }
                if call.refusal() == Some(ErrorCode::CorruptMessage.code())
                    && *from <= offset
                    && found.range(*from..offset).next().is_none())
        })
}
