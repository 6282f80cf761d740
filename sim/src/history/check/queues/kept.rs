//! **A message that was acknowledged as sent is received, or still there; nothing else is.**
//!
//! After [`Note::Audit`] every queue is received from until it is empty: each acknowledged message is
//! among that, or somebody deleted it, here or in the dead-letter queue, or the queue was purged.
//! What is received was sent to this queue before, or to one whose dead letters go here, and not only
//! by calls that were refused.

use super::{Delivered, Queue};
use crate::history::check::Findings;
use crate::history::check::facts::Facts;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for (name, queue, target) in facts.queues.with_targets() {
        if let Some(audit) = facts.audit {
            check_all_there(facts, name, [Some(queue), target], audit, findings);
        }
        for one in &queue.delivered {
            findings.look();
            let mut homes = facts.queues.sources(name).chain([queue]);
            let record = one.what.key.record;
            let is_sent = homes.any(|home| {
                let sent = home.sent.get(&record);
                sent.is_some_and(|sent| sent.invoked < one.span.answered && !sent.is_refused)
            });
            if !is_sent {
                findings.violation(
                    format!("{name}: {record} is received, nobody sent it here"),
                    facts.events(one.span.call),
                );
            }
        }
    }
}

fn check_all_there(
    facts: &Facts<'_>,
    name: &str,
    places: [Option<&Queue<'_>>; 2],
    audit: usize,
    findings: &mut Findings,
) {
    let Some(queue) = places[0] else { return };
    for (record, sent) in &queue.sent {
        if sent.acknowledged.is_none() || queue.may_be_purged(sent.invoked, usize::MAX) {
            continue;
        }
        findings.look();
        let is_last = |one: &Delivered| one.span.invoked > audit && one.what.key.record == *record;
        let is_found = places.iter().flatten().any(|place| {
            place.delivered.iter().any(is_last)
                || place
                    .deletions()
                    .any(|touch| touch.what.key.record == *record)
        });
        if !is_found {
            let mut events = facts.events(sent.call);
            events.push(audit);
            findings.violation(
                format!("{name}: {record} was acknowledged, the last receives did not find it"),
                events,
            );
        }
    }
}
