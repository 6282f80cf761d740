//! **The high watermark never falls, never trails an acknowledged record, and never runs ahead.**
//!
//! Fetch tells it, ListOffsets of the latest offset tells the same number (there are no
//! transactions). What one call was told, a call that is sent later is told too, or more; after an
//! acknowledgement it is past the batch; a read returns only records below the watermark that it
//! tells, and no offset above it is asked for with success; and it counts no more records than
//! produces that were sent by then can have left.
//!
//! Tolerated: a produce whose end is open counts as one that may have left its batch, each attempt
//! of a plain one once more.

use std::collections::BTreeSet;

use levada_model::Offset;

use super::Findings;
use super::bounds::Bounds;
use super::calls::{Append, Effect};
use super::facts::Facts;
use super::topics::Part;
use crate::history::*;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for part in facts.parts() {
        let told: Vec<(usize, Offset)> = told(facts, part).collect();
        let answered = |call: usize| facts.calls[call].answered();
        let acks = facts
            .appends_of(part)
            .filter_map(|append| Some((answered(append.call), append.end()?)));
        let before = told.iter().map(|(call, high)| (answered(*call), *high));
        let least = Bounds::new(acks.chain(before).collect());
        let most = Most::new(facts, part);
        for (call, high) in told {
            findings.look();
            let least = least.before(facts.calls[call].invoked);
            if let Some((event, least)) = least.filter(|(_, least)| high < *least) {
                let place = facts.topics.name(part);
                let mut events = facts.events(call);
                events.push(event);
                findings.violation(
                    format!("{place}: the high watermark is {high}, it was known to reach {least}"),
                    events,
                );
            }
            let most = most.before(answered(call));
            if high > most {
                let place = facts.topics.name(part);
                findings.violation(
                    format!("{place}: the high watermark is {high}, {most} records were sent"),
                    facts.events(call),
                );
            }
        }
        check_reads(facts, part, findings);
    }
}

/// Every word about the watermark: the call and the offset.
fn told(facts: &Facts<'_>, part: Part) -> impl Iterator<Item = (usize, Offset)> {
    facts
        .calls_of(part)
        .filter_map(|(index, call)| match (call.op, call.answer()?) {
            (Op::Fetch { .. }, Answer::Fetched { high_watermark, .. }) => {
                Some((index, *high_watermark))
            }
            (
                Op::ListOffset {
                    end: End::Latest, ..
                },
                Answer::At(at),
            ) => Some((index, *at)),
            _ => None,
        })
}

fn check_reads(facts: &Facts<'_>, part: Part, findings: &mut Findings) {
    for read in facts.reads_of(part) {
        findings.look();
        if read.end() > read.high_watermark {
            let place = facts.topics.name(part);
            findings.violation(
                format!(
                    "{place}: a read from {} reaches {}, the high watermark is {}",
                    read.from,
                    read.end(),
                    read.high_watermark
                ),
                facts.events(read.call),
            );
        }
    }
}

/// How many records can have been appended before an event.
struct Most {
    /// When each batch was first sent, and the count of all up to it.
    counts: Vec<(usize, i64)>,
}

impl Most {
    fn new(facts: &Facts<'_>, part: Part) -> Most {
        let mut batches = BTreeSet::new();
        // One batch with a sequence is appended once, whichever attempt it is.
        let mut is_new =
            |append: &&Append<'_>| append.sequenced.is_none_or(|own| batches.insert(own));
        let appends = facts.appends_perhaps_of(part);
        let effective = appends.filter(|append| facts.calls[append.call].effect() != Effect::Never);
        let mut count = 0;
        let counts = effective.filter(&mut is_new).map(|append| {
            count += append.records.len() as i64;
            (facts.calls[append.call].invoked, count)
        });
        Most {
            counts: counts.collect(),
        }
    }

    fn before(&self, event: usize) -> Offset {
        let sent = self.counts.partition_point(|(invoked, _)| *invoked < event);
        Offset(self.counts[..sent].last().map_or(0, |(_, count)| *count))
    }
}
