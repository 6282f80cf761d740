//! **A committed offset stays what was committed.**
//!
//! For each group and partition the committed offset is one register: commits write it, OffsetFetch
//! reads it. A read returns what some commit asked for that had been sent by then, and not one that
//! was overwritten by a commit which began after that one's end and was acknowledged before the
//! read began. "Nothing committed" is what stands there before all commits. So an acknowledged
//! commit is not lost by a crash, and the offset goes back only by a commit that says so.
//!
//! A read counts as an acknowledgement of what it returned, where only one commit can have written
//! it: a later read does not go behind it.
//!
//! After [`Note::Audit`] each committed offset is fetched once more.
//!
//! Tolerated: a commit whose end is open may have its effect at any later moment. A deletion of the
//! group, or of the topic, writes "nothing". (Offsets expire only with their group unused for
//! `offsets.retention.minutes`, which is longer than a run.)

use levada_model::Offset;

use super::Findings;
use super::calls::{Call, Effect};
use super::commits;
use super::facts::Facts;
use super::topics::Part;
use crate::history::*;

/// Something that sets the register. Times are indices of events.
#[derive(Clone, Copy, Debug)]
struct Write {
    value: Option<Offset>,
    begin: usize,
    /// When it has surely had its effect; never, if its end is open and no read has seen it.
    end: usize,
    call: Option<usize>,
}

impl Write {
    /// Whether a read that begins at an event surely sees the other write or a later one.
    fn is_hidden_by(&self, other: &Write, read_begin: usize) -> bool {
        self.end < other.begin && other.end < read_begin
    }
}

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for group in commits::names(facts) {
        for part in facts.parts() {
            check_register(facts, group, part, findings);
        }
    }
}

fn check_register(facts: &Facts<'_>, group: &str, part: Part, findings: &mut Findings) {
    let mut writes = writes(facts, group, part);
    let reads = facts
        .calls_of(part)
        .filter_map(|(index, call)| match (call.op, call.answer()?) {
            (Op::FetchCommitted { group: of, .. }, Answer::Committed(value)) if of == group => {
                Some((call.answered(), index, *value))
            }
            _ => None,
        });
    // In the order of their answers: what one has seen counts for those that begin later.
    let mut reads: Vec<_> = reads.collect();
    reads.sort_unstable();
    if let Some(audit) = facts.audit {
        let asked = reads
            .iter()
            .any(|(_, call, _)| facts.calls[*call].invoked > audit);
        check_audit(facts, group, part, &writes, asked, audit, findings);
    }
    for (answered, index, value) in reads {
        findings.look();
        let begin = facts.calls[index].invoked;
        let of_value = |write: &&mut Write| write.value == value && write.begin < answered;
        let all = writes.clone();
        let hidden_by = |write: &Write| all.iter().find(|other| write.is_hidden_by(other, begin));
        let mut possible: Vec<&mut Write> = writes
            .iter_mut()
            .filter(of_value)
            .filter(|write| hidden_by(write).is_none())
            .collect();
        if let [only] = &mut possible[..] {
            only.end = only.end.min(answered);
        }
        if possible.is_empty() {
            let mut events = facts.events(index);
            let of_value = all.iter().filter(|write| write.value == value);
            let hiding = of_value
                .filter_map(hidden_by)
                .filter_map(|write| write.call);
            let over = all.iter().filter(|write| write.end < begin);
            let latest = over.max_by_key(|write| write.begin);
            for call in hiding.chain(latest.and_then(|write| write.call)) {
                events.extend(facts.events(call));
            }
            let place = facts.topics.name(part);
            let value = value.map_or("nothing".to_owned(), |offset| offset.to_string());
            findings.violation(
                format!(
                    "group {group} at {place} has {value} committed, which is not what stands there"
                ),
                events,
            );
        }
    }
}

fn check_audit(
    facts: &Facts<'_>,
    group: &str,
    part: Part,
    writes: &[Write],
    asked: bool,
    audit: usize,
    findings: &mut Findings,
) {
    let mut calls = writes.iter().filter_map(|write| write.call);
    let commit = calls.find(|call| {
        let call = &facts.calls[*call];
        matches!(call.op, Op::Commit { .. }) && call.effect() == Effect::Happened
    });
    let may_go = facts.topics.all[part.topic].dying < usize::MAX;
    if let Some(commit) = commit.filter(|_| !asked && !may_go) {
        let mut events = facts.events(commit);
        events.push(audit);
        let place = facts.topics.name(part);
        findings.violation(
            format!("group {group} has committed in {place}, the last reading did not ask for it"),
            events,
        );
    }
}

/// Everything that may set the register, the beginning first.
fn writes(facts: &Facts<'_>, group: &str, part: Part) -> Vec<Write> {
    let beginning = Write {
        value: None,
        begin: 0,
        end: 0,
        call: None,
    };
    let set = facts.calls.iter().enumerate().filter_map(|(index, call)| {
        let (value, is_certain) = written(facts, call, group, part)?;
        (call.effect() != Effect::Never).then(|| Write {
            value,
            begin: call.invoked,
            end: if is_certain { call.end() } else { usize::MAX },
            call: Some(index),
        })
    });
    std::iter::once(beginning).chain(set).collect()
}

/// What a call sets the register to, if it does, and whether it surely means this one.
fn written(
    facts: &Facts<'_>,
    call: &Call<'_>,
    group: &str,
    part: Part,
) -> Option<(Option<Offset>, bool)> {
    let topic = &facts.topics.all[part.topic];
    match call.op {
        Op::Commit {
            group: of, offset, ..
        } if of == group && facts.may_mean(call, part) => {
            Some((Some(*offset), call.part.is_some()))
        }
        Op::DeleteGroup { group: of } if of == group => Some((None, true)),
        Op::DeleteTopic { topic: named } => {
            let is_dead = topic.dead == Some(call.end());
            let same = named.id.map(|id| topic.id == Some(id));
            same.unwrap_or(named.name == topic.name)
                .then_some((None, is_dead))
        }
        _ => None,
    }
}
