//! Fetch: every version, offsets outside the log, limits, sessions, epochs.

use levada_wire_kafka::messages::*;

use super::{TOPIC, UNKNOWN};
use crate::session::Session;

/// A request for one partition of one topic, without a session.
pub fn one(session: &Session, topic: &str, partition: i32, fetch_offset: i64) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.into(),
            topic_id: session.topic_id(topic),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            }],
        }],
        ..FetchRequest::default()
    }
}

pub fn run(session: &mut Session) {
    session.every_version("from 30", |session, _| one(session, TOPIC, 0, 30));
    for (what, topic, partition, offset) in [
        ("from 0", TOPIC, 0, 0),
        ("inside a batch", TOPIC, 0, 31),
        ("the other partition", TOPIC, 1, 0),
        ("at the end", TOPIC, 0, 45),
        ("beyond the end", TOPIC, 0, 1_000_000),
        ("a negative offset", TOPIC, 0, -1),
        ("unknown partition", TOPIC, 99, 0),
        ("idempotent", "idempotent", 0, 0),
        ("append time", "stamped", 0, 0),
        ("compacted", "compacted", 0, 0),
    ] {
        let request = one(session, topic, partition, offset);
        session.call(what, 12, &request);
        session.call(what, 13, &request);
    }
    let request = one(session, UNKNOWN, 0, 0);
    session.call("unknown topic", 12, &request);
    session.call("no topic id", 13, &request);
    repeats(session);
    limits(session);
    epochs(session);
    sessions(session);
}

/// The same place named again, in one topic and in two.
fn repeats(session: &mut Session) {
    let base = one(session, TOPIC, 0, 30);
    let mut request = base.clone();
    let mut again = request.topics[0].partitions[0].clone();
    again.fetch_offset = 40;
    request.topics[0].partitions.push(again);
    session.call("a partition named twice", 12, &request);
    session.call("a partition named twice", 13, &request);
    let mut request = base.clone();
    request.topics.extend(one(session, TOPIC, 1, 0).topics);
    request.topics.extend(one(session, TOPIC, 0, 40).topics);
    session.call("a topic named three times", 12, &request);
}

fn limits(session: &mut Session) {
    let base = one(session, TOPIC, 0, 0);
    for (what, max_bytes, partition_max_bytes) in [
        ("max_bytes 1", 1, 1 << 20),
        ("partition_max_bytes 1", 1 << 20, 1),
        ("both 1", 1, 1),
    ] {
        let mut request = FetchRequest {
            max_bytes,
            ..base.clone()
        };
        request.topics[0].partitions[0].partition_max_bytes = partition_max_bytes;
        session.call(what, 12, &request);
    }
    let committed = FetchRequest {
        isolation_level: 1,
        ..one(session, TOPIC, 0, 30)
    };
    session.call("read committed", 12, &committed);
    let odd = FetchRequest {
        isolation_level: 7,
        ..one(session, TOPIC, 0, 30)
    };
    session.call("isolation level 7", 12, &odd);
    let none = FetchRequest {
        topics: Vec::new(),
        ..base
    };
    session.call("no topics", 12, &none);
}

fn epochs(session: &mut Session) {
    for epoch in [0, 1, 99, -2] {
        let mut request = one(session, TOPIC, 0, 30);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        session.call(&format!("current epoch {epoch}"), 12, &request);
    }
    for epoch in [0, 1, 99] {
        let mut request = one(session, TOPIC, 0, 30);
        request.topics[0].partitions[0].last_fetched_epoch = epoch;
        session.call(&format!("last fetched epoch {epoch}"), 12, &request);
    }
}

fn sessions(session: &mut Session) {
    let with = |request: FetchRequest, session_id, session_epoch| FetchRequest {
        session_id,
        session_epoch,
        ..request
    };
    let request = with(one(session, TOPIC, 0, 30), 123_456, 1);
    session.call("a session nobody knows", 12, &request);
    let request = with(one(session, TOPIC, 0, 30), 0, 5);
    session.call("no session with an epoch", 12, &request);
    let request = with(one(session, TOPIC, 0, 30), 123_456, -1);
    session.call("a session nobody knows, to close", 12, &request);
}
