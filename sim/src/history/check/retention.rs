//! **The log start moves only forward and only when it may.**
//!
//! In a topic that keeps its records it moves no further than DeleteRecords asked; in one that
//! trims them it may move at any moment, but never past the high watermark that the same answer
//! tells. What one call was told, a later one is told too, or more. An acknowledged DeleteRecords
//! has reached what it asked for, and records below a log start that was told are not read any
//! more.

use levada_model::Offset;

use super::Findings;
use super::facts::Facts;
use super::topics::Part;
use crate::history::*;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for part in facts.parts() {
        for (call, start) in facts.log_starts_seen(part) {
            findings.look();
            check_start(facts, part, call, start, findings);
        }
        for read in facts.reads_of(part) {
            let place = facts.topics.name(part);
            if read.log_start > read.high_watermark {
                findings.violation(
                    format!(
                        "{place}: the log starts at {}, past its high watermark {}",
                        read.log_start, read.high_watermark
                    ),
                    facts.events(read.call),
                );
            }
            let known = facts.log_start_before(part, facts.calls[read.call].invoked);
            let gone = known.filter(|(_, start)| read.from < *start && !read.records.is_empty());
            if let Some((event, start)) = gone {
                let mut events = facts.events(read.call);
                events.push(event);
                findings.violation(
                    format!(
                        "{place}: offset {} is read, the log starts at {start}",
                        read.from
                    ),
                    events,
                );
            }
        }
    }
}

fn check_start(
    facts: &Facts<'_>,
    part: Part,
    index: usize,
    start: Offset,
    findings: &mut Findings,
) {
    let place = facts.topics.name(part);
    let call = &facts.calls[index];
    let known = facts.log_start_before(part, call.invoked);
    if let Some((event, before)) = known.filter(|(_, before)| start < *before) {
        let mut events = facts.events(index);
        events.push(event);
        findings.violation(
            format!("{place}: the log start falls from {before} to {start}"),
            events,
        );
    }
    let asked = facts.asked_to_trim(part, call.answered());
    let keeps = facts.topics.all[part.topic].retention == Retention::Keep;
    if keeps && start > asked {
        findings.violation(
            format!("{place}: the log starts at {start}, nobody asked for more than {asked}"),
            facts.events(index),
        );
    }
    if let Op::DeleteRecords { before, .. } = call.op
        && start < *before
    {
        findings.violation(
            format!("{place}: records before {before} were deleted, the log starts at {start}"),
            facts.events(index),
        );
    }
}
