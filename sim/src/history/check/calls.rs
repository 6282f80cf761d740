//! Invokes paired with their returns.

use levada_model::Offset;

use super::topics::{Part, Topics};
use crate::history::*;

/// What is known about a call's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Happened,
    Never,
    /// It may have happened, or may happen at any later moment.
    Maybe,
}

/// One call. `invoked` and `returned` are indices of events.
#[derive(Debug)]
pub struct Call<'a> {
    pub client: ClientId,
    pub invoked: usize,
    pub returned: Option<usize>,
    pub op: &'a Op,
    pub outcome: Option<&'a Outcome>,
    /// The partition that it means, where that is certain.
    pub part: Option<Part>,
}

impl<'a> Call<'a> {
    pub fn answer(&self) -> Option<&'a Answer> {
        match self.outcome {
            Some(Outcome::Ok(answer)) => Some(answer),
            _ => None,
        }
    }

    pub fn refusal(&self) -> Option<i16> {
        match self.outcome {
            Some(Outcome::Refused(code)) => Some(*code),
            _ => None,
        }
    }

    pub fn effect(&self) -> Effect {
        match self.outcome {
            Some(Outcome::Ok(_)) => Effect::Happened,
            Some(Outcome::Refused(code)) if is_definite(*code) => Effect::Never,
            _ => Effect::Maybe,
        }
    }

    /// When its effect is over at the latest.
    pub fn end(&self) -> usize {
        match self.effect() {
            Effect::Maybe => usize::MAX,
            _ => self.returned.unwrap_or(usize::MAX),
        }
    }

    /// When the client had its answer; never without one.
    pub fn answered(&self) -> usize {
        match self.outcome {
            Some(Outcome::Ok(_) | Outcome::Refused(_)) => self.end_of_answer(),
            _ => usize::MAX,
        }
    }

    fn end_of_answer(&self) -> usize {
        self.returned.unwrap_or(usize::MAX)
    }

    /// The events to name when this call is part of a contradiction.
    pub fn events(&self) -> Vec<usize> {
        self.returned.into_iter().chain([self.invoked]).collect()
    }
}

/// Pairs the events of a history.
///
/// # Panics
/// On a history that no [`Recorder`] writes: a return without its invoke, or an answer of another
/// kind of call.
pub fn pair(history: &History) -> Vec<Call<'_>> {
    let mut calls: Vec<Call<'_>> = Vec::new();
    for (index, event) in history.events.iter().enumerate() {
        match &event.what {
            What::Invoke { call, client, op } => {
                assert_eq!(call.0, calls.len() as u64, "calls are numbered in order");
                calls.push(Call {
                    client: *client,
                    invoked: index,
                    returned: None,
                    op,
                    outcome: None,
                    part: None,
                });
            }
            What::Return { call, outcome, .. } => {
                let open = calls.get_mut(call.0 as usize);
                let open = open.expect("a call returns after it was invoked");
                assert!(
                    fits(open.op, outcome),
                    "event {index}: {outcome} does not answer {}",
                    open.op
                );
                open.returned = Some(index);
                open.outcome = Some(outcome);
            }
            What::Note(_) => {}
        }
    }
    calls
}

/// Finds the partition of each call.
pub fn place(calls: &mut [Call<'_>], topics: &Topics) {
    for call in calls {
        let until = call.answered();
        let place = place_of(call.op);
        call.part = place.and_then(|place| topics.part(place, call.invoked, until));
    }
}

/// The partition that a call names.
pub fn place_of(op: &Op) -> Option<&Place> {
    match op {
        Op::Produce { at, .. }
        | Op::Fetch { at, .. }
        | Op::ListOffset { at, .. }
        | Op::DeleteRecords { at, .. }
        | Op::Commit { at, .. }
        | Op::FetchCommitted { at, .. } => Some(at),
        _ => None,
    }
}

fn fits(op: &Op, outcome: &Outcome) -> bool {
    let Outcome::Ok(answer) = outcome else {
        return true;
    };
    match op {
        Op::CreateTopic { .. } => matches!(answer, Answer::Created { .. }),
        Op::ListTopics => matches!(answer, Answer::Topics(_)),
        Op::Produce { .. } => matches!(answer, Answer::Appended { .. }),
        Op::Fetch { .. } => matches!(answer, Answer::Fetched { .. }),
        Op::ListOffset { .. } | Op::DeleteRecords { .. } => matches!(answer, Answer::At(_)),
        Op::Join { .. } => matches!(answer, Answer::Joined { .. }),
        Op::FetchCommitted { .. } => matches!(answer, Answer::Committed(_)),
        Op::DeleteTopic { .. } | Op::Commit { .. } | Op::DeleteGroup { .. } => {
            matches!(answer, Answer::Done)
        }
        Op::Queue { .. } => matches!(answer, Answer::Queue(_)),
    }
}

/// A produce and what it may have left.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// Index of the call.
    pub call: usize,
    /// None: it named a topic that may be one of several.
    pub part: Option<Part>,
    pub sequenced: Option<Sequenced>,
    pub records: &'a [RecordId],
    /// Where it was acknowledged.
    pub base: Option<Offset>,
}

impl Append<'_> {
    /// One past the last offset, where it was acknowledged.
    pub fn end(&self) -> Option<Offset> {
        Some(self.base?.plus(self.records.len() as u64))
    }

    /// The acknowledged offsets with their records.
    pub fn acknowledged(&self) -> impl Iterator<Item = (Offset, RecordId)> {
        let base = self.base.into_iter();
        base.flat_map(|base| {
            (0_u64..)
                .map(move |nth| base.plus(nth))
                .zip(self.records.iter().copied())
        })
    }
}

/// A fetch that was answered with records or with none.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    pub call: usize,
    pub part: Option<Part>,
    pub from: Offset,
    pub records: &'a [(Offset, RecordId)],
    pub high_watermark: Offset,
    pub log_start: Offset,
}

impl Read<'_> {
    /// One past the last record that it returned.
    pub fn end(&self) -> Offset {
        self.records
            .last()
            .map_or(self.from, |(offset, _)| offset.plus(1))
    }
}

/// Every produce, in order of invocation.
pub fn appends<'a>(calls: &[Call<'a>]) -> Vec<Append<'a>> {
    let produces = calls.iter().enumerate().filter_map(|(index, call)| {
        let Op::Produce {
            sequenced, records, ..
        } = call.op
        else {
            return None;
        };
        let base = match call.answer() {
            Some(Answer::Appended { base }) => Some(*base),
            _ => None,
        };
        Some(Append {
            call: index,
            part: call.part,
            sequenced: *sequenced,
            records,
            base,
        })
    });
    produces.collect()
}

/// Every fetch that succeeded, in order of invocation.
pub fn reads<'a>(calls: &[Call<'a>]) -> Vec<Read<'a>> {
    let fetches = calls.iter().enumerate().filter_map(|(index, call)| {
        let (
            Op::Fetch { from, .. },
            Some(Answer::Fetched {
                records,
                high_watermark,
                log_start,
            }),
        ) = (call.op, call.answer())
        else {
            return None;
        };
        Some(Read {
            call: index,
            part: call.part,
            from: *from,
            records,
            high_watermark: *high_watermark,
            log_start: *log_start,
        })
    });
    fetches.collect()
}
