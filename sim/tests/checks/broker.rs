//! A broker that is correct by being simple: one state, one call after another.

use std::collections::BTreeMap;

use levada_model::{Offset, ProducerId, TopicId};
use levada_sim::history::*;
use levada_wire_kafka::ErrorCode;

/// Records of one batch, and where it begins.
#[derive(Clone, Debug)]
pub struct Batch {
    pub base: i64,
    pub records: Vec<RecordId>,
    pub is_damaged: bool,
}

impl Batch {
    pub fn end(&self) -> i64 {
        self.base + self.records.len() as i64
    }
}

#[derive(Clone, Debug, Default)]
pub struct Log {
    pub batches: Vec<Batch>,
    pub start: i64,
    /// Of each producer the batches that it has left.
    producers: BTreeMap<ProducerId, Vec<(Sequenced, i64)>>,
}

impl Log {
    pub fn end(&self) -> i64 {
        self.batches.last().map_or(0, Batch::end)
    }

    fn append(&mut self, sequenced: Option<Sequenced>, records: &[RecordId]) -> i64 {
        let own = sequenced.map(|own| self.producers.entry(own.producer).or_default());
        let before = own
            .as_ref()
            .and_then(|own| own.iter().find(|(of, _)| Some(*of) == sequenced));
        if let Some((_, base)) = before {
            return *base;
        }
        let base = self.batches.last().map_or(0, Batch::end);
        if let (Some(own), Some(sequenced)) = (own, sequenced) {
            own.push((sequenced, base));
        }
        self.batches.push(Batch {
            base,
            records: records.to_vec(),
            is_damaged: false,
        });
        base
    }

    fn read(&self, from: i64, batches_max: usize) -> Outcome {
        if from < self.start || from > self.end() {
            return refuse(ErrorCode::OffsetOutOfRange);
        }
        let mut records = Vec::new();
        for batch in self
            .batches
            .iter()
            .filter(|batch| batch.end() > from)
            .take(batches_max)
        {
            if batch.is_damaged && records.is_empty() {
                return refuse(ErrorCode::CorruptMessage);
            }
            if batch.is_damaged {
                break;
            }
            let offsets = (batch.base..)
                .map(Offset)
                .zip(batch.records.iter().copied());
            records.extend(offsets.filter(|(offset, _)| offset.0 >= from));
        }
        Outcome::Ok(Answer::Fetched {
            records,
            high_watermark: Offset(self.end()),
            log_start: Offset(self.start),
        })
    }
}

#[derive(Clone, Debug)]
pub struct LiveTopic {
    pub name: String,
    pub id: TopicId,
    pub retention: Retention,
    pub logs: Vec<Log>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    generation: i32,
    committed: BTreeMap<(TopicId, i32), i64>,
}

/// The state of all.
#[derive(Clone, Debug, Default)]
pub struct Broker {
    pub topics: Vec<LiveTopic>,
    ids: u8,
    groups: BTreeMap<String, Group>,
}

pub fn refuse(code: ErrorCode) -> Outcome {
    Outcome::Refused(code.code())
}

impl Broker {
    /// The effect of a call, and its answer. `batches_max` bounds a fetch.
    pub fn serve(&mut self, op: &Op, batches_max: usize) -> Outcome {
        match op {
            Op::CreateTopic {
                name,
                partitions,
                retention,
            } => self.create(name, *partitions, *retention),
            Op::DeleteTopic { topic } => self.delete(topic),
            Op::ListTopics => {
                let listed = self.topics.iter().map(|topic| ListedTopic {
                    name: topic.name.clone(),
                    id: topic.id,
                    partitions: topic.logs.len() as i32,
                });
                Outcome::Ok(Answer::Topics(listed.collect()))
            }
            Op::Produce {
                at,
                sequenced,
                records,
            } => self.on(at, |log| {
                let base = Offset(log.append(*sequenced, records));
                Outcome::Ok(Answer::Appended { base })
            }),
            Op::Fetch { at, from } => self.on(at, |log| log.read(from.0, batches_max)),
            Op::ListOffset { at, end } => self.on(at, |log| {
                let at = match end {
                    End::Earliest => log.start,
                    End::Latest => log.end(),
                };
                Outcome::Ok(Answer::At(Offset(at)))
            }),
            Op::DeleteRecords { at, before } => self.on(at, |log| {
                log.start = log.start.max(before.0.min(log.end()));
                Outcome::Ok(Answer::At(Offset(log.start)))
            }),
            Op::Join { group } => self.join(group),
            Op::Commit {
                group,
                generation,
                at,
                offset,
            } => self.commit(group, *generation, at, offset.0),
            Op::FetchCommitted { group, at } => {
                let id = self.find(&at.topic).map(|topic| topic.id);
                let group = self.groups.entry(group.clone()).or_default();
                let committed = id.and_then(|id| group.committed.get(&(id, at.partition)));
                Outcome::Ok(Answer::Committed(committed.copied().map(Offset)))
            }
            Op::DeleteGroup { group } => {
                self.groups.remove(group);
                Outcome::Ok(Answer::Done)
            }
            Op::Queue { .. } => Outcome::Unknown("it has no queues".to_owned()),
        }
    }

    fn find(&mut self, topic: &Topic) -> Option<&mut LiveTopic> {
        self.topics.iter_mut().find(|live| match topic.id {
            Some(id) => live.id == id,
            None => live.name == topic.name,
        })
    }

    fn on(&mut self, at: &Place, act: impl FnOnce(&mut Log) -> Outcome) -> Outcome {
        let log = self
            .find(&at.topic)
            .and_then(|topic| topic.logs.get_mut(at.partition as usize));
        log.map_or(refuse(ErrorCode::UnknownTopicOrPartition), act)
    }

    fn create(&mut self, name: &str, partitions: i32, retention: Retention) -> Outcome {
        if self.topics.iter().any(|topic| topic.name == name) {
            return refuse(ErrorCode::TopicAlreadyExists);
        }
        self.ids += 1;
        let id = TopicId([self.ids; 16]);
        self.topics.push(LiveTopic {
            name: name.to_owned(),
            id,
            retention,
            logs: vec![Log::default(); partitions as usize],
        });
        Outcome::Ok(Answer::Created { id })
    }

    fn delete(&mut self, topic: &Topic) -> Outcome {
        let Some(id) = self.find(topic).map(|live| live.id) else {
            return refuse(ErrorCode::UnknownTopicOrPartition);
        };
        self.topics.retain(|live| live.id != id);
        for group in self.groups.values_mut() {
            group.committed.retain(|(of, _), _| *of != id);
        }
        Outcome::Ok(Answer::Done)
    }

    /// Every join begins a generation in which the new member has everything.
    fn join(&mut self, group: &str) -> Outcome {
        let group = self.groups.entry(group.to_owned()).or_default();
        group.generation += 1;
        let generation = group.generation;
        let assignment = self.topics.iter().flat_map(|topic| {
            (0..topic.logs.len() as i32)
                .map(|partition| place(&topic.name, Some(topic.id), partition))
        });
        Outcome::Ok(Answer::Joined {
            generation,
            assignment: assignment.collect(),
        })
    }

    fn commit(&mut self, group: &str, generation: Option<i32>, at: &Place, offset: i64) -> Outcome {
        let Some(id) = self.find(&at.topic).map(|topic| topic.id) else {
            return refuse(ErrorCode::UnknownTopicOrPartition);
        };
        let group = self.groups.entry(group.to_owned()).or_default();
        if generation.is_some_and(|generation| generation != group.generation) {
            return refuse(ErrorCode::IllegalGeneration);
        }
        group.committed.insert((id, at.partition), offset);
        Outcome::Ok(Answer::Done)
    }
}

/// A partition by name, with or without its topic's id.
pub fn place(name: &str, id: Option<TopicId>, partition: i32) -> Place {
    Place {
        topic: Topic {
            name: name.to_owned(),
            id,
        },
        partition,
    }
}
