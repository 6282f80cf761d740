//! **Deleted means deleted, and nothing else is deleted.**
//!
//! After an acknowledged deletion, or once anybody was shown that the topic is gone, no call that
//! means this topic (by its id, or by a name that can mean no other) succeeds, and no listing shows
//! its id. (That its records do not come back under a new topic of the same name is the check
//! `origin`'s.)
//!
//! A topic whose creation was acknowledged, and that nobody asked to delete, is in every listing
//! with its name and its count of partitions, and none of its partitions is called unknown.
//! Nothing is listed that nobody asked for. A creation is not acknowledged while a topic of that
//! name surely is there.
//!
//! Tolerated: from the moment somebody asks to delete it until the answer, and for ever if there is
//! none, a topic may be there or not; but not again once it was seen gone.

use levada_wire_kafka::ErrorCode;

use super::Findings;
use super::calls::{Call, place_of};
use super::facts::Facts;
use super::topics::OneTopic;
use crate::history::*;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    let gone: Vec<Option<usize>> = (0..facts.topics.all.len())
        .map(|topic| gone_since(facts, topic))
        .collect();
    for (index, call) in facts.calls.iter().enumerate() {
        check_dead(facts, &gone, index, findings);
        match (call.op, call.answer()) {
            (Op::ListTopics, Some(Answer::Topics(listed))) => {
                check_listing(facts, &gone, index, listed, findings)
            }
            (Op::CreateTopic { name, .. }, Some(_)) => check_creation(facts, index, name, findings),
            _ => check_unknown(facts, index, findings),
        }
    }
}

/// The first event that shows that a topic is gone for good.
fn gone_since(facts: &Facts<'_>, topic: usize) -> Option<usize> {
    let one = &facts.topics.all[topic];
    let shown = facts.calls.iter().filter(|call| {
        one.made.is_some_and(|made| made < call.invoked) && shows_gone(topic, one, call)
    });
    shown.map(Call::answered).chain(one.dead).min()
}

fn shows_gone(topic: usize, one: &OneTopic, call: &Call<'_>) -> bool {
    match (call.op, call.answer()) {
        (Op::ListTopics, Some(Answer::Topics(listed))) => {
            listed.iter().all(|listed| Some(listed.id) != one.id)
        }
        _ => {
            is_unknown_topic(call)
                && call.part.is_some_and(|part| {
                    part.topic == topic
                        && one.partitions.is_some_and(|count| part.partition < count)
                })
        }
    }
}

pub fn is_unknown_topic(call: &Call<'_>) -> bool {
    let unknown = [
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicId,
    ];
    call.refusal()
        .is_some_and(|code| unknown.iter().any(|unknown| unknown.code() == code))
}

/// A call on a topic that is gone must not succeed.
fn check_dead(facts: &Facts<'_>, gone: &[Option<usize>], index: usize, findings: &mut Findings) {
    let call = &facts.calls[index];
    let (Some(place), Some(answer)) = (place_of(call.op), call.answer()) else {
        return;
    };
    // A group without a committed offset is what a deleted topic leaves.
    if *answer == Answer::Committed(None) {
        return;
    }
    findings.look();
    let topic = call.part.map(|part| part.topic);
    if let Some(since) = topic
        .and_then(|topic| gone[topic])
        .filter(|since| *since < call.invoked)
    {
        let mut events = facts.events(index);
        events.push(since);
        findings.violation(
            format!("{place} is gone, and yet a call to it succeeds"),
            events,
        );
    }
    let is_nobody = match place.topic.id {
        Some(id) => {
            let topic = facts.topics.by_id(id);
            topic.is_none_or(|topic| facts.topics.all[topic].partitions.is_none())
        }
        None => facts
            .topics
            .candidates(&place.topic.name, call.invoked, call.answered())
            .is_empty(),
    };
    if is_nobody {
        findings.violation(
            format!("{place} cannot exist, and yet a call to it succeeds"),
            facts.events(index),
        );
    }
}

fn check_listing(
    facts: &Facts<'_>,
    gone: &[Option<usize>],
    index: usize,
    listed: &[ListedTopic],
    findings: &mut Findings,
) {
    let call = &facts.calls[index];
    for (topic, one) in facts.topics.all.iter().enumerate() {
        findings.look();
        let shown = listed.iter().find(|listed| Some(listed.id) == one.id);
        let mut events = facts.events(index);
        let what = match shown {
            None if one.is_there(call.invoked, call.answered()) => {
                events.extend(one.made);
                format!(
                    "{} is missing from a listing, nobody asked to delete it",
                    one.name
                )
            }
            Some(_) if one.partitions.is_none() => {
                format!("{} is listed, nobody asked for it", one.name)
            }
            Some(listed)
                if listed.name != one.name || Some(listed.partitions) != one.partitions =>
            {
                events.extend(one.made);
                format!(
                    "{listed} is listed, created was {} with {:?} partitions",
                    one.name, one.partitions
                )
            }
            Some(_) if gone[topic].is_some_and(|since| since < call.invoked) => {
                events.extend(gone[topic]);
                format!("{} is gone, and yet it is listed", one.name)
            }
            _ => continue,
        };
        findings.violation(what, events);
    }
    let mut names: Vec<&str> = listed.iter().map(|listed| listed.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        findings.violation(format!("{} is listed twice", pair[0]), facts.events(index));
    }
}

fn check_creation(facts: &Facts<'_>, index: usize, name: &str, findings: &mut Findings) {
    findings.look();
    let call = &facts.calls[index];
    let mut others = facts.topics.all.iter();
    let there = others.find(|one| one.name == name && one.is_there(call.invoked, call.answered()));
    if let Some(made) = there.and_then(|one| one.made) {
        let mut events = facts.events(index);
        events.push(made);
        findings.violation(format!("{name} is created, and it was there"), events);
    }
}

/// A partition of a topic that surely is there is not unknown.
fn check_unknown(facts: &Facts<'_>, index: usize, findings: &mut Findings) {
    let call = &facts.calls[index];
    let Some(part) = call.part.filter(|_| is_unknown_topic(call)) else {
        return;
    };
    findings.look();
    let one = &facts.topics.all[part.topic];
    let is_partition = one
        .partitions
        .is_some_and(|count| (0..count).contains(&part.partition));
    if is_partition && one.is_there(call.invoked, call.answered()) {
        let mut events = facts.events(index);
        events.extend(one.made);
        let place = facts.topics.name(part);
        findings.violation(
            format!("{place} is unknown, nobody asked to delete it"),
            events,
        );
    }
}
