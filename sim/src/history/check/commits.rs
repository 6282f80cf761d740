//! **A committed offset never passes a record that the group was not given.**
//!
//! When a member asks to commit offset `n`, every record below `n`, from where the group began
//! (0, or the note [`Note::GroupBegins`]), was delivered to a member before.
//!
//! This holds the broker to its word as much as the client: a member that takes over goes on where
//! the broker says that the group stands, so an offset that is too high shows here as records that
//! nobody was given. A commit that goes back is allowed; what it covers was delivered already.
//!
//! Tolerated: records below a log start that somebody saw before the commit, records that damage
//! may cost, and what an outsider's commit (one without a generation: an administrator who resets
//! the group) has skipped.

use std::collections::{BTreeMap, BTreeSet};

use levada_model::Offset;

use super::Findings;
use super::calls::Effect;
use super::facts::Facts;
use super::topics::Part;
use crate::history::*;

/// What a group was given of one partition.
#[derive(Default)]
struct Given {
    begins: Option<Offset>,
    /// Disjoint ranges by their begin, end exclusive.
    ranges: BTreeMap<Offset, Offset>,
    /// Events of deliveries, to be named.
    last: Option<usize>,
    skipped: Offset,
}

impl Given {
    /// The first record below `until`, from `from` on, that was not delivered.
    fn first_missing(&self, mut from: Offset, until: Offset) -> Option<Offset> {
        while from < until {
            let range = self.ranges.range(..=from).next_back();
            match range.filter(|(_, end)| **end > from) {
                Some((_, end)) => from = *end,
                None => return Some(from),
            }
        }
        None
    }

    fn deliver(&mut self, mut from: Offset, mut until: Offset, event: usize) {
        // Every range that it touches becomes one with it, so that they stay disjoint.
        let reach = self.ranges.range(..=until).rev();
        let touched = reach.take_while(|(_, end)| **end >= from);
        let touched: Vec<Offset> = touched.map(|(begin, _)| *begin).collect();
        for begin in touched {
            until = self
                .ranges
                .remove(&begin)
                .map_or(until, |end| until.max(end));
            from = from.min(begin);
        }
        self.ranges.insert(from, until);
        self.last = Some(event);
    }
}

type Groups<'a> = BTreeMap<(&'a str, Part), Given>;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let mut groups = Groups::new();
    // Calls and notes in the order of time, a call at its invocation.
    let mut calls = facts.calls.iter().enumerate().peekable();
    let mut notes = facts.notes.iter().peekable();
    for event in 0..facts.history.events.len() {
        if let Some((_, note)) = notes.next_if(|(at, _)| *at == event) {
            take_note(facts, &mut groups, event, note);
        }
        if let Some((index, _)) = calls.next_if(|(_, call)| call.invoked == event) {
            check_commit(facts, &mut groups, index, findings);
        }
    }
}

fn take_note<'a>(facts: &Facts<'a>, groups: &mut Groups<'a>, event: usize, note: &'a Note) {
    let part = |at: &Place| facts.topics.part(at, event, event + 1);
    match note {
        Note::GroupBegins { group, at, offset } => {
            if let Some(part) = part(at) {
                let given = groups.entry((group, part)).or_default();
                let before = given.begins.unwrap_or(*offset);
                given.begins = Some(before.min(*offset));
            }
        }
        Note::Delivered {
            group,
            at,
            from,
            until,
            ..
        } => {
            if let Some(part) = part(at) {
                let given = groups.entry((group, part)).or_default();
                given.deliver(*from, *until, event);
            }
        }
        _ => {}
    }
}

fn check_commit<'a>(
    facts: &Facts<'a>,
    groups: &mut Groups<'a>,
    index: usize,
    findings: &mut Findings,
) {
    let call = &facts.calls[index];
    let (
        Op::Commit {
            group,
            generation,
            offset,
            ..
        },
        Some(part),
    ) = (call.op, call.part)
    else {
        return;
    };
    let given = groups.entry((group, part)).or_default();
    if generation.is_none() {
        if call.effect() != Effect::Never {
            given.skipped = given.skipped.max(*offset);
        }
        return;
    }
    findings.look();
    let trimmed = facts
        .log_start_before(part, call.invoked)
        .map_or(Offset::ZERO, |(_, start)| start);
    let begins = given.begins.unwrap_or(Offset::ZERO);
    let mut from = begins.max(given.skipped).max(trimmed);
    while let Some(missing) = given.first_missing(from, *offset) {
        if !facts.may_be_damaged(part, missing, call.invoked) {
            let mut events = facts.events(index);
            events.extend(given.last);
            let place = facts.topics.name(part);
            findings.violation(
                format!("group {group} commits {offset} in {place}, nobody was given {missing}"),
                events,
            );
            return;
        }
        from = missing.plus(1);
    }
}

/// The groups of a history: every one that a call names.
pub fn names<'a>(facts: &Facts<'a>) -> BTreeSet<&'a str> {
    let named = facts.calls.iter().filter_map(|call| match call.op {
        Op::Join { group }
        | Op::Commit { group, .. }
        | Op::FetchCommitted { group, .. }
        | Op::DeleteGroup { group } => Some(group.as_str()),
        _ => None,
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_that_overlap_cover_what_both_cover() {
        let mut given = Given::default();
        for (from, until) in [(10, 13), (2, 4), (7, 15), (16, 20), (4, 7)] {
            given.deliver(Offset(from), Offset(until), 0);
        }
        assert_eq!(given.first_missing(Offset(2), Offset(20)), Some(Offset(15)));
        assert_eq!(given.first_missing(Offset(14), Offset(15)), None);
        assert_eq!(given.first_missing(Offset(0), Offset(1)), Some(Offset(0)));
        assert_eq!(
            given.first_missing(Offset(17), Offset(21)),
            Some(Offset(20))
        );
    }
}
