//! Clients, crashes and damage around the correct broker, in an order that a list of numbers
//! decides: whatever the list, the history that comes out is a correct one.

use std::collections::BTreeMap;

use levada_model::{Offset, ProducerEpoch, ProducerId, Sequence, TopicId};
use levada_sim::history::*;
use levada_wire_kafka::ErrorCode;

use crate::broker::{Broker, Log, place};

const CLIENTS: u32 = 5;
const GROUP: &str = "g";
const NAMES: [&str; 3] = ["a", "b", "c"];

/// The list, read one by one; past its end it gives zeros.
pub struct Picks {
    numbers: Vec<u32>,
    at: usize,
}

impl Picks {
    pub fn new(numbers: Vec<u32>) -> Picks {
        Picks { numbers, at: 0 }
    }

    /// The list that belongs to a seed.
    pub fn of_seed(seed: u64, count: usize) -> Picks {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32) as u32
        };
        Picks::new((0..count).map(|_| next()).collect())
    }

    fn is_over(&self) -> bool {
        self.at >= self.numbers.len()
    }

    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        number as usize % count.max(1)
    }

    fn one_in(&mut self, count: usize) -> bool {
        // Past the end of the list nothing rare happens.
        !self.is_over() && self.below(count) == 0
    }
}

/// A call that its client waits for.
struct Open {
    call: CallId,
    op: Op,
    /// Set once the broker has served it.
    outcome: Option<Outcome>,
}

#[derive(Default)]
struct Client {
    open: Option<Open>,
    /// The batch whose end is open, to be sent again, and the next sequence of each partition.
    retry: Option<Op>,
    sequences: BTreeMap<(TopicId, i32), i32>,
    member: Option<Member>,
}

/// A client as a member of the group.
struct Member {
    generation: i32,
    assignment: Vec<Place>,
    at: Option<(Place, i64)>,
}

pub struct World {
    recorder: Recorder,
    broker: Broker,
    clients: Vec<Client>,
    /// Requests whose clients are gone, which may still be served.
    adrift: Vec<Op>,
    picks: Picks,
}

/// A whole run.
pub fn run(picks: Picks) -> History {
    let mut world = World {
        recorder: Recorder::default(),
        broker: Broker::default(),
        clients: (0..CLIENTS).map(|_| Client::default()).collect(),
        adrift: Vec::new(),
        picks,
    };
    while !world.picks.is_over() {
        world.step();
    }
    world.audit();
    world.recorder.history()
}

impl World {
    fn step(&mut self) {
        match self.picks.below(120) {
            0 if self.picks.one_in(3) => self.crash(),
            1 => self.damage(),
            2 | 3 => self.trim(),
            4..=8 => {
                if !self.adrift.is_empty() {
                    let index = self.picks.below(self.adrift.len());
                    let op = self.adrift.swap_remove(index);
                    self.broker.serve(&op, 1);
                }
            }
            _ => {
                // The member that is there all the time does more than the others.
                let client = self.picks.below(self.clients.len() + 3);
                self.advance(client.saturating_sub(3));
            }
        }
    }

    /// The client sends something, or its request is served, or its answer arrives.
    fn advance(&mut self, client: usize) {
        let Some(open) = self.clients[client].open.take() else {
            let op = self.next_op(client);
            self.send(client, op);
            return;
        };
        let Open { call, op, outcome } = open;
        if self.picks.one_in(25) {
            self.lose(client, call, op, outcome.is_some());
            return;
        }
        match outcome {
            None => {
                let batches_max = 1 + self.picks.below(3);
                let outcome = Some(self.broker.serve(&op, batches_max));
                self.clients[client].open = Some(Open { call, op, outcome });
            }
            Some(Outcome::Ok(answer)) => {
                self.recorder.ok(call, answer.clone());
                self.take_answer(client, op, answer);
            }
            Some(Outcome::Refused(code)) => {
                self.recorder.refused(call, code);
                self.take_refusal(client, op, code);
            }
            Some(Outcome::Unknown(_)) => unreachable!("the broker knows what it did"),
        }
    }

    fn send(&mut self, client: usize, op: Op) {
        let call = self.recorder.invoke(ClientId(client as u32), op.clone());
        self.clients[client].open = Some(Open {
            call,
            op,
            outcome: None,
        });
    }

    /// The connection is cut.
    fn lose(&mut self, client: usize, call: CallId, op: Op, is_served: bool) {
        self.recorder.unknown(call, "cut");
        let one = &mut self.clients[client];
        one.member = None;
        if matches!(
            op,
            Op::Produce {
                sequenced: Some(_),
                ..
            }
        ) {
            one.retry = Some(op.clone());
        }
        if !is_served {
            self.adrift.push(op);
        }
    }

    fn next_op(&mut self, client: usize) -> Op {
        if let Some(retry) = self.clients[client].retry.take() {
            return retry;
        }
        // The first client is a member above all.
        let kind = match client {
            0 => 30 + self.picks.below(120),
            _ => self.picks.below(100),
        };
        if self.broker.topics.is_empty() || kind < 2 {
            return self.create_op();
        }
        match kind {
            2 if self.picks.one_in(3) => self.delete_op(),
            2..=6 => Op::ListTopics,
            7..=26 => self.produce_op(None),
            27..=46 => self.produce_op(Some(client)),
            47..=59 => self.fetch_op(),
            60..=65 => Op::ListOffset {
                at: self.some_place(),
                end: [End::Latest, End::Earliest][self.picks.below(2)],
            },
            66 if self.picks.one_in(2) => self.delete_records_op(),
            67 if self.picks.one_in(6) => Op::DeleteGroup {
                group: "other".into(),
            },
            _ => self.member_op(client),
        }
    }

    fn create_op(&mut self) -> Op {
        Op::CreateTopic {
            name: NAMES[self.picks.below(NAMES.len())].into(),
            partitions: 1 + self.picks.below(2) as i32,
            retention: [Retention::Keep, Retention::Keep, Retention::Trim][self.picks.below(3)],
        }
    }

    fn delete_op(&mut self) -> Op {
        let topic = self.some_place().topic;
        Op::DeleteTopic { topic }
    }

    /// A partition that is there now; sometimes only by its name.
    fn some_place(&mut self) -> Place {
        let topic = &self.broker.topics[self.picks.below(self.broker.topics.len())];
        let partition = self.picks.below(topic.logs.len()) as i32;
        let id = Some(topic.id).filter(|_| self.picks.below(4) != 0);
        place(&topic.name, id, partition)
    }

    /// The same, always with its id.
    fn exact_place(&mut self) -> (Place, TopicId, Log) {
        let topic = &self.broker.topics[self.picks.below(self.broker.topics.len())];
        let partition = self.picks.below(topic.logs.len());
        let at = place(&topic.name, Some(topic.id), partition as i32);
        (at, topic.id, topic.logs[partition].clone())
    }

    fn produce_op(&mut self, producer: Option<usize>) -> Op {
        let count = 1 + self.picks.below(3);
        let records = (0..count).map(|_| self.recorder.fresh_record()).collect();
        let Some(client) = producer else {
            return Op::Produce {
                at: self.some_place(),
                sequenced: None,
                records,
            };
        };
        let (at, id, _) = self.exact_place();
        let next = self.clients[client]
            .sequences
            .entry((id, at.partition))
            .or_default();
        let base = Sequence(*next);
        *next += count as i32;
        Op::Produce {
            at,
            sequenced: Some(Sequenced {
                producer: ProducerId(client as i64),
                epoch: ProducerEpoch(0),
                base,
            }),
            records,
        }
    }

    fn fetch_op(&mut self) -> Op {
        let (at, _, log) = self.exact_place();
        // Sometimes out of range at either side.
        let from = self.picks.below(log.end() as usize + 2) as i64;
        Op::Fetch {
            at,
            from: Offset(from),
        }
    }

    fn delete_records_op(&mut self) -> Op {
        let (at, _, log) = self.exact_place();
        Op::DeleteRecords {
            at,
            before: Offset(self.picks.below(log.end() as usize + 1) as i64),
        }
    }

    fn member_op(&mut self, client: usize) -> Op {
        let group = || GROUP.to_owned();
        let picked = self.picks.below(1 << 16);
        // One client is a member all the time, another now and then.
        let may_join = client == 0 || (client == 1 && picked.is_multiple_of(4));
        let Some(member) = &mut self.clients[client].member else {
            return match may_join {
                true => Op::Join { group: group() },
                false => self.fetch_op(),
            };
        };
        match &member.at {
            Some((at, from)) if !picked.is_multiple_of(3) => Op::Fetch {
                at: at.clone(),
                from: Offset(*from),
            },
            Some((at, offset)) => Op::Commit {
                group: group(),
                generation: Some(member.generation),
                at: at.clone(),
                offset: Offset(*offset),
            },
            None if member.assignment.is_empty() => Op::Join { group: group() },
            None => Op::FetchCommitted {
                group: group(),
                at: member.assignment[picked % member.assignment.len()].clone(),
            },
        }
    }

    fn take_answer(&mut self, client: usize, op: Op, answer: Answer) {
        let member = &mut self.clients[client].member;
        match (op, answer) {
            (
                Op::Join { .. },
                Answer::Joined {
                    generation,
                    assignment,
                },
            ) => {
                *member = Some(Member {
                    generation,
                    assignment,
                    at: None,
                });
            }
            (Op::FetchCommitted { at, .. }, Answer::Committed(committed)) => {
                let from = committed.map_or(0, |offset| offset.0);
                if let Some(member) = member {
                    member.at = Some((at, from));
                }
            }
            (Op::Fetch { at, from }, Answer::Fetched { records, .. }) => {
                let Some(Member {
                    at: Some((own, position)),
                    ..
                }) = member
                else {
                    return;
                };
                if *own == at && *position == from.0 && !records.is_empty() {
                    *position += records.len() as i64;
                    self.recorder.note(Note::Delivered {
                        group: GROUP.into(),
                        client: ClientId(client as u32),
                        at,
                        from,
                        until: Offset(from.0 + records.len() as i64),
                    });
                }
            }
            (Op::Commit { .. }, _) => {
                // It goes on here, or turns to another partition.
                let turns = self.picks.below(4) == 0;
                if let Some(member) = member.as_mut().filter(|_| turns) {
                    member.at = None;
                }
            }
            (
                Op::ListOffset {
                    at,
                    end: End::Earliest,
                },
                Answer::At(start),
            ) => {
                if let Some(Member {
                    at: Some((own, position)),
                    ..
                }) = member
                    && *own == at
                {
                    *position = start.0.max(*position);
                }
            }
            _ => {}
        }
    }

    fn take_refusal(&mut self, client: usize, op: Op, code: i16) {
        let own = match &mut self.clients[client].member {
            Some(Member {
                at: Some((own, position)),
                ..
            }) => Some((own.clone(), position)),
            _ => None,
        };
        match (op, own) {
            (Op::Fetch { at, from }, Some((own, position))) if own == at && *position == from.0 => {
                if code == ErrorCode::CorruptMessage.code() {
                    // It goes on behind the damaged batch.
                    let damaged = self.damaged_until(&at, from.0);
                    if let Some(Member {
                        at: Some((_, position)),
                        ..
                    }) = &mut self.clients[client].member
                    {
                        *position = damaged;
                    }
                } else if code == ErrorCode::OffsetOutOfRange.code() {
                    let end = End::Earliest;
                    self.send(client, Op::ListOffset { at, end });
                } else {
                    self.clients[client].member = None;
                }
            }
            (Op::Commit { .. }, _) => self.clients[client].member = None,
            _ => {}
        }
    }

    fn damaged_until(&self, at: &Place, from: i64) -> i64 {
        let mut topics = self.broker.topics.iter();
        let topic = topics.find(|topic| Some(topic.id) == at.topic.id);
        let log = topic.map(|topic| &topic.logs[at.partition as usize]);
        let mut batches = log.iter().flat_map(|log| &log.batches);
        let batch = batches.find(|batch| batch.end() > from);
        batch.map_or(from, |batch| batch.end())
    }

    fn crash(&mut self) {
        self.recorder.note(Note::Crash);
        for client in 0..self.clients.len() {
            if let Some(Open { call, op, outcome }) = self.clients[client].open.take() {
                self.lose(client, call, op, outcome.is_some());
            }
        }
        self.recorder.note(Note::Start);
    }

    fn damage(&mut self) {
        if self.broker.topics.is_empty() || !self.picks.one_in(4) {
            return;
        }
        let index = self.picks.below(self.broker.topics.len());
        let topic = &mut self.broker.topics[index];
        let partition = self.picks.below(topic.logs.len());
        let log = &mut topic.logs[partition];
        if log.batches.is_empty() {
            return;
        }
        let count = log.batches.len();
        let batch = &mut log.batches[self.picks.below(count)];
        batch.is_damaged = true;
        let cost = Cost {
            at: place(&topic.name, Some(topic.id), partition as i32),
            from: Offset(batch.base),
            until: Offset(batch.end()),
        };
        self.recorder.note(Note::Damage {
            what: "flip".into(),
            may_cost: Some(vec![cost]),
        });
    }

    /// Retention takes the first batch of a topic that trims.
    fn trim(&mut self) {
        let trims = |topic: &&mut crate::broker::LiveTopic| topic.retention == Retention::Trim;
        if let Some(topic) = self.broker.topics.iter_mut().find(trims) {
            let partition = self.picks.below(topic.logs.len());
            let log = &mut topic.logs[partition];
            let first = log.batches.iter().find(|batch| batch.end() > log.start);
            log.start = first.map_or(log.start, |batch| batch.end());
        }
    }

    /// Everything is over; what is left is read back.
    fn audit(&mut self) {
        for client in 0..self.clients.len() {
            if let Some(Open { call, .. }) = self.clients[client].open.take() {
                self.recorder.unknown(call, "the end");
            }
        }
        self.recorder.note(Note::Audit);
        self.ask(Op::ListTopics);
        for topic in self.broker.topics.clone() {
            for (partition, log) in topic.logs.iter().enumerate() {
                let at = place(&topic.name, Some(topic.id), partition as i32);
                for end in [End::Earliest, End::Latest] {
                    self.ask(Op::ListOffset {
                        at: at.clone(),
                        end,
                    });
                }
                let group = GROUP.to_owned();
                self.ask(Op::FetchCommitted {
                    group,
                    at: at.clone(),
                });
                let mut from = log.start;
                while from < log.end() {
                    let op = Op::Fetch {
                        at: at.clone(),
                        from: Offset(from),
                    };
                    from = match self.ask(op) {
                        Outcome::Ok(Answer::Fetched { records, .. }) => from + records.len() as i64,
                        _ => self.damaged_until(&at, from),
                    };
                }
            }
        }
    }

    fn ask(&mut self, op: Op) -> Outcome {
        let call = self.recorder.invoke(ClientId(CLIENTS), op.clone());
        let outcome = self.broker.serve(&op, 2);
        match &outcome {
            Outcome::Ok(answer) => self.recorder.ok(call, answer.clone()),
            Outcome::Refused(code) => self.recorder.refused(call, *code),
            Outcome::Unknown(why) => self.recorder.unknown(call, why),
        }
        outcome
    }
}
