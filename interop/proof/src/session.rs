//! One run of the script against one broker: it sends, and keeps a comparable line for each step.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::Result;
use levada_wire_kafka::messages::*;
use levada_wire_kafka::{Array, Request, Uuid};

use crate::batch;
use crate::connection::Connection;
use crate::normalise::Normaliser;

/// After so long, nothing more is expected of a broker that got garbage.
const SILENCE: Duration = Duration::from_millis(1500);

/// A step's name and what came of it.
pub struct Step {
    pub name: String,
    pub outcome: String,
    /// From the end of the step before it.
    pub elapsed: Duration,
}

/// A conversation with one broker.
pub struct Session {
    address: String,
    connection: Connection,
    normaliser: Normaliser,
    pub steps: Vec<Step>,
    last: Instant,
    /// Ids of the topics that the script has created.
    pub topic_ids: BTreeMap<String, Uuid>,
}

impl Session {
    /// Connects to a broker that holds nothing yet.
    ///
    /// # Errors
    /// When nobody accepts there.
    pub fn open(address: &str) -> Result<Session> {
        Ok(Session {
            address: address.to_owned(),
            connection: Connection::open(address)?,
            normaliser: Normaliser::default(),
            steps: Vec::new(),
            last: Instant::now(),
            topic_ids: BTreeMap::new(),
        })
    }

    /// Sends a request, keeps its line, and returns the answer if there was one.
    pub fn call<R: Request>(&mut self, what: &str, version: i16, request: &R) -> Option<R::Response>
    where
        R::Response: Comparable,
    {
        let answer = self.connection.call(version, request);
        self.keep(&format!("{} v{version} {what}", R::KEY.name()), answer)
    }

    /// Sends a request of which nothing is compared, until its answer satisfies `done`.
    pub fn until<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        done: impl Fn(&R::Response) -> bool,
    ) {
        for _ in 0..200 {
            match self.connection.call(version, request) {
                Ok(answer) if done(&answer) => return,
                Ok(_) => std::thread::sleep(std::time::Duration::from_millis(25)),
                Err(_) => return self.reconnect(),
            }
        }
    }

    /// The same request in every version that Kafka 4.1 has of it.
    pub fn every_version<R: Request>(&mut self, what: &str, request: impl Fn(&Session, i16) -> R)
    where
        R::Response: Comparable,
    {
        for version in R::KEY.advertised_versions().into_iter().flatten() {
            if R::KEY
                .valid_versions()
                .is_some_and(|known| known.contains(&version))
            {
                let request = request(self, version);
                self.call(what, version, &request);
            }
        }
    }

    /// Sends bytes as they are over a connection of their own and keeps what comes: an answer's
    /// first bytes, that it was closed, or that nothing came.
    pub fn raw(&mut self, what: &str, bytes: &[u8]) {
        let received = self.another().and_then(|mut connection| {
            connection.wait_at_most(SILENCE)?;
            connection.send_bytes(bytes)?;
            connection.receive_frame()
        });
        let outcome = match received {
            Ok(frame) => format!("answer {:02x?}", &frame[..frame.len().min(16)]),
            Err(error) => failure(&error),
        };
        self.push(format!("raw {what}"), outcome);
    }

    /// A second connection, for members of a group that wait for each other.
    ///
    /// # Errors
    /// When nobody accepts any more.
    pub fn another(&self) -> Result<Connection> {
        Connection::open(&self.address)
    }

    /// Keeps the line of an answer that came over a connection of its own.
    pub fn keep<A: Comparable>(&mut self, name: &str, answer: Result<A>) -> Option<A> {
        let (outcome, answer) = match answer {
            Ok(answer) => (self.normaliser.normalise(&answer.compared()), Some(answer)),
            Err(error) => {
                self.reconnect();
                (failure(&error), None)
            }
        };
        self.push(name.to_owned(), outcome);
        answer
    }

    fn push(&mut self, name: String, outcome: String) {
        let now = Instant::now();
        let elapsed = now - std::mem::replace(&mut self.last, now);
        self.steps.push(Step {
            name,
            outcome,
            elapsed,
        });
    }

    fn reconnect(&mut self) {
        if let Ok(connection) = Connection::open(&self.address) {
            self.connection = connection;
        }
    }

    /// The id of a topic of the script, or no id.
    pub fn topic_id(&self, topic: &str) -> Uuid {
        self.topic_ids.get(topic).copied().unwrap_or_default()
    }
}

/// What a call that brought no answer came to.
fn failure(error: &anyhow::Error) -> String {
    match error.root_cause().downcast_ref::<std::io::Error>() {
        Some(io) if matches!(io.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            "silent".to_owned()
        }
        Some(_) => "closed".to_owned(),
        None => format!("undecodable: {error:#}"),
    }
}

/// An answer in the form in which it is compared.
pub trait Comparable: Debug {
    /// By default the whole of it. Lists whose order means nothing are sorted.
    fn compared(&self) -> String {
        format!("{self:?}")
    }
}

macro_rules! whole {
    ($($answer:ident)*) => { $(impl Comparable for $answer {})* };
}

whole! {
    ListOffsetsResponse OffsetCommitResponse OffsetFetchResponse FindCoordinatorResponse
    HeartbeatResponse LeaveGroupResponse SyncGroupResponse DescribeGroupsResponse
    SaslHandshakeResponse SaslAuthenticateResponse DeleteTopicsResponse DeleteRecordsResponse
    InitProducerIdResponse OffsetForLeaderEpochResponse AlterConfigsResponse
    CreatePartitionsResponse DeleteGroupsResponse IncrementalAlterConfigsResponse
    OffsetDeleteResponse DescribeClusterResponse DescribeTopicPartitionsResponse ProduceResponse
}

impl Comparable for MetadataResponse {
    fn compared(&self) -> String {
        let mut sorted = self.clone();
        // Kafka's own topics appear when they are first needed.
        sorted.topics.retain(|topic| !topic.is_internal);
        sorted.topics.sort_by(|a, b| a.name.cmp(&b.name));
        for topic in &mut sorted.topics {
            let mut partitions = topic.partitions.rows().into_owned();
            partitions.sort_by_key(|partition| partition.partition_index);
            topic.partitions = Array::Rows(partitions);
        }
        format!("{sorted:?}")
    }
}

impl Comparable for JoinGroupResponse {
    fn compared(&self) -> String {
        let mut sorted = self.clone();
        let leader = self.leader.clone();
        sorted
            .members
            .sort_by_key(|member| (member.member_id != leader, member.member_id.clone()));
        format!("{sorted:?}")
    }
}

impl Comparable for CreateTopicsResponse {
    fn compared(&self) -> String {
        let mut sorted = self.clone();
        sorted.topics.sort_by(|a, b| a.name.cmp(&b.name));
        for topic in &mut sorted.topics {
            // Which configs there are is the business of DescribeConfigs.
            topic.configs = topic.configs.as_ref().map(|_| Array::default());
        }
        format!("{sorted:?}")
    }
}

impl Comparable for ListGroupsResponse {
    fn compared(&self) -> String {
        let mut sorted = self.clone();
        sorted.groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        format!("{sorted:?}")
    }
}

impl Comparable for ApiVersionsResponse {
    fn compared(&self) -> String {
        let mut sorted = self.clone();
        sorted.api_keys.sort_by_key(|api| api.api_key);
        sorted.finalized_features_epoch = sorted.finalized_features_epoch.min(0);
        format!("{sorted:?}")
    }
}

impl Comparable for DescribeConfigsResponse {
    fn compared(&self) -> String {
        let mut sorted = self.clone();
        for result in &mut sorted.results {
            result.configs.sort_by(|a, b| a.name.cmp(&b.name));
        }
        format!("{sorted:?}")
    }
}

impl Comparable for DescribeLogDirsResponse {
    fn compared(&self) -> String {
        let mut sorted = self.clone();
        for dir in &mut sorted.results {
            dir.topics.retain(|topic| !topic.name.starts_with("__"));
            dir.topics.sort_by(|a, b| a.name.cmp(&b.name));
        }
        format!("{sorted:?}")
    }
}

impl Comparable for FetchResponse {
    fn compared(&self) -> String {
        let mut bare = self.clone();
        let mut batches = String::new();
        for partition in bare
            .responses
            .iter_mut()
            .flat_map(|topic| &mut topic.partitions)
        {
            if let Some(records) = partition.records.take() {
                batches += &format!(" {}", batch::describe(&records));
            }
        }
        format!("{bare:?} records:{batches}")
    }
}
