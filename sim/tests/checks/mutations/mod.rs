//! Single changes that make a correct history a wrong one, each with the check that must notice.

mod records;
mod state;

use levada_model::{Offset, TopicId};
use levada_sim::history::*;

use crate::clients::Picks;

/// Makes the change somewhere, if the history has a place where it surely is a violation.
pub type Mutate = fn(&mut Edit) -> Option<()>;

/// The name of the change, the check that must notice it, and the change.
pub type Mutation = (&'static str, &'static str, Mutate);

/// Every kind of change.
pub fn all() -> Vec<Mutation> {
    let mut all = records::MUTATIONS.to_vec();
    all.extend(state::MUTATIONS);
    all
}

/// An acknowledged produce: its call, partition, sequence, records and base offset.
pub type Ack = (Done, Place, Option<Sequenced>, Vec<RecordId>, i64);

/// A call that has returned.
#[derive(Clone, Debug)]
pub struct Done {
    pub client: ClientId,
    pub invoked: usize,
    pub returned: usize,
    pub op: Op,
    pub outcome: Outcome,
}

/// A history under the knife.
pub struct Edit {
    pub history: History,
    pub picks: Picks,
}

impl Edit {
    /// The calls that have returned, in the order of their invocation.
    pub fn calls(&self) -> Vec<Done> {
        let mut calls: Vec<Option<Done>> = Vec::new();
        for (index, event) in self.history.events.iter().enumerate() {
            match &event.what {
                What::Invoke { client, op, .. } => calls.push(Some(Done {
                    client: *client,
                    invoked: index,
                    returned: 0,
                    op: op.clone(),
                    outcome: Outcome::Unknown("open".into()),
                })),
                What::Return { call, outcome, .. } => {
                    if let Some(done) = &mut calls[call.0 as usize] {
                        done.returned = index;
                        done.outcome = outcome.clone();
                    }
                }
                What::Note(_) => {}
            }
        }
        calls.into_iter().flatten().collect()
    }

    /// One of those that fit.
    pub fn pick<T>(&mut self, mut fitting: Vec<T>) -> Option<T> {
        if fitting.is_empty() {
            return None;
        }
        let index = self.picks.below(fitting.len());
        Some(fitting.swap_remove(index))
    }

    pub fn audit(&self) -> usize {
        let is_audit = |event: &Event| event.what == What::Note(Note::Audit);
        self.history
            .events
            .iter()
            .position(is_audit)
            .unwrap_or(usize::MAX)
    }

    pub fn set_op(&mut self, done: &Done, new: Op) {
        if let What::Invoke { op, .. } = &mut self.history.events[done.invoked].what {
            *op = new;
        }
    }

    pub fn set_outcome(&mut self, done: &Done, new: Outcome) {
        if let What::Return { outcome, .. } = &mut self.history.events[done.returned].what {
            *outcome = new;
        }
    }

    pub fn set_answer(&mut self, done: &Done, new: Answer) {
        self.set_outcome(done, Outcome::Ok(new));
    }

    /// A call behind everything else.
    pub fn add(&mut self, op: Op, answer: Answer) {
        let calls = self.history.events.iter();
        let count = calls
            .filter(|event| matches!(event.what, What::Invoke { .. }))
            .count();
        let (call, client) = (CallId(count as u64), ClientId(99));
        let outcome = Outcome::Ok(answer);
        let invoke = What::Invoke { call, client, op };
        let done = What::Return {
            call,
            client,
            outcome,
        };
        let events = [invoke, done].map(|what| Event { at_us: 0, what });
        self.history.events.extend(events);
    }

    /// Whether nobody ever asked to delete a topic of this name, and it keeps what it has.
    pub fn is_kept(&self, name: &str) -> bool {
        let mut creations = 0;
        self.calls().iter().all(|done| match &done.op {
            Op::CreateTopic {
                name: of,
                retention,
                ..
            } if of == name => {
                creations += i32::from(!matches!(done.outcome, Outcome::Refused(_)));
                creations == 1 && *retention == Retention::Keep && is_ok(done)
            }
            Op::DeleteTopic { topic } => topic.name != name,
            Op::DeleteRecords { at, .. } => at.topic.name != name,
            _ => true,
        })
    }

    /// Whether the end of every produce to topics of this name is known.
    pub fn is_certain(&self, name: &str) -> bool {
        let calls = self.calls();
        let mut produces = calls
            .iter()
            .filter(|done| matches!(&done.op, Op::Produce { at, .. } if at.topic.name == name));
        produces.all(is_ok)
    }

    /// Whether damage may have hit this partition.
    pub fn is_damaged(&self, place: &Place) -> bool {
        let is_same = |cost: &Cost| {
            cost.at.topic.name == place.topic.name && cost.at.partition == place.partition
        };
        self.history.events.iter().any(|event| match &event.what {
            What::Note(Note::Damage { may_cost, .. }) => may_cost
                .as_ref()
                .is_none_or(|costs| costs.iter().any(is_same)),
            _ => false,
        })
    }

    /// Acknowledged produces with their places and bases.
    pub fn acks(&self) -> Vec<Ack> {
        let acks = self.calls().into_iter().filter_map(|done| {
            let (
                Op::Produce {
                    at,
                    sequenced,
                    records,
                },
                Outcome::Ok(Answer::Appended { base }),
            ) = (done.op.clone(), done.outcome.clone())
            else {
                return None;
            };
            // One whose topic is certain.
            at.topic
                .id
                .is_some()
                .then_some((done, at, sequenced, records, base.0))
        });
        acks.collect()
    }

    /// Fetches with records.
    pub fn reads(&self) -> Vec<Fetched> {
        let reads = self.calls().into_iter().filter_map(|done| {
            let (
                Op::Fetch { at, .. },
                Outcome::Ok(Answer::Fetched {
                    records,
                    high_watermark,
                    log_start,
                }),
            ) = (done.op.clone(), done.outcome.clone())
            else {
                return None;
            };
            Some(Fetched {
                done,
                at,
                records,
                high: high_watermark.0,
                start: log_start.0,
            })
        });
        reads.filter(|read| !read.records.is_empty()).collect()
    }

    /// Fetches with records behind the audit.
    pub fn audit_reads(&self) -> Vec<Fetched> {
        let audit = self.audit();
        let mut reads = self.reads();
        reads.retain(|read| read.done.invoked > audit);
        reads
    }

    pub fn set_read(&mut self, read: Fetched) {
        let answer = Answer::Fetched {
            records: read.records,
            high_watermark: Offset(read.high),
            log_start: Offset(read.start),
        };
        self.set_answer(&read.done, answer);
    }

    /// Acknowledged deletions by id, with the topic.
    pub fn deletions(&self) -> Vec<(Done, String, TopicId)> {
        let deletions = self.calls().into_iter().filter_map(|done| match &done.op {
            Op::DeleteTopic { topic } if is_ok(&done) => {
                let (name, id) = (topic.name.clone(), topic.id?);
                Some((done, name, id))
            }
            _ => None,
        });
        deletions.collect()
    }
}

/// A fetch, taken apart.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub done: Done,
    pub at: Place,
    pub records: Vec<(Offset, RecordId)>,
    pub high: i64,
    pub start: i64,
}

pub fn is_ok(done: &Done) -> bool {
    matches!(done.outcome, Outcome::Ok(_))
}
