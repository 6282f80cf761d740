//! **A generation has one assignment, and only the newest generation commits.**
//!
//! - In one generation of a group no partition is given to two members.
//! - Generations go only forward: a member that asks to join after another was told generation `n`
//!   is told `n` or a later one.
//! - A commit with generation `n` is not accepted when it is sent after anybody was told a later
//!   generation: a member that was left behind does not write.
//!
//! Tolerated: when somebody asks to delete a group its generations may begin again, so what was
//! told before the first deletion and after the last are held against each other only among
//! themselves, and what lies between not at all. A group in which nothing is committed may be forgotten while it has no member;
//! its generations are compared only from its first acknowledged commit on.

use std::collections::BTreeMap;
use std::ops::Range;

use levada_model::Offset;

use super::bounds::Bounds;
use super::calls::{Call, Effect};
use super::facts::Facts;
use super::{Findings, commits};
use crate::history::*;

/// A member that was told its generation and its part.
struct Joined<'a> {
    call: usize,
    client: ClientId,
    generation: i32,
    assignment: &'a [Place],
}

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for group in commits::names(facts) {
        for era in eras(facts, group) {
            let joined = joined(facts, group, &era);
            check_assignments(facts, group, &joined, findings);
            check_generations(facts, group, &joined, &era, findings);
        }
    }
}

/// The events before the first deletion of a group, and those after the last.
fn eras(facts: &Facts<'_>, group: &str) -> [Range<usize>; 2] {
    let deletes = facts.calls.iter().filter(|call| {
        matches!(call.op, Op::DeleteGroup { group: of } if of == group)
            && call.effect() != Effect::Never
    });
    let (begins, ends): (Vec<usize>, Vec<usize>) =
        deletes.map(|call| (call.invoked, call.end())).unzip();
    let first = begins.into_iter().min().unwrap_or(usize::MAX);
    let last = ends.into_iter().max().unwrap_or(usize::MAX);
    [0..first, last..usize::MAX]
}

fn is_within(call: &Call<'_>, era: &Range<usize>) -> bool {
    era.contains(&call.invoked) && era.contains(&call.answered())
}

fn joined<'a>(facts: &Facts<'a>, group: &str, era: &Range<usize>) -> Vec<Joined<'a>> {
    let calls = facts.calls.iter().enumerate();
    let calls = calls.filter(|(_, call)| is_within(call, era));
    let joined = calls.filter_map(|(index, call)| match (call.op, call.answer()?) {
        (
            Op::Join { group: of },
            Answer::Joined {
                generation,
                assignment,
            },
        ) if of == group => Some(Joined {
            call: index,
            client: call.client,
            generation: *generation,
            assignment,
        }),
        _ => None,
    });
    joined.collect()
}

fn check_assignments(
    facts: &Facts<'_>,
    group: &str,
    joined: &[Joined<'_>],
    findings: &mut Findings,
) {
    let mut owners: BTreeMap<(i32, &Place), &Joined<'_>> = BTreeMap::new();
    for member in joined {
        for place in member.assignment {
            findings.look();
            let owner = *owners.entry((member.generation, place)).or_insert(member);
            if owner.client != member.client {
                findings.violation(
                    format!(
                        "group {group} gives {place} to two members in generation {}",
                        member.generation
                    ),
                    facts.events_of_both(owner.call, member.call),
                );
            }
        }
    }
}

fn check_generations(
    facts: &Facts<'_>,
    group: &str,
    joined: &[Joined<'_>],
    era: &Range<usize>,
    findings: &mut Findings,
) {
    let calls = facts.calls.iter().enumerate();
    let calls = calls.filter(|(_, call)| is_within(call, era));
    let commits = calls.filter_map(|(index, call)| match call.op {
        Op::Commit {
            group: of,
            generation,
            ..
        } if of == group && call.answer().is_some() => Some((index, *generation)),
        _ => None,
    });
    let commits: Vec<_> = commits.collect();
    let first = commits
        .iter()
        .map(|(call, _)| facts.calls[*call].answered())
        .min();
    let Some(first) = first else { return };
    let told = joined.iter().map(|member| {
        (
            facts.calls[member.call].answered(),
            Offset(i64::from(member.generation)),
        )
    });
    let told = Bounds::new(told.filter(|(event, _)| *event > first).collect());
    let joins = joined
        .iter()
        .map(|member| (member.call, Some(member.generation)));
    for (call, generation) in joins.chain(commits.iter().copied()) {
        let Some(generation) = generation else {
            continue;
        };
        findings.look();
        let newer = told.before(facts.calls[call].invoked);
        if let Some((event, newer)) = newer.filter(|(_, newer)| newer.0 > i64::from(generation)) {
            let mut events = facts.events(call);
            events.push(event);
            findings.violation(
                format!(
                    "group {group} takes generation {generation}, though {newer} was told before"
                ),
                events,
            );
        }
    }
}
