//! **No record out of nowhere.**
//!
//! A record that a read returns was written by a client of this run, into this partition of this
//! topic, by a produce that had been sent when the read returned; and not only by produces that
//! were refused for good.
//!
//! Tolerated: a produce whose end is open, at any later moment. Kafka makes a refusal ambiguous
//! where an earlier attempt of the same batch had no answer: then that attempt may have left the
//! records, whatever the retry was told. A produce that named its topic by name, while several
//! topics of that name were possible, may have gone to each of them.

use std::collections::BTreeMap;

use super::Findings;
use super::calls::{Append, Effect, Read};
use super::facts::Facts;
use super::topics::Part;
use crate::history::*;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let mut writers: BTreeMap<RecordId, Vec<&Append<'_>>> = BTreeMap::new();
    for append in &facts.appends {
        for id in append.records {
            writers.entry(*id).or_default().push(append);
        }
    }
    for read in &facts.reads {
        let Some(part) = read.part else { continue };
        for (offset, id) in read.records {
            findings.look();
            let writers = writers.get(id).map_or(&[][..], |all| all);
            if let Some((why, events)) = contradiction(facts, part, read, writers) {
                let place = facts.topics.name(part);
                let mut all = facts.events(read.call);
                all.extend(events);
                findings.violation(format!("{place} offset {offset}: {id} {why}"), all);
            }
        }
    }
}

/// Why none of these produces can have left the record that was read.
fn contradiction(
    facts: &Facts<'_>,
    part: Part,
    read: &Read<'_>,
    writers: &[&Append<'_>],
) -> Option<(&'static str, Vec<usize>)> {
    let events = |all: &[&Append<'_>]| {
        all.iter()
            .flat_map(|append| facts.events(append.call))
            .collect()
    };
    if writers.is_empty() {
        return Some(("was written by nobody", Vec::new()));
    }
    let here = writers
        .iter()
        .filter(|append| facts.may_mean(&facts.calls[append.call], part));
    let here: Vec<&Append<'_>> = here.copied().collect();
    if here.is_empty() {
        return Some(("was written to another partition or topic", events(writers)));
    }
    let returned = facts.calls[read.call].answered();
    let before = here
        .iter()
        .filter(|append| facts.calls[append.call].invoked < returned);
    let before: Vec<&Append<'_>> = before.copied().collect();
    if before.is_empty() {
        return Some(("was read before it was written", events(&here)));
    }
    let refused = |append: &&Append<'_>| facts.calls[append.call].effect() == Effect::Never;
    let all_refused = before.iter().all(refused);
    all_refused.then(|| ("was refused for good, and yet it is there", events(&before)))
}
