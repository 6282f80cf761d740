//! Produce: every version, spoilt batches, idempotent sequences, acks and limits.

use bytes::Bytes;
use levada_records::{Compression, Producer};
use levada_wire_kafka::messages::*;

use super::topics::make;
use super::{FIRST_MS, TOPIC, UNKNOWN};
use crate::batch::{self, ATTRIBUTES_AT, LAST_OFFSET_DELTA_AT, LENGTH_AT, MAGIC_AT};
use crate::session::Session;

/// A request with one batch for one partition.
pub fn one(session: &Session, topic: &str, index: i32, records: Option<Bytes>) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 5000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            topic_id: session.topic_id(topic),
            partition_data: vec![PartitionProduceData {
                index,
                records: records.map(Into::into),
            }],
        }],
    }
}

fn send(session: &mut Session, what: &str, topic: &str, index: i32, records: Bytes) {
    let request = one(session, topic, index, Some(records));
    session.call(what, 9, &request);
}

pub fn run(session: &mut Session) {
    session.every_version("three records", |session, version| {
        one(
            session,
            TOPIC,
            0,
            Some(batch::plain(3, FIRST_MS + i64::from(version) * 1000)),
        )
    });
    for name in ["gzip", "snappy", "lz4", "zstd"] {
        let codec = (0..5)
            .filter_map(Compression::from_id)
            .find(|codec| codec.name() == name);
        let codec = codec.unwrap_or(Compression::None);
        let records = batch::build(3, FIRST_MS + 50_000, codec, Producer::NONE);
        send(session, name, TOPIC, 0, records);
    }
    refused(session);
    spoilt(session);
    idempotent(session);
    limits(session);
}

fn refused(session: &mut Session) {
    let good = || batch::plain(1, FIRST_MS);
    send(session, "unknown topic", UNKNOWN, 0, good());
    // For what only one of the brokers may take.
    make(session, "aside", 1, &[]);
    let request = one(session, UNKNOWN, 0, Some(good()));
    session.call("unknown id", 13, &request);
    send(session, "unknown partition", TOPIC, 99, good());
    send(session, "negative partition", TOPIC, -1, good());
    for acks in [1, 2, -2] {
        let request = ProduceRequest {
            acks,
            ..one(session, TOPIC, 1, Some(good()))
        };
        session.call(&format!("acks {acks}"), 9, &request);
    }
    let request = one(session, TOPIC, 1, None);
    session.call("no records", 9, &request);
    send(session, "empty records", TOPIC, 1, Bytes::new());
    let request = ProduceRequest {
        transactional_id: Some("tx".into()),
        ..one(session, "aside", 0, Some(good()))
    };
    session.call("a transactional id and a plain batch", 9, &request);
    let empty = ProduceRequest {
        acks: -1,
        timeout_ms: 1000,
        ..ProduceRequest::default()
    };
    session.call("no topics", 9, &empty);
}

fn spoilt(session: &mut Session) {
    let good = batch::plain(3, FIRST_MS);
    let two = |batch: &Bytes| Bytes::from([&batch[..], &batch[..]].concat());
    let cases: &[(&str, Bytes)] = &[
        ("wrong CRC", batch::spoil(&good, good.len() - 1, b"x")),
        ("magic 1", batch::spoil(&good, MAGIC_AT, &[1])),
        ("magic 0", batch::spoil(&good, MAGIC_AT, &[0])),
        ("magic 3", batch::spoil(&good, MAGIC_AT, &[3])),
        (
            "length too large",
            batch::spoil(&good, LENGTH_AT, &9999_i32.to_be_bytes()),
        ),
        (
            "length too small",
            batch::spoil(&good, LENGTH_AT, &10_i32.to_be_bytes()),
        ),
        (
            "negative length",
            batch::spoil(&good, LENGTH_AT, &(-1_i32).to_be_bytes()),
        ),
        ("cut short", good.slice(..good.len() - 5)),
        ("only a header's start", good.slice(..20)),
        (
            "garbage after it",
            Bytes::from([&good[..], &[1, 2, 3]].concat()),
        ),
        ("two batches", two(&good)),
        (
            "base offset 7",
            batch::spoil(&good, 0, &7_i64.to_be_bytes()),
        ),
        (
            "a control batch",
            batch::rewrite(&good, ATTRIBUTES_AT, &0x20_i16.to_be_bytes()),
        ),
        (
            "a transactional batch",
            batch::rewrite(&good, ATTRIBUTES_AT, &0x10_i16.to_be_bytes()),
        ),
        (
            "unknown compression",
            batch::rewrite(&good, ATTRIBUTES_AT, &7_i16.to_be_bytes()),
        ),
        (
            "not gzip at all",
            batch::rewrite(&good, ATTRIBUTES_AT, &1_i16.to_be_bytes()),
        ),
        (
            "append time from a client",
            batch::rewrite(&good, ATTRIBUTES_AT, &8_i16.to_be_bytes()),
        ),
        (
            "wrong last offset delta",
            batch::rewrite(&good, LAST_OFFSET_DELTA_AT, &9_i32.to_be_bytes()),
        ),
        (
            "wrong count",
            batch::rewrite(&good, 57, &9_i32.to_be_bytes()),
        ),
        (
            "negative count",
            batch::rewrite(&good, 57, &(-1_i32).to_be_bytes()),
        ),
        ("no record", batch::rewrite(&good, 57, &0_i32.to_be_bytes())),
    ];
    // Each in a partition of its own, so that one that is taken does not move the others.
    make(
        session,
        "spoilt",
        i32::try_from(cases.len()).unwrap_or(1),
        &[],
    );
    for (index, (what, records)) in (0..).zip(cases) {
        send(session, what, "spoilt", index, records.clone());
    }
}

fn idempotent(session: &mut Session) {
    make(session, "idempotent", 1, &[]);
    let init = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    session.until(4, &init, |answer| answer.error_code == 0);
    session.every_version("", |_, _| init.clone());
    let Some(answer) = session.call("for the sequences", 4, &init) else {
        return;
    };
    let id = answer.producer_id;
    let from = |epoch, base_sequence, count| {
        let producer = Producer {
            id,
            epoch,
            base_sequence,
        };
        batch::build(count, FIRST_MS, Compression::None, producer)
    };
    for (what, epoch, sequence, count) in [
        ("sequence 0", 0, 0, 2),
        ("sequence 2", 0, 2, 2),
        ("sequence 2 again", 0, 2, 2),
        ("sequence 0 again", 0, 0, 2),
        ("a gap", 0, 10, 1),
        ("half a duplicate", 0, 2, 1),
        ("sequence 4", 0, 4, 1),
        ("sequence 5", 0, 5, 1),
        ("sequence 6", 0, 6, 1),
        ("sequence 7", 0, 7, 1),
        ("sequence 8", 0, 8, 1),
        ("a duplicate outside the window", 0, 0, 2),
        ("a duplicate at the window's edge", 0, 4, 1),
        ("the next epoch, not from 0", 1, 9, 1),
        ("the next epoch from 0", 1, 0, 1),
        ("the old epoch", 0, 9, 1),
        ("negative sequence", 1, -5, 1),
    ] {
        send(session, what, "idempotent", 0, from(epoch, sequence, count));
    }
    strangers(session);
}

/// Producers that the broker has no state of.
fn strangers(session: &mut Session) {
    let unknown = Producer {
        id: 987_654_321,
        epoch: 0,
        base_sequence: 5,
    };
    let records = batch::build(1, FIRST_MS, Compression::None, unknown);
    send(
        session,
        "a producer nobody knows, from 5",
        "idempotent",
        0,
        records,
    );
    let wraps = Producer {
        id: 987_654_322,
        epoch: 3,
        base_sequence: i32::MAX,
    };
    let records = batch::build(2, FIRST_MS, Compression::None, wraps);
    send(
        session,
        "a sequence that wraps inside a batch",
        "idempotent",
        0,
        records,
    );
    let wraps = Producer {
        base_sequence: 1,
        ..wraps
    };
    let records = batch::build(1, FIRST_MS, Compression::None, wraps);
    send(session, "after the wrap", "idempotent", 0, records);
}

/// InitProducerId of a producer that exists, which needs a transactional id.
pub fn bumps(session: &mut Session) {
    let init = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let Some(answer) = session.call("to be bumped", 4, &init) else {
        return;
    };
    let id = answer.producer_id;
    let bump = |producer_id, producer_epoch| InitProducerIdRequest {
        producer_id,
        producer_epoch,
        ..init.clone()
    };
    session.call("bump without a transactional id", 4, &bump(id, 0));
    session.call("bump with an epoch only", 4, &bump(-1, 0));
    session.call(
        "empty transactional id",
        4,
        &InitProducerIdRequest {
            transactional_id: Some("".into()),
            ..init.clone()
        },
    );
}

fn limits(session: &mut Session) {
    make(session, "small", 1, &[("max.message.bytes", Some("1000"))]);
    let value = |bytes: usize| batch::single(&vec![b'x'; bytes], FIRST_MS, Producer::NONE);
    send(session, "within max.message.bytes", "small", 0, value(800));
    send(session, "over max.message.bytes", "small", 0, value(2000));
    send(
        session,
        "over the default maximum",
        TOPIC,
        1,
        value(1_200_000),
    );
    make(
        session,
        "compacted",
        2,
        &[("cleanup.policy", Some("compact"))],
    );
    send(
        session,
        "no key on a compacted topic",
        "compacted",
        1,
        value(5),
    );
    send(
        session,
        "a key on a compacted topic",
        "compacted",
        0,
        batch::plain(1, FIRST_MS),
    );
    times(session);
}

/// What a topic makes of a record's time.
fn times(session: &mut Session) {
    make(
        session,
        "stamped",
        1,
        &[("message.timestamp.type", Some("LogAppendTime"))],
    );
    send(
        session,
        "append time",
        "stamped",
        0,
        batch::plain(2, FIRST_MS),
    );
    make(
        session,
        "strict",
        1,
        &[("message.timestamp.before.max.ms", Some("1000"))],
    );
    send(
        session,
        "a time too long ago",
        "strict",
        0,
        batch::plain(1, FIRST_MS),
    );
    make(
        session,
        "strict-after",
        1,
        &[("message.timestamp.after.max.ms", Some("1000"))],
    );
    send(
        session,
        "a time too far ahead",
        "strict-after",
        0,
        batch::plain(1, 32_503_680_000_000),
    );
    send(
        session,
        "a negative time",
        "stamped",
        0,
        batch::plain(1, -1),
    );
}
