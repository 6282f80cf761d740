//! **A queue's messages are the records of its topic.**
//!
//! Every fetch over Kafka finds one record at an offset; each was sent to this queue, or to one whose
//! dead letters go here; and a FIFO queue's sequence number is the offset of the record.

use std::collections::BTreeMap;

use crate::history::RecordId;
use crate::history::check::Findings;
use crate::history::check::facts::Facts;

pub fn check(facts: &Facts<'_>, findings: &mut Findings) {
    for (name, queue) in &facts.queues.all {
        let mut log: BTreeMap<i64, (RecordId, usize)> = BTreeMap::new();
        let sent = queue.sent.iter().flat_map(|(record, sent)| {
            let all = sent.sequences.iter();
            all.map(move |(at, call)| (*at, *record, *call))
        });
        let delivered = queue.delivered.iter().filter_map(|one| {
            let key = one.what.key;
            Some((key.sequence?, key.record, one.span.call))
        });
        let read = queue.logs.iter().flat_map(|log| {
            let all = log.records.iter();
            all.map(move |(offset, record)| (offset.0, *record, log.span.call))
        });
        for (at, record, call) in sent.chain(delivered).chain(read) {
            findings.look();
            let (first, by) = *log.entry(at).or_insert((record, call));
            if first != record {
                findings.violation(
                    format!("{name}: {first} and {record} stand at one place, {at}"),
                    facts.events_of_both(by, call),
                );
            }
        }
        for read in &queue.logs {
            for (offset, record) in read.records {
                let mut homes = facts.queues.sources(name).chain([queue]);
                let is_sent = homes.any(|home| {
                    let sent = home.sent.get(record);
                    sent.is_some_and(|sent| sent.invoked < read.span.answered && !sent.is_refused)
                });
                if !is_sent {
                    findings.violation(
                        format!("{name}: {record} stands at {offset}, nobody sent it here"),
                        facts.events(read.span.call),
                    );
                }
            }
        }
    }
}
