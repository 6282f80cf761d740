//! Short histories by hand: one topic, one call after another unless a test says otherwise.

use levada_model::{Offset, ProducerEpoch, ProducerId, Sequence, TopicId};
use levada_sim::history::check::check_all;
use levada_sim::history::*;
use levada_wire_kafka::ErrorCode;

pub const ID: TopicId = TopicId([1; 16]);
pub const GROUP: &str = "g";

/// A history in the making.
pub struct Script {
    pub recorder: Recorder,
}

/// Partition 0 of the script's topic.
pub fn p0() -> Place {
    crate::broker::place("t", Some(ID), 0)
}

pub fn records(numbers: &[u64]) -> Vec<RecordId> {
    numbers.iter().copied().map(RecordId::Written).collect()
}

pub fn produce(numbers: &[u64]) -> Op {
    Op::Produce {
        at: p0(),
        sequenced: None,
        records: records(numbers),
    }
}

/// A batch of producer 1 in an epoch.
pub fn sequenced(epoch: i16, base: i32, numbers: &[u64]) -> Op {
    Op::Produce {
        at: p0(),
        sequenced: Some(Sequenced {
            producer: ProducerId(1),
            epoch: ProducerEpoch(epoch),
            base: Sequence(base),
        }),
        records: records(numbers),
    }
}

pub fn fetch(from: i64) -> Op {
    Op::Fetch {
        at: p0(),
        from: Offset(from),
    }
}

pub fn appended(base: i64) -> Answer {
    Answer::Appended { base: Offset(base) }
}

/// Records from an offset on.
pub fn fetched(from: i64, numbers: &[u64], high: i64) -> Answer {
    Answer::Fetched {
        records: (from..).map(Offset).zip(records(numbers)).collect(),
        high_watermark: Offset(high),
        log_start: Offset(0),
    }
}

impl Script {
    /// A topic `t` of two partitions.
    pub fn new(retention: Retention) -> Script {
        let script = Script {
            recorder: Recorder::default(),
        };
        let op = Op::CreateTopic {
            name: "t".into(),
            partitions: 2,
            retention,
        };
        script.ok(op, Answer::Created { id: ID });
        script
    }

    pub fn invoke(&self, op: Op) -> CallId {
        self.recorder.invoke(ClientId(0), op)
    }

    pub fn ok(&self, op: Op, answer: Answer) {
        let call = self.invoke(op);
        self.recorder.ok(call, answer);
    }

    pub fn refused(&self, op: Op, code: ErrorCode) {
        let call = self.invoke(op);
        self.recorder.refused(call, code.code());
    }

    pub fn unknown(&self, op: Op) {
        let call = self.invoke(op);
        self.recorder.unknown(call, "cut");
    }

    pub fn append(&self, base: i64, numbers: &[u64]) {
        self.ok(produce(numbers), appended(base));
    }

    pub fn read(&self, from: i64, numbers: &[u64], high: i64) {
        self.ok(fetch(from), fetched(from, numbers, high));
    }

    pub fn end(&self, end: End, at: i64) {
        self.ok(Op::ListOffset { at: p0(), end }, Answer::At(Offset(at)));
    }

    pub fn commit_op(generation: i32, offset: i64) -> Op {
        Op::Commit {
            group: GROUP.into(),
            generation: Some(generation),
            at: p0(),
            offset: Offset(offset),
        }
    }

    pub fn commit(&self, generation: i32, offset: i64) {
        self.ok(Script::commit_op(generation, offset), Answer::Done);
    }

    pub fn committed(&self, offset: Option<i64>) {
        let op = Op::FetchCommitted {
            group: GROUP.into(),
            at: p0(),
        };
        self.ok(op, Answer::Committed(offset.map(Offset)));
    }

    pub fn join(&self, client: u32, generation: i32, assignment: Vec<Place>) {
        let op = Op::Join {
            group: GROUP.into(),
        };
        let call = self.recorder.invoke(ClientId(client), op);
        let answer = Answer::Joined {
            generation,
            assignment,
        };
        self.recorder.ok(call, answer);
    }

    pub fn deliver(&self, from: i64, until: i64) {
        self.recorder.note(Note::Delivered {
            group: GROUP.into(),
            client: ClientId(0),
            at: p0(),
            from: Offset(from),
            until: Offset(until),
        });
    }

    pub fn damage(&self, cost: Option<(i64, i64)>) {
        self.recorder.note(Note::Damage {
            what: "a flipped bit".into(),
            may_cost: cost.map(|(from, until)| {
                vec![Cost {
                    at: p0(),
                    from: Offset(from),
                    until: Offset(until),
                }]
            }),
        });
    }

    pub fn audit(&self) {
        self.recorder.note(Note::Audit);
    }

    /// Every check passes.
    #[track_caller]
    pub fn holds(&self) {
        let history = self.recorder.history();
        let report = check_all(&history);
        assert!(report.violations.is_empty(), "{history}\n{report}");
    }

    /// These checks, and no others, find a contradiction and name events of it.
    #[track_caller]
    pub fn breaks(&self, checks: &[&str]) {
        let history = self.recorder.history();
        let report = check_all(&history);
        let mut found: Vec<&str> = report.violations.iter().map(|v| v.check).collect();
        found.dedup();
        assert_eq!(found, checks, "{history}\n{report}");
        assert!(report.violations.iter().all(|v| !v.events.is_empty()));
    }
}
