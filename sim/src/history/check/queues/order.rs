//! **A FIFO queue gives a group's messages in their order, and has what was sent again once.**
//!
//! When a message is received, each message of its group with a lower sequence number is done, or
//! stands before it in the same answer. A message that was sent again within five minutes has one
//! sequence number, whoever tells it.
//!
//! Tolerated: a message before it that somebody may have deleted, that went to the dead-letter queue,
//! or that a purge may have taken.

use std::collections::{BTreeMap, BTreeSet};

use super::{Delivered, Queue};
use crate::history::check::Findings;
use crate::history::check::facts::Facts;
use crate::history::*;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for (name, queue, target) in facts.queues.with_targets() {
        if !queue.is_fifo {
            continue;
        }
        let known = known(queue);
        let done = done(queue);
        let buried: BTreeSet<RecordId> = target
            .into_iter()
            .flat_map(|target| target.delivered.iter().map(|one| one.what.key.record))
            .collect();
        let together = together(queue);
        for one in &queue.delivered {
            let (Some(group), Some(sequence)) = (one.what.group, one.what.key.sequence) else {
                continue;
            };
            let Some(members) = known.get(&group) else {
                continue;
            };
            for (before, (record, call)) in members.range(..sequence) {
                findings.look();
                let key = MessageKey {
                    record: *record,
                    sequence: Some(*before),
                };
                let may_be_done = done.get(&key).is_some_and(|at| *at < one.span.answered);
                let nth = together.get(&(one.span.call, key));
                if may_be_done
                    || buried.contains(record)
                    || nth.is_some_and(|nth| *nth < one.nth)
                    || queue.may_be_purged(sent(queue, *record), one.span.answered)
                {
                    continue;
                }
                findings.violation(
                    format!(
                        "{name}: {} of group {group} is received, {key} before it is not done",
                        one.what.key
                    ),
                    facts.events_of_both(*call, one.span.call),
                );
            }
        }
    }
}

fn sent(queue: &Queue<'_>, record: RecordId) -> usize {
    queue.sent.get(&record).map_or(0, |sent| sent.invoked)
}

/// The messages of each group by their sequence numbers, with a call that told them.
fn known(queue: &Queue<'_>) -> BTreeMap<u64, BTreeMap<i64, (RecordId, usize)>> {
    let mut known: BTreeMap<u64, BTreeMap<i64, (RecordId, usize)>> = BTreeMap::new();
    for (record, sent) in &queue.sent {
        for (sequence, call) in &sent.sequences {
            let group = known.entry(sent.group.unwrap_or_default()).or_default();
            group.insert(*sequence, (*record, *call));
        }
    }
    for one in &queue.delivered {
        if let (Some(group), Some(sequence)) = (one.what.group, one.what.key.sequence) {
            let told = (one.what.key.record, one.span.call);
            known
                .entry(group)
                .or_default()
                .entry(sequence)
                .or_insert(told);
        }
    }
    known
}

/// Since when a message may be deleted.
fn done(queue: &Queue<'_>) -> BTreeMap<MessageKey, usize> {
    let mut done = BTreeMap::new();
    for touch in queue.deletions() {
        let first = done.entry(touch.what.key).or_insert(usize::MAX);
        *first = touch.span.invoked.min(*first);
    }
    done
}

/// Which place a message has in the answer of a call.
fn together(queue: &Queue<'_>) -> BTreeMap<(usize, MessageKey), usize> {
    let place = |one: &Delivered| ((one.span.call, one.what.key), one.nth);
    queue.delivered.iter().map(place).collect()
}

pub fn check_once(facts: &Facts<'_>, findings: &mut Findings) {
    if facts.queues.jumped < usize::MAX {
        return;
    }
    for (name, queue) in facts.queues.all.iter().filter(|(_, queue)| queue.is_fifo) {
        let mut told: BTreeMap<RecordId, (i64, usize)> = BTreeMap::new();
        let sent = queue.sent.iter().flat_map(|(record, sent)| {
            let all = sent.sequences.iter();
            all.map(move |(sequence, call)| (*record, *sequence, *call))
        });
        let delivered = queue.delivered.iter().filter_map(|one| {
            let key = one.what.key;
            Some((key.record, key.sequence?, one.span.call))
        });
        for (record, sequence, call) in sent.chain(delivered) {
            findings.look();
            let (first, by) = *told.entry(record).or_insert((sequence, call));
            if first != sequence {
                findings.violation(
                    format!("{name}: {record} stands there twice, at {first} and at {sequence}"),
                    facts.events_of_both(by, call),
                );
            }
        }
    }
}
