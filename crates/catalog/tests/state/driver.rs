//! Random but meaningful commands: numbers are read against the state as it is.

use levada_catalog::command::{
    BatchProducer, Commit, CommitBatch, CreateTopic, ExtentMove, IndexRun, MoveExtents,
    ReplaceRuns, SegmentBytes, SpillIndex,
};
use levada_catalog::groups::{CommitOffsets, GroupCommand, OffsetToCommit};
use levada_catalog::{Command, State, StateSettings};
use levada_model::{Offset, PartitionId, ProducerEpoch, ProducerId, SegmentId, Sequence, TopicId};
use proptest::prelude::*;

use crate::queues;
use crate::support::{START_MS, extent, run_over};

/// One step: what kind, and three numbers for its details.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    pub kind: u8,
    pub a: u16,
    pub b: u16,
    pub c: u16,
}

pub fn any_op() -> impl Strategy<Value = Op> {
    let kind = 0..40u8;
    (kind, any::<u16>(), any::<u16>(), any::<u16>()).prop_map(|(kind, a, b, c)| Op {
        kind,
        a,
        b,
        c,
    })
}

pub fn any_ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(any_op(), 0..most)
}

const NAMES: [&str; 6] = ["a", "b.c", "b_c", "d", "e", "no/name"];
/// Bytes that one commit takes of its segment.
const COMMIT_BYTES: u64 = 1 << 20;

/// Gives the next command and the time it comes at.
pub struct Driver {
    pub now_ms: i64,
    written: u64,
    topics: u8,
}

impl Driver {
    pub fn new() -> Driver {
        Driver {
            now_ms: START_MS,
            written: 0,
            topics: 0,
        }
    }

    pub fn command(&mut self, state: &State, op: Op) -> Command {
        self.now_ms += i64::from(op.c % 7);
        self.written += 1;
        match op.kind {
            0 | 1 => self.create(op),
            2 => Command::DeleteTopic {
                topic: topic(state, op.a),
            },
            3 => Command::CreatePartitions {
                topic: topic(state, op.a),
                total: u32::from(op.b % 6),
            },
            4 => alter(state, op),
            5 => Command::AllocateProducer,
            6 => {
                self.now_ms += 10_000;
                Command::Configure(StateSettings {
                    producer_expiration_ms: 1_000_000,
                    producer_state_bytes_max: 1000 + usize::from(op.a % 4000),
                })
            }
            7..=9 => advance(state, op),
            10..=13 => self.spill(state, op),
            14 | 15 => self.replace(state, op),
            16..=18 => self.shift(state, op),
            19..=21 => commit_offset(state, op),
            22 => Command::Group(GroupCommand::DeleteGroup {
                group: format!("g{}", op.a % 5),
            }),
            32..=36 => queues::command(state, op, self.now_ms),
            _ => self.commit(state, op),
        }
    }

    fn create(&mut self, op: Op) -> Command {
        self.topics = self.topics.wrapping_add(1);
        let time_type = ["CreateTime", "LogAppendTime"][usize::from(op.c % 2)];
        Command::CreateTopic(CreateTopic {
            name: NAMES[usize::from(op.a) % NAMES.len()].to_owned(),
            id: TopicId([self.topics; 16]),
            partitions: u32::from(op.b % 4),
            configs: queues::configs(op)
                .chain([("message.timestamp.type", time_type)])
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }

    fn position(&self) -> u64 {
        self.written * COMMIT_BYTES
    }

    fn commit(&mut self, state: &State, op: Op) -> Command {
        let mut position = self.position();
        let mut batches = Vec::new();
        for at in 0..1 + op.c % 6 {
            let mixed = op.a.wrapping_mul(at * 2 + 1).wrapping_add(at);
            let partition = partition(state, mixed / 3);
            let count = 1 + u32::from(op.b % 3);
            batches.push(CommitBatch {
                partition,
                position,
                length: 80 + u32::from(mixed % 50),
                offset_count: count,
                max_timestamp_ms: START_MS + i64::from(mixed) - 1,
                crc: u32::from(mixed),
                producer: producer(mixed, op.b.wrapping_add(at)),
            });
            position += 80 + u64::from(mixed % 50) + u64::from(mixed % 5 / 4);
        }
        let segment = SegmentId(u64::from(op.a % 4));
        Command::Commit(Commit {
            queued: queues::queued(op, batches.len()),
            segment,
            batches,
        })
    }

    fn spill(&self, state: &State, op: Op) -> Command {
        let id = partition(state, op.a);
        let place = extent(100 + u64::from(op.c % 3), self.position(), 64);
        let known = state.partition(id).filter(|one| one.tail_len() > 0);
        let mut run = match known {
            Some(one) => run_over(one, 1 + usize::from(op.b) % one.tail_len(), place),
            None => IndexRun {
                first: Offset(0),
                end: Offset(1),
                max_timestamp_ms: 0,
                data_bytes: 1,
                extent: place,
            },
        };
        run.data_bytes += u64::from(op.c % 8 == 7);
        Command::SpillIndex(SpillIndex { partition: id, run })
    }

    fn replace(&self, state: &State, op: Op) -> Command {
        let id = partition(state, op.a);
        let runs = state.partition(id).map_or(&[][..], |one| one.runs());
        let old = &runs[..runs.len().min(1 + usize::from(op.b % 3))];
        let bytes: u64 = old.iter().map(|run| run.data_bytes).sum();
        let times = old.iter().map(|run| run.max_timestamp_ms);
        let run = IndexRun {
            first: old.first().map_or(Offset(0), |run| run.first),
            end: old.last().map_or(Offset(0), |run| run.end),
            max_timestamp_ms: times.max().unwrap_or(0),
            data_bytes: bytes,
            extent: extent(200 + u64::from(op.c % 2), self.position(), 90),
        };
        let part = |segment, bytes| SegmentBytes {
            segment: SegmentId(segment),
            bytes,
        };
        Command::ReplaceRuns(ReplaceRuns {
            partition: id,
            old: old.iter().map(|run| run.extent).collect(),
            run,
            segments: vec![
                part(u64::from(op.c % 4), bytes / 2),
                part(7, bytes - bytes / 2),
            ],
        })
    }

    /// Moves one entry, or run, that is there or (now and then) is not.
    fn shift(&self, state: &State, op: Op) -> Command {
        let id = partition(state, op.a);
        let mut moves = Vec::new();
        if let Some(one) = state.partition(id) {
            let entries = one
                .entries_from(Offset(0))
                .map(|one| (one.base, one.extent));
            let runs = one.runs().iter().map(|run| (run.first, run.extent));
            let all: Vec<_> = runs.chain(entries).collect();
            if let Some((base, from)) = all.get(usize::from(op.b) % all.len().max(1)) {
                let mut to = *from;
                to.segment = SegmentId(300 + u64::from(op.c % 3));
                to.position = self.position();
                to.length += u32::from(op.c % 9 == 8);
                moves.push(ExtentMove {
                    partition: id,
                    base: *base,
                    from: *from,
                    to,
                });
                moves.extend_from_within(..usize::from(op.c % 5 == 4));
            }
        }
        Command::MoveExtents(MoveExtents { moves })
    }
}

/// A few producers; mostly the next sequence by the count of steps, often one that repeats.
fn producer(mixed: u16, step: u16) -> Option<BatchProducer> {
    (!mixed.is_multiple_of(3)).then(|| BatchProducer {
        id: ProducerId(i64::from(mixed % 4)),
        epoch: ProducerEpoch((mixed % 64 == 1).into()),
        first_sequence: Sequence(i32::from(step % 12) - i32::from(mixed % 70 == 2)),
    })
}

fn topic(state: &State, number: u16) -> TopicId {
    let count = state.topic_count().max(1);
    let found = state.topics().nth(usize::from(number) % count);
    found.map_or(TopicId([99; 16]), |topic| topic.id)
}

/// A partition that is there, most of the time.
pub fn partition(state: &State, number: u16) -> PartitionId {
    let ids: Vec<_> = state
        .topics()
        .flat_map(|topic| topic.partitions())
        .collect();
    match number % 16 {
        15 => PartitionId(u64::from(number)),
        _ => (ids.get(usize::from(number) % ids.len().max(1))).map_or(PartitionId(0), |id| *id),
    }
}

fn alter(state: &State, op: Op) -> Command {
    let (name, values) = [
        ("message.timestamp.type", ["CreateTime", "LogAppendTime"]),
        ("retention.ms", ["100", "never"]),
        ("queue.enabled", ["true", "false"]),
    ][usize::from(op.b % 3)];
    let value = (!op.c.is_multiple_of(3)).then(|| values[usize::from(op.c % 2)].to_owned());
    Command::AlterTopic {
        topic: topic(state, op.a),
        changes: vec![(name.to_owned(), value)],
    }
}

fn advance(state: &State, op: Op) -> Command {
    let moves = [op.a, op.b].map(|number| {
        let id = partition(state, number);
        let end = state.partition(id).map_or(1, |one| one.high_watermark().0);
        (id, Offset(i64::from(op.c) % (end + 2)))
    });
    Command::AdvanceLogStart {
        moves: moves.to_vec(),
    }
}

fn commit_offset(state: &State, op: Op) -> Command {
    Command::Group(GroupCommand::CommitOffsets(CommitOffsets {
        group: format!("g{}", op.a % 5),
        generation: -1,
        member: String::new(),
        instance: None,
        offsets: vec![OffsetToCommit {
            topic: topic(state, op.b),
            partition: i32::from(op.c % 3),
            offset: Offset(i64::from(op.c)),
            leader_epoch: 0,
            metadata: "m".repeat(usize::from(op.b % 3)),
        }],
    }))
}
