//! **No message before its delay is over; none to two receivers within its visibility.**
//!
//! A message is received when its delay has passed since its first send began, or later. It is given
//! out again when its visibility has passed since the receive that got it began, or later; or that of
//! a change that somebody asked for since then.
//!
//! Tolerated: a standard queue forgets who has what when the broker's process ends, a FIFO queue does
//! not.

use super::{Delivered, Queue};
use crate::history::check::Findings;
use crate::history::check::calls::Effect;
use crate::history::check::facts::Facts;

/// Two hosts of the simulation may be a step or two apart, and the broker counts in milliseconds.
const SLACK_US: u64 = 10_000;

pub fn check_delays(facts: &Facts<'_>, findings: &mut Findings) {
    let at_us = |event: usize| facts.history.events[event].at_us;
    for (name, queue) in &facts.queues.all {
        for one in &queue.delivered {
            let record = one.what.key.record;
            let Some(sent) = queue.sent.get(&record).filter(|sent| sent.delay_ms > 0) else {
                continue;
            };
            if one.span.answered > facts.queues.jumped {
                continue;
            }
            findings.look();
            if at_us(one.span.answered) + SLACK_US < at_us(sent.invoked) + sent.delay_ms * 1000 {
                findings.violation(
                    format!(
                        "{name}: {record} is received, it was to be delayed by {} ms",
                        sent.delay_ms
                    ),
                    facts.events_of_both(sent.call, one.span.call),
                );
            }
        }
    }
}

pub fn check_hidden(facts: &Facts<'_>, findings: &mut Findings) {
    for (name, queue) in &facts.queues.all {
        for (key, deliveries) in queue.by_message() {
            for pair in deliveries.windows(2) {
                let [one, other] = pair else { continue };
                let (first, next) = match one.what.count <= other.what.count {
                    true => (one, other),
                    false => (other, one),
                };
                let until = one.span.answered.max(other.span.answered);
                let from = one.span.invoked.min(other.span.invoked);
                let forgot = !queue.is_fifo && facts.queues.has_crash(from, until);
                if until > facts.queues.jumped || forgot {
                    continue;
                }
                findings.look();
                let due_us = hidden_until(facts, queue, first, next);
                let at_us = facts.history.events[next.span.answered].at_us;
                if at_us + SLACK_US < due_us {
                    findings.violation(
                        format!("{name}: {key} is given out again while somebody has it"),
                        facts.events_of_both(first.span.call, next.span.call),
                    );
                }
            }
        }
    }
}

/// When the first of two deliveries ended at the earliest, in microseconds.
fn hidden_until(facts: &Facts<'_>, queue: &Queue<'_>, first: &Delivered, next: &Delivered) -> u64 {
    let at_us = |event: usize| facts.history.events[event].at_us;
    let own = at_us(first.span.invoked) + first.visible_ms * 1000;
    let changes = queue.touched.iter().filter_map(|touch| {
        let may = touch.span.effect != Effect::Never
            && touch.what.key == first.what.key
            && touch.span.invoked < next.span.answered
            && (touch.span.effect == Effect::Maybe || touch.span.answered > first.span.invoked);
        let visible_ms = touch.visible_ms.filter(|_| may)?;
        Some(at_us(touch.span.invoked) + visible_ms * 1000)
    });
    changes.fold(own, u64::min)
}
