//! A history looked through once: calls paired, partitions told apart, damage and log starts found.

use std::collections::{BTreeMap, BTreeSet};

use levada_model::Offset;
use levada_wire_kafka::ErrorCode;

use super::bounds::Bounds;
use super::calls::{self, Append, Call, Effect, Read};
use super::queues::Queues;
use super::topics::{Part, Topics};
use crate::history::*;

/// A record in the log, by somebody's word: an acknowledgement or a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: RecordId,
    /// Index of the call that told it.
    pub call: usize,
}

/// A flipped bit.
#[derive(Debug)]
struct Damage {
    event: usize,
    /// None: nobody knows what it hit.
    costs: Option<Vec<(Part, Offset, Offset)>>,
}

/// What every check works on.
#[derive(Debug)]
pub struct Facts<'a> {
    pub history: &'a History,
    pub calls: Vec<Call<'a>>,
    pub topics: Topics,
    pub appends: Vec<Append<'a>>,
    pub reads: Vec<Read<'a>>,
    pub notes: Vec<(usize, &'a Note)>,
    pub queues: Queues<'a>,
    /// The event from which on everything is read back.
    pub audit: Option<usize>,
    damages: Vec<Damage>,
    log_starts: BTreeMap<Part, Bounds>,
}

impl<'a> Facts<'a> {
    pub fn new(history: &'a History) -> Facts<'a> {
        let mut calls = calls::pair(history);
        let topics = Topics::new(&calls);
        calls::place(&mut calls, &topics);
        let events = history.events.iter().enumerate();
        let notes = events.filter_map(|(index, event)| match &event.what {
            What::Note(note) => Some((index, note)),
            _ => None,
        });
        let notes: Vec<_> = notes.collect();
        let audits = notes.iter().filter(|(_, note)| **note == Note::Audit);
        let audit = audits.map(|(index, _)| *index).next();
        let damages = notes
            .iter()
            .filter_map(|(event, note)| damage(&topics, *event, note));
        let mut facts = Facts {
            queues: Queues::new(history, &calls),
            history,
            appends: calls::appends(&calls),
            reads: calls::reads(&calls),
            audit,
            damages: damages.collect(),
            log_starts: BTreeMap::new(),
            calls,
            topics,
            notes,
        };
        for part in facts.parts() {
            let seen = facts
                .log_starts_seen(part)
                .map(|(call, at)| (facts.calls[call].answered(), at));
            let bounds = Bounds::new(seen.collect());
            facts.log_starts.insert(part, bounds);
        }
        facts
    }

    /// Every partition that a call certainly meant.
    pub fn parts(&self) -> BTreeSet<Part> {
        self.calls.iter().filter_map(|call| call.part).collect()
    }

    /// The produces to a partition.
    pub fn appends_of(&self, part: Part) -> impl Iterator<Item = &Append<'a>> {
        self.appends
            .iter()
            .filter(move |append| append.part == Some(part))
    }

    /// The successful fetches of a partition.
    pub fn reads_of(&self, part: Part) -> impl Iterator<Item = &Read<'a>> {
        self.reads
            .iter()
            .filter(move |read| read.part == Some(part))
    }

    /// The calls of one kind to a partition, by index.
    pub fn calls_of(&self, part: Part) -> impl Iterator<Item = (usize, &Call<'a>)> {
        let calls = self.calls.iter().enumerate();
        calls.filter(move |(_, call)| call.part == Some(part))
    }

    /// Whether a call may have gone to a partition: also where its name leaves that open.
    pub fn may_mean(&self, call: &Call<'_>, part: Part) -> bool {
        match (call.part, calls::place_of(call.op)) {
            (Some(own), _) => own == part,
            (None, Some(place)) => {
                place.partition == part.partition
                    && place.topic.name == self.topics.all[part.topic].name
            }
            (None, None) => false,
        }
    }

    /// The produces that may have gone to a partition.
    pub fn appends_perhaps_of(&self, part: Part) -> impl Iterator<Item = &Append<'a>> {
        let all = self.appends.iter();
        all.filter(move |append| self.may_mean(&self.calls[append.call], part))
    }

    /// A partition's log, as far as anybody told it; of several words about an offset the first.
    pub fn log(&self, part: Part) -> BTreeMap<Offset, Seen> {
        let mut log = BTreeMap::new();
        for append in self.appends_of(part) {
            for (offset, id) in append.acknowledged() {
                let call = append.call;
                log.entry(offset).or_insert(Seen { id, call });
            }
        }
        for read in self.reads_of(part) {
            for (offset, id) in read.records {
                let (id, call) = (*id, read.call);
                log.entry(*offset).or_insert(Seen { id, call });
            }
        }
        log
    }

    /// Fetches that were told that their offset, which is no negative one, is out of range.
    pub fn out_of_range(&self, part: Part) -> impl Iterator<Item = (usize, &Call<'a>, Offset)> {
        let code = ErrorCode::OffsetOutOfRange.code();
        let told = self
            .calls_of(part)
            .filter(move |(_, call)| call.refusal() == Some(code));
        told.filter_map(|(index, call)| match call.op {
            Op::Fetch { from, .. } if from.0 >= 0 => Some((index, call, *from)),
            _ => None,
        })
    }

    /// Every word about a partition's log start: the call and the offset.
    pub fn log_starts_seen(&self, part: Part) -> impl Iterator<Item = (usize, Offset)> {
        self.calls_of(part)
            .filter_map(|(index, call)| match (call.op, call.answer()?) {
                (Op::Fetch { .. }, Answer::Fetched { log_start, .. }) => Some((index, *log_start)),
                (
                    Op::ListOffset {
                        end: End::Earliest, ..
                    },
                    Answer::At(at),
                )
                | (Op::DeleteRecords { .. }, Answer::At(at)) => Some((index, *at)),
                _ => None,
            })
    }

    /// The log start that was known before an event: where, and which.
    pub fn log_start_before(&self, part: Part, event: usize) -> Option<(usize, Offset)> {
        self.log_starts.get(&part)?.before(event)
    }

    /// The largest log start that anybody saw.
    pub fn log_start_last(&self, part: Part) -> Offset {
        let bounds = self.log_starts.get(&part);
        bounds.and_then(Bounds::largest).unwrap_or(Offset::ZERO)
    }

    /// How far DeleteRecords calls that were invoked before an event may have moved the log start.
    pub fn asked_to_trim(&self, part: Part, event: usize) -> Offset {
        let calls = self.calls.iter().filter(|call| self.may_mean(call, part));
        let calls = calls.filter_map(|call| match call.op {
            // A negative offset stands for the high watermark.
            Op::DeleteRecords { before, .. } if before.0 < 0 => Some((call, Offset(i64::MAX))),
            Op::DeleteRecords { before, .. } => Some((call, *before)),
            _ => None,
        });
        let asked =
            calls.filter(|(call, _)| call.effect() != Effect::Never && call.invoked < event);
        asked
            .map(|(_, before)| before)
            .max()
            .unwrap_or(Offset::ZERO)
    }

    /// Whether a record may have been removed by retention or DeleteRecords before an event.
    pub fn may_be_trimmed(&self, part: Part, offset: Offset, event: usize) -> bool {
        if offset < self.asked_to_trim(part, event) {
            return true;
        }
        // Somebody who asked later was told that it is still there.
        let mut later = self.log_starts_seen(part);
        let trims = self.topics.all[part.topic].retention == Retention::Trim;
        trims && !later.any(|(call, start)| self.calls[call].invoked > event && start <= offset)
    }

    /// Whether damage from before an event may cost a record.
    pub fn may_be_damaged(&self, part: Part, offset: Offset, event: usize) -> bool {
        let before = self.damages.iter().filter(|damage| damage.event < event);
        let mut costs = before.map(|damage| damage.costs.as_ref());
        costs.any(|costs| match costs {
            None => true,
            Some(costs) => costs
                .iter()
                .any(|(hit, from, until)| *hit == part && (*from..*until).contains(&offset)),
        })
    }

    /// The events of a call, to be named.
    pub fn events(&self, call: usize) -> Vec<usize> {
        self.calls[call].events()
    }

    /// The events of two calls.
    pub fn events_of_both(&self, one: usize, other: usize) -> Vec<usize> {
        let mut events = self.events(one);
        events.extend(self.events(other));
        events
    }
}

fn damage(topics: &Topics, event: usize, note: &Note) -> Option<Damage> {
    let Note::Damage { may_cost, .. } = note else {
        return None;
    };
    let cost = |cost: &Cost| {
        let part = topics.part(&cost.at, event, event + 1)?;
        Some((part, cost.from, cost.until))
    };
    // A cost at a topic that nobody can tell makes the whole cost unknown.
    let costs = may_cost
        .as_ref()
        .and_then(|costs| costs.iter().map(cost).collect());
    Some(Damage { event, costs })
}
