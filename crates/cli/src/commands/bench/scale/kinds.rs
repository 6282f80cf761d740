//! The loads: topics to create, partitions to write to, groups that commit.

use bytes::Bytes;
use levada_wire_kafka::messages::{
    CreatableTopic, CreateTopicsRequest, CreateTopicsResponse, OffsetCommitRequest,
    OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use levada_wire_kafka::{ErrorCode, KStr, Records};

use super::pipeline::Load;
use super::topic_name;

const TIMEOUT_MS: i32 = 60_000;
/// Topics of one CreateTopics request.
const TOPICS_A_REQUEST: u32 = 1000;

fn code(number: i16) -> String {
    ErrorCode::try_from(number).map_or_else(
        |code| format!("error code {code}"),
        |code| code.name().to_owned(),
    )
}

/// Topics, up to a thousand a request.
pub struct CreateTopics {
    topics: u32,
    partitions: u32,
}

impl CreateTopics {
    pub fn new(topics: u32, partitions: u32) -> Self {
        Self { topics, partitions }
    }

    fn numbers(&self, request: u64) -> std::ops::Range<u32> {
        let first = (request as u32).saturating_mul(TOPICS_A_REQUEST);
        first..first.saturating_add(TOPICS_A_REQUEST).min(self.topics)
    }
}

impl Load for CreateTopics {
    type Request = CreateTopicsRequest;

    fn kind(&self) -> &'static str {
        "scale create"
    }

    fn units(&self) -> u64 {
        self.topics.into()
    }

    fn requests(&self) -> u64 {
        self.topics.div_ceil(TOPICS_A_REQUEST).into()
    }

    fn request(&self, number: u64) -> CreateTopicsRequest {
        let topic = |number: u32| CreatableTopic {
            name: KStr::from(topic_name(number)),
            num_partitions: self.partitions as i32,
            replication_factor: -1,
            ..Default::default()
        };
        CreateTopicsRequest {
            topics: self.numbers(number).map(topic).collect(),
            timeout_ms: TIMEOUT_MS,
            validate_only: false,
        }
    }

    fn check(&self, number: u64, answer: CreateTopicsResponse) -> Result<u64, String> {
        for topic in &answer.topics {
            if topic.error_code != 0 {
                let why = topic.error_message.as_deref().unwrap_or_default();
                return Err(format!("{}: {} {why}", topic.name, code(topic.error_code)));
            }
        }
        match answer.topics.len() == self.numbers(number).len() {
            true => Ok(answer.topics.len() as u64),
            false => Err(format!("{} topics answered", answer.topics.len())),
        }
    }
}

/// One batch to each partition in turn: the same number of every topic, then the next.
pub struct Spread {
    names: Vec<KStr>,
    partitions: u32,
    count: u64,
    batch: Bytes,
}

impl Spread {
    pub fn new(topics: u32, partitions: u32, count: u64, batch: Bytes) -> Self {
        Self {
            names: (0..topics).map(|n| KStr::from(topic_name(n))).collect(),
            partitions,
            count,
            batch,
        }
    }

    fn place(&self, number: u64) -> (KStr, i32) {
        let topics = self.names.len() as u64;
        let name = self.names.get((number % topics) as usize);
        let partition = (number / topics) % u64::from(self.partitions);
        (name.cloned().unwrap_or_default(), partition as i32)
    }
}

impl Load for Spread {
    type Request = ProduceRequest;

    fn kind(&self) -> &'static str {
        "scale produce"
    }

    fn units(&self) -> u64 {
        self.count
    }

    fn requests(&self) -> u64 {
        self.count
    }

    fn request(&self, number: u64) -> ProduceRequest {
        let (name, index) = self.place(number);
        ProduceRequest {
            transactional_id: None,
            acks: -1,
            timeout_ms: TIMEOUT_MS,
            topic_data: vec![TopicProduceData {
                name,
                partition_data: vec![PartitionProduceData {
                    index,
                    records: Some(Records::from(self.batch.clone())),
                }],
                ..Default::default()
            }],
        }
    }

    fn check(&self, number: u64, answer: ProduceResponse) -> Result<u64, String> {
        let (name, index) = self.place(number);
        let topic = answer.responses.first();
        let found = topic.and_then(|topic| topic.partition_responses.first());
        match found {
            Some(found) if found.index != index => {
                Err(format!("the answer is for partition {}", found.index))
            }
            Some(found) if found.error_code != 0 => {
                Err(format!("{name}-{index}: {}", code(found.error_code)))
            }
            Some(_) => Ok(1),
            None => Err("the answer is empty".to_owned()),
        }
    }
}

/// Groups without members that commit one offset each.
pub struct CommitOffsets {
    pub groups: u64,
    pub topics: u32,
}

impl Load for CommitOffsets {
    type Request = OffsetCommitRequest;

    fn kind(&self) -> &'static str {
        "scale groups"
    }

    fn units(&self) -> u64 {
        self.groups
    }

    fn requests(&self) -> u64 {
        self.groups
    }

    fn request(&self, number: u64) -> OffsetCommitRequest {
        let topic = (number % u64::from(self.topics)) as u32;
        OffsetCommitRequest {
            group_id: KStr::from(format!("scale-group-{number:07}")),
            topics: vec![OffsetCommitRequestTopic {
                name: KStr::from(topic_name(topic)),
                partitions: vec![OffsetCommitRequestPartition::default()],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn check(&self, _: u64, answer: OffsetCommitResponse) -> Result<u64, String> {
        let topic = answer.topics.first();
        match topic.and_then(|topic| topic.partitions.first()) {
            Some(found) if found.error_code == 0 => Ok(1),
            Some(found) => Err(code(found.error_code)),
            None => Err("the answer is empty".to_owned()),
        }
    }
}
