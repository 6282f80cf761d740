//! **An idempotent batch stands in its partition once, however often it was sent.**
//!
//! A record of a batch with a sequence is seen (in acknowledgements and reads together) at one
//! offset only: every acknowledged attempt names the same one. If the same record was sent under
//! several producer ids, epochs or sequences, or without a sequence, each of those may have left it
//! once; a plain produce leaves it at most once for each attempt that was not refused for good.

use std::collections::{BTreeMap, BTreeSet};

use levada_model::Offset;

use super::Findings;
use super::calls::Effect;
use super::facts::Facts;
use super::topics::Part;
use crate::history::*;

/// Where a record was seen, with the call that told it.
type Places = BTreeMap<Offset, usize>;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for part in facts.parts() {
        let mut seen: BTreeMap<RecordId, Places> = BTreeMap::new();
        let mut see = |id: RecordId, offset: Offset, call: usize| {
            seen.entry(id).or_default().entry(offset).or_insert(call);
        };
        for append in facts.appends_of(part) {
            for (offset, id) in append.acknowledged() {
                see(id, offset, append.call);
            }
        }
        for read in facts.reads_of(part) {
            for (offset, id) in read.records {
                see(*id, *offset, read.call);
            }
        }
        let allowed = allowed(facts, part);
        for (id, places) in seen {
            findings.look();
            let allowed = allowed.get(&id).copied().unwrap_or(0);
            // What nobody can have written is the check `origin`'s.
            if places.len() > allowed.max(1) {
                let offsets: Vec<String> = places.keys().map(ToString::to_string).collect();
                let place = facts.topics.name(part);
                findings.violation(
                    format!(
                        "{place}: {id} may stand there {allowed} times, it is at offsets {}",
                        offsets.join(", ")
                    ),
                    places
                        .values()
                        .flat_map(|call| facts.events(*call))
                        .collect(),
                );
            }
        }
    }
}

/// How often each record may stand in a partition.
fn allowed(facts: &Facts<'_>, part: Part) -> BTreeMap<RecordId, usize> {
    let mut sequences: BTreeMap<RecordId, BTreeSet<Sequenced>> = BTreeMap::new();
    let mut plain: BTreeMap<RecordId, usize> = BTreeMap::new();
    for append in facts.appends_perhaps_of(part) {
        if facts.calls[append.call].effect() == Effect::Never {
            continue;
        }
        for id in append.records {
            match append.sequenced {
                Some(sequenced) => drop(sequences.entry(*id).or_default().insert(sequenced)),
                None => *plain.entry(*id).or_default() += 1,
            }
        }
    }
    for (id, sequences) in sequences {
        *plain.entry(id).or_default() += sequences.len();
    }
    plain
}
