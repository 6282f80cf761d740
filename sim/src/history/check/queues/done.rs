//! **What was acknowledged as deleted, or purged, is never received again.**
//!
//! No receive that began after the answer to a deletion gives the message, and none that began after
//! the answer to a purge gives one whose send was answered before the purge began.
//!
//! Tolerated: a message that went to a dead-letter queue is another one there. A copy in a dead-letter
//! queue is known for five minutes, so after a jump of the clock there may be two.

use std::collections::BTreeMap;

use super::Queue;
use crate::history::check::Findings;
use crate::history::check::calls::Effect;
use crate::history::check::facts::Facts;
use crate::history::*;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for (name, queue) in &facts.queues.all {
        let is_target = facts.queues.sources(name).next().is_some();
        if is_target && facts.queues.jumped < usize::MAX {
            continue;
        }
        let mut gone: BTreeMap<MessageKey, (usize, usize)> = BTreeMap::new();
        for touch in queue.deletions() {
            if touch.span.effect == Effect::Happened {
                let since = (touch.span.answered, touch.span.call);
                let first = gone.entry(touch.what.key).or_insert(since);
                *first = since.min(*first);
            }
        }
        for one in &queue.delivered {
            findings.look();
            let key = one.what.key;
            let deleted = gone.get(&key).copied();
            let since = deleted.into_iter().chain(purged(queue, key)).min();
            if let Some((_, call)) = since.filter(|(since, _)| *since < one.span.invoked) {
                findings.violation(
                    format!("{name}: {key} is gone, and yet it is received"),
                    facts.events_of_both(call, one.span.call),
                );
            }
        }
    }
}

/// Since when a message is purged for certain, and by which call.
fn purged(queue: &Queue<'_>, key: MessageKey) -> Option<(usize, usize)> {
    let sent = queue.sent.get(&key.record)?.acknowledged?;
    let purges = queue.purges.iter();
    let certain = purges.filter(|purge| purge.effect == Effect::Happened && sent < purge.invoked);
    certain.map(|purge| (purge.answered, purge.call)).min()
}
