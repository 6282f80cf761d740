//! One client's connection, and the calls over it as the history knows them.

use std::sync::Arc;
use std::time::Duration;

use levada_client::{ClientResult, Connection, ConnectionOptions};
use levada_env::{Env, SeededRandom};
use levada_model::{Offset, TopicId};
use levada_wire_kafka::messages::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, MetadataRequest,
};
use levada_wire_kafka::{ErrorCode, KStr, Request, Uuid};

use crate::faults::Fault;
use crate::history::{Answer, CallId, ClientId, End, ListedTopic, Op, Place, Recorder, Topic};
use crate::plan::{PORT, QUEUE_NAME};
use crate::world::{KnownTopic, World};

/// A client's way to the broker.
pub struct Link {
    pub world: Arc<World>,
    pub env: Env,
    pub id: ClientId,
    pub random: SeededRandom,
    options: ConnectionOptions,
    connection: Option<Arc<Connection>>,
}

impl Link {
    pub fn new(world: Arc<World>, id: ClientId) -> Self {
        let random = SeededRandom::new(world.plan.seed.wrapping_mul(7919) ^ u64::from(id.0 + 1));
        Self {
            env: world.client_env(id.0),
            options: ConnectionOptions {
                client_id: id.to_string(),
                connect_timeout: Duration::from_millis(500),
                request_timeout: Duration::from_millis(1_500 + random.below(3_000)),
                ..ConnectionOptions::default()
            },
            world,
            id,
            random,
            connection: None,
        }
    }

    pub fn recorder(&self) -> &Recorder {
        &self.world.recorder
    }

    /// Whether the client is to end.
    pub fn is_ending(&self) -> bool {
        self.world.is_ending()
    }

    /// Waits up to `most` milliseconds.
    pub async fn rest(&self, most: u64) {
        let pause = 1 + self.random.below(most);
        self.env.sleep(Duration::from_millis(pause)).await;
    }

    /// An open connection. One attempt, with a pause behind it if it fails.
    pub async fn open(&mut self) -> Option<Arc<Connection>> {
        if let Some(open) = self.connection.as_ref().filter(|open| open.is_open()) {
            return Some(open.clone());
        }
        self.connection = None;
        let address = format!("broker:{PORT}");
        match Connection::open(&self.env, &address, &self.options).await {
            Ok(open) => self.connection = Some(open),
            Err(_) => self.rest(200).await,
        }
        self.connection.clone()
    }

    /// Drops the connection: the next call makes another.
    pub fn hang_up(&mut self) {
        self.connection = None;
    }

    /// A call that the history does not know.
    pub async fn ask<R: Request>(&mut self, request: &R) -> Option<R::Response> {
        let open = self.open().await?;
        match open.call(request).await {
            Ok(answer) => Some(answer),
            Err(_) => {
                self.hang_up();
                self.rest(200).await;
                None
            }
        }
    }

    /// A call with its invoke; who gets the answer records the return. Without an answer that is
    /// recorded here.
    pub async fn call<R: Request>(
        &mut self,
        op: Op,
        request: &R,
        version_max: i16,
    ) -> Option<(CallId, R::Response)> {
        let open = self.open().await?;
        let version = open.version_up_to::<R>(version_max).ok()?;
        let call = self.recorder().invoke(self.id, op);
        let answer = open.call_version(request, version).await;
        Some((call, self.answered(call, answer)?))
    }

    /// Records a call that has no answer.
    pub fn answered<T>(&mut self, call: CallId, answer: ClientResult<T>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.recorder().unknown(call, &error.to_string());
                self.hang_up();
                None
            }
        }
    }

    /// Records a return by its error code.
    pub fn end(&self, call: CallId, code: i16, answer: Answer) -> Result<(), i16> {
        match code {
            0 => {
                self.recorder().ok(call, answer);
                Ok(())
            }
            code => {
                self.recorder().refused(call, code);
                Err(code)
            }
        }
    }

    /// One end of a partition.
    pub async fn list_offset(
        &mut self,
        topic: &KnownTopic,
        partition: i32,
        end: End,
    ) -> Option<Result<Offset, i16>> {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: KStr::from(topic.name.as_str()),
                partitions: vec![ListOffsetsPartition {
                    partition_index: partition,
                    timestamp: match end {
                        End::Earliest => -2,
                        End::Latest => -1,
                    },
                    ..Default::default()
                }],
            }],
            timeout_ms: 1_000,
            ..Default::default()
        };
        let op = Op::ListOffset {
            at: by_name(topic, partition),
            end,
        };
        let (call, answer) = self.call(op, &request, i16::MAX).await?;
        let found = answer.topics.first().and_then(|t| t.partitions.first());
        let (code, offset) = found.map_or((-1, -1), |p| (p.error_code, p.offset));
        let ended = self.end(call, code, Answer::At(Offset(offset)));
        Some(ended.map(|()| Offset(offset)))
    }

    /// Every topic that is no queue.
    pub async fn list_topics(&mut self) -> Option<Vec<ListedTopic>> {
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let (call, answer) = self.call(Op::ListTopics, &request, i16::MAX).await?;
        let mut topics: Vec<ListedTopic> = answer
            .topics
            .iter()
            .map(|topic| ListedTopic {
                name: topic.name.as_deref().unwrap_or_default().to_owned(),
                id: TopicId(topic.topic_id.0),
                partitions: topic.partitions.len() as i32,
            })
            .filter(|topic: &ListedTopic| !topic.name.starts_with(QUEUE_NAME))
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        let ended = self.end(call, answer.error_code, Answer::Topics(topics.clone()));
        ended.ok().map(|()| topics)
    }

    /// Counts a request that goes out again.
    pub fn retried(&self) {
        self.world.tally.add(Fault::Retry, 1);
    }
}

/// A partition named with its topic's id.
pub fn by_id(topic: &KnownTopic, partition: i32) -> Place {
    Place {
        topic: Topic {
            name: topic.name.clone(),
            id: Some(topic.id),
        },
        partition,
    }
}

/// A partition named without its topic's id.
pub fn by_name(topic: &KnownTopic, partition: i32) -> Place {
    Place {
        topic: Topic {
            name: topic.name.clone(),
            id: None,
        },
        partition,
    }
}

/// Whether this request names its topic by name. Not so where the name is used again: the history
/// could not tell which of them the broker took it for.
pub fn may_be_named(link: &Link, topic: &KnownTopic) -> bool {
    !topic.is_name_reused() && link.random.one_in(3)
}

pub fn uuid(id: TopicId) -> Uuid {
    Uuid(id.0)
}

/// Whether the code is `known`.
pub fn is(code: i16, known: ErrorCode) -> bool {
    code == known.code()
}

/// Whether the topic is gone, by its name or its id.
pub fn is_gone(code: i16) -> bool {
    is(code, ErrorCode::UnknownTopicOrPartition) || is(code, ErrorCode::UnknownTopicId)
}
