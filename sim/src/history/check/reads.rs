//! **Reads never go back.**
//!
//! - Two reads of one offset return the same record, whoever reads and whenever.
//! - What one read returned is there for every read that begins later: an offset that was read is
//!   not out of range afterwards, unless it was trimmed.
//! - A read gets on: below the high watermark that it tells it returns at least one record. (A
//!   client here asks for one partition in one request, so no other partition can use up its
//!   bytes.)
//!
//! That the end of the log never comes nearer is the check `watermark`'s.

use std::collections::BTreeMap;

use levada_model::Offset;

use super::Findings;
use super::bounds::Bounds;
use super::facts::{Facts, Seen};
use super::topics::Part;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for part in facts.parts() {
        check_same(facts, part, findings);
        check_range(facts, part, findings);
    }
}

fn check_same(facts: &Facts<'_>, part: Part, findings: &mut Findings) {
    let mut first: BTreeMap<Offset, Seen> = BTreeMap::new();
    for read in facts.reads_of(part) {
        for (offset, id) in read.records {
            findings.look();
            let (id, call) = (*id, read.call);
            let before = *first.entry(*offset).or_insert(Seen { id, call });
            if before.id != id {
                let place = facts.topics.name(part);
                findings.violation(
                    format!(
                        "{place} offset {offset} was read as {} and as {id}",
                        before.id
                    ),
                    facts.events_of_both(before.call, call),
                );
            }
        }
        if read.records.is_empty() && read.from < read.high_watermark {
            let place = facts.topics.name(part);
            findings.violation(
                format!(
                    "{place}: nothing is read from {}, below the high watermark {}",
                    read.from, read.high_watermark
                ),
                facts.events(read.call),
            );
        }
    }
}

fn check_range(facts: &Facts<'_>, part: Part, findings: &mut Findings) {
    let ends = facts
        .reads_of(part)
        .map(|read| (facts.calls[read.call].answered(), read.end()));
    let ends = Bounds::new(ends.collect());
    for (index, call, from) in facts.out_of_range(part) {
        findings.look();
        // A fetch at the very end of the log is in range too.
        if let Some((event, end)) = ends.before(call.invoked).filter(|(_, end)| from <= *end)
            && !facts.may_be_trimmed(part, from, call.answered())
        {
            let place = facts.topics.name(part);
            let mut events = facts.events(index);
            events.push(event);
            findings.violation(
                format!("{place} offset {from} is out of range, it had been read up to {end}"),
                events,
            );
        }
    }
}
