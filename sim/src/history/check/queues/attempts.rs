//! **Receive counts count; a message is given up when it was received too often, and not before; a
//! receipt of an earlier delivery does nothing.**
//!
//! Of two deliveries of a message the later one has the greater count, and no count is greater than
//! the deliveries that clients saw and those that they may have missed. A queue with a redrive policy
//! gives no message out more often than that says; a message in its dead-letter queue was given out so
//! often. A change of visibility, and in a FIFO queue a deletion, is not accepted of a delivery that
//! another one has followed, unless the message was done already.
//!
//! Tolerated: the counts of a standard queue begin again where they were when the broker's process
//! ends, as they are not waited for. A copy in a dead-letter queue is known for five minutes, so after
//! a jump of the clock there may be two.

use super::{Delivered, Queue, Touch};
use crate::history::check::Findings;
use crate::history::check::calls::Effect;
use crate::history::check::facts::Facts;
use crate::history::*;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for (name, queue, target) in facts.queues.with_targets() {
        let is_target = facts.queues.sources(name).next().is_some();
        if !is_target || facts.queues.jumped == usize::MAX {
            for (key, deliveries) in queue.by_message() {
                check_counts(facts, (name, queue), key, &deliveries, findings);
            }
            for touch in &queue.touched {
                check_receipt(facts, (name, queue), touch, findings);
            }
        }
        if let (Some((_, most)), Some(target)) = (queue.dead_letters, target) {
            check_given_up(facts, (name, queue, most), target, findings);
        }
    }
}

fn check_counts(
    facts: &Facts<'_>,
    (name, queue): (&str, &Queue<'_>),
    key: MessageKey,
    deliveries: &[&Delivered],
    findings: &mut Findings,
) {
    for (nth, one) in deliveries.iter().enumerate() {
        findings.look();
        let begun = deliveries
            .iter()
            .filter(|other| other.span.invoked < one.span.answered);
        let most = begun.count() as u32 + queue.blind_before(one.span.answered);
        if one.what.count == 0 || one.what.count > most {
            findings.violation(
                format!(
                    "{name}: {key} has the count {}, it was given out {most} times at most",
                    one.what.count
                ),
                facts.events(one.span.call),
            );
        }
        let Some(before) = nth.checked_sub(1).and_then(|nth| deliveries.get(nth)) else {
            continue;
        };
        let from = before.span.invoked.min(one.span.invoked);
        if !queue.is_fifo && facts.queues.has_crash(from, one.span.answered) {
            continue;
        }
        let is_later = before.span.answered < one.span.invoked;
        let is_wrong = match is_later {
            true => one.what.count <= before.what.count,
            false => one.what.count == before.what.count,
        };
        if is_wrong {
            findings.violation(
                format!(
                    "{name}: {key} has the count {}, and {} before",
                    one.what.count, before.what.count
                ),
                facts.events_of_both(before.span.call, one.span.call),
            );
        }
    }
}

fn check_given_up(
    facts: &Facts<'_>,
    (name, queue, most): (&str, &Queue<'_>, u32),
    target: &Queue<'_>,
    findings: &mut Findings,
) {
    for one in &queue.delivered {
        findings.look();
        if one.what.count > most {
            findings.violation(
                format!(
                    "{name}: {} is given out, {most} times is the most",
                    one.what
                ),
                facts.events(one.span.call),
            );
        }
    }
    for dead in &target.delivered {
        let record = dead.what.key.record;
        if !queue.sent.contains_key(&record) {
            continue;
        }
        findings.look();
        let before = queue
            .delivered
            .iter()
            .filter(|one| one.what.key.record == record && one.span.invoked < dead.span.answered);
        let counts = before.map(|one| one.what.count);
        let (seen, largest) = counts.fold((0, 0), |(seen, largest), count| {
            (seen + 1, largest.max(count))
        });
        if seen.min(largest) + queue.blind_before(dead.span.answered) < most {
            let mut events = facts.events(dead.span.call);
            events.extend(queue.sent.get(&record).map(|sent| sent.invoked));
            findings.violation(
                format!(
                    "{name}: {record} is given up after {largest} deliveries, {most} are allowed"
                ),
                events,
            );
        }
    }
}

fn check_receipt(
    facts: &Facts<'_>,
    (name, queue): (&str, &Queue<'_>),
    touch: &Touch,
    findings: &mut Findings,
) {
    let is_delete = touch.visible_ms.is_none();
    if touch.span.effect != Effect::Happened || is_delete && !queue.is_fifo {
        return;
    }
    findings.look();
    let mut later = queue.delivered.iter().filter(|one| {
        one.what.key == touch.what.key
            && one.what.count > touch.what.count
            && one.span.answered < touch.span.invoked
    });
    let Some(later) = later.next() else { return };
    // Deleting what is done is no error.
    let key = touch.what.key;
    let mut others = queue.deletions().filter(|other| {
        other.what.key == key
            && other.span.call != touch.span.call
            && other.span.invoked < touch.span.answered
    });
    let is_dead = queue.dead_letters.is_some_and(|(target, most)| {
        let target = facts.queues.all.get(target);
        let is_buried = target.is_some_and(|target| {
            let mut all = target.delivered.iter();
            all.any(|one| one.what.key.record == key.record)
        });
        is_buried || later.what.count >= most
    });
    let is_forgotten = !queue.is_fifo
        && facts
            .queues
            .has_crash(later.span.invoked, touch.span.answered);
    let sent = queue.sent.get(&key.record).map_or(0, |sent| sent.invoked);
    let may_be_done = is_delete && (others.next().is_some() || is_dead);
    if may_be_done || is_forgotten || queue.may_be_purged(sent, touch.span.answered) {
        return;
    }
    findings.violation(
        format!(
            "{name}: the receipt of {} is accepted, {} came later",
            touch.what, later.what
        ),
        facts.events_of_both(later.span.call, touch.span.call),
    );
}
