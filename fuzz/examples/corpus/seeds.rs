//! Seeds: real messages, batches, logs and texts from our own encoders.

use std::collections::BTreeMap;

use bytes::Bytes;
use levada_catalog::IndexEntry;
use levada_fuzz::network::answers::TOPIC;
use levada_fuzz::network::connection::frame;
use levada_fuzz::network::messages::{ANSWER, REQUEST};
use levada_fuzz::{disk, text};
use levada_model::{Extent, Offset, SegmentId, batch::HEADER_BYTES};
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::messages::*;
use levada_wire_kafka::sample::{self, Sample, Source};
use levada_wire_kafka::{ApiKey, Message, Records, Request, Writer, for_each_api};

/// Of random messages the largest below this is taken.
const SAMPLE_BYTES_MAX: usize = 160;
const SAMPLES: u64 = 8;

/// Inputs by the target's name.
pub type Seeds = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// The seeds of every target.
pub fn all() -> Seeds {
    let mut seeds = Seeds::new();
    messages(&mut seeds);
    conversations(&mut seeds);
    proxies(&mut seeds);
    let (json, forms) = levada_fuzz::network::queues::seeds();
    seeds.insert("sqs_json", json);
    seeds.insert("sqs_form", forms);
    seeds.insert("sqs_unsigned", levada_fuzz::network::strangers::seeds());
    seeds.insert("sqs_policy", text::policy::seeds());
    batches(&mut seeds);
    stored(&mut seeds);
    seeds.insert("config", text::config::seeds());
    seeds.insert("command_line", text::command_line::seeds());
    seeds
}

fn body<M: Message>(message: &M, version: i16) -> Bytes {
    let mut writer = Writer::new();
    message.encode(&mut writer, version);
    writer.finish().into_bytes()
}

/// A message with much in it that is still small.
fn sampled<M: Message + Sample>(version: i16) -> M {
    let all = (0..SAMPLES).map(|seed| sample::message::<M>(&mut Source::new(seed), version));
    let size = |message: &M| body(message, version).len();
    all.filter(|message| size(message) <= SAMPLE_BYTES_MAX)
        .max_by_key(size)
        .unwrap_or_else(sample::unfolded)
}

fn head(kind: u8, key: ApiKey, version: i16) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(key.code().to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes
}

fn both<M: Request + Sample>(version: i16, out: &mut Vec<Vec<u8>>)
where
    M::Response: Sample,
{
    let mut writer = Writer::new();
    RequestHeader {
        api_key: M::KEY.code(),
        api_version: version,
        correlation_id: 1,
        client_id: Some("me".into()),
    }
    .encode(&mut writer);
    sampled::<M>(version).encode(&mut writer, version);
    out.push(
        [
            head(REQUEST, M::KEY, version),
            writer.finish().into_bytes().to_vec(),
        ]
        .concat(),
    );
    let mut writer = Writer::new();
    ResponseHeader { correlation_id: 1 }.encode(&mut writer, M::KEY, version);
    sampled::<M::Response>(version).encode(&mut writer, version);
    out.push(
        [
            head(ANSWER, M::KEY, version),
            writer.finish().into_bytes().to_vec(),
        ]
        .concat(),
    );
}

/// First byte of `kafka_connection`: sent in one piece.
const WHOLE: u8 = 0;

macro_rules! every_api {
    ($($key:ident, $versions:expr, $advertised:expr, $request:ident => $response:ident;)*) => {
        fn messages(seeds: &mut Seeds) {
            let out = seeds.entry("kafka_messages").or_default();
            $(for version in [*$versions.start(), *$versions.end()] {
                both::<$request>(version, out);
            })*
            let out = seeds.entry("kafka_connection").or_default();
            $({
                let version = *$versions.end();
                let sent = frame(ApiKey::$key, version, 1, &sampled::<$request>(version));
                out.push([&[WHOLE], &sent[..]].concat());
            })*
        }
    };
}

for_each_api!(every_api);

fn a_batch(compression: Compression, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for value in values {
        builder.push(&NewRecord {
            timestamp_ms: 1_700_000_000_000,
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            headers: &[("h", Some(b"x")), ("n", None)],
        });
    }
    builder.finish(Producer::NONE).expect("records fit")
}

fn produce(records: Bytes) -> ProduceRequest {
    ProduceRequest {
        acks: -1,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: TOPIC.into(),
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(Records::from(records)),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn fetch() -> FetchRequest {
    FetchRequest {
        max_wait_ms: 5,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: TOPIC.into(),
            partitions: vec![FetchPartition {
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn join() -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"),
        }],
        ..Default::default()
    }
}

/// Whole exchanges: what a client says, and what a broker answers to ours.
fn conversations(seeds: &mut Seeds) {
    let batch = a_batch(Compression::None, &["one", "two"]);
    let metadata = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(TOPIC.into()),
            ..Default::default()
        }]),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    let said = [
        frame(ApiKey::Metadata, 9, 1, &metadata),
        frame(ApiKey::Produce, 9, 2, &produce(batch.clone())),
        frame(ApiKey::Fetch, 11, 3, &fetch()),
        frame(ApiKey::JoinGroup, 5, 4, &join()),
    ]
    .concat();
    let out = seeds.entry("kafka_connection").or_default();
    for piece in [WHOLE, 3, 100] {
        out.push([&[piece], &said[..]].concat());
    }
    let fetched = FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic_id: levada_wire_kafka::Uuid([7; 16]),
            partitions: vec![PartitionData {
                high_watermark: 9,
                records: Some(Records::from(batch)),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let newest = |key: ApiKey| *key.valid_versions().expect("we speak it").end();
    let answers = [
        (0, body(&fetched, newest(ApiKey::Fetch))),
        (2, body(&sampled::<DescribeGroupsResponse>(6), 6)),
        (3, body(&sampled::<ListGroupsResponse>(5), 5)),
        (4, body(&sampled::<OffsetFetchResponse>(10), 10)),
        (5, body(&sampled::<DescribeConfigsResponse>(4), 4)),
        (6, body(&sampled::<ListOffsetsResponse>(11), 11)),
        (7, body(&sampled::<DescribeLogDirsResponse>(4), 4)),
        (8, body(&sampled::<JoinGroupResponse>(9), 9)),
    ];
    let out = seeds.entry("client_answers").or_default();
    for (call, answer) in answers {
        let mut input = vec![call, 0];
        for _ in 0..2 {
            input.extend((answer.len() as u16).to_be_bytes());
            input.extend(&answer);
        }
        out.push(input);
    }
    for kind in [0, 1] {
        let answer = match kind {
            0 => body(&sampled::<ApiVersionsResponse>(4), 4),
            _ => body(&sampled::<MetadataResponse>(13), 13),
        };
        out.push(
            [
                &[kind, 1],
                &(answer.len() as u16).to_be_bytes()[..],
                &answer,
            ]
            .concat(),
        );
    }
}

fn proxies(seeds: &mut Seeds) {
    let v2 = |family: u8, addresses: &[u8]| {
        let signature = b"\r\n\r\n\0\r\nQUIT\n";
        let length = (addresses.len() as u16).to_be_bytes();
        [&signature[..], &[0x21, family], &length, addresses].concat()
    };
    seeds.insert(
        "proxy_header",
        vec![
            b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 9092\r\nrest".to_vec(),
            b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 9092\r\n".to_vec(),
            b"PROXY UNKNOWN\r\n".to_vec(),
            v2(0x11, &[192, 0, 2, 7, 198, 51, 100, 1, 19, 136, 35, 132]),
            v2(0x21, &[[7; 32].to_vec(), vec![1, 2, 3, 4, 5]].concat()),
            v2(0x00, &[]),
        ],
    );
}

fn batches(seeds: &mut Seeds) {
    let out = seeds.entry("record_batch").or_default();
    for compression in Compression::ALL {
        let batch = a_batch(compression, &["one", "two", "three"]);
        out.push([&[0], &batch[..], &batch[..]].concat());
        let kind = compression.id() as u8 + 1;
        out.push([&[kind, 2, 3], &batch[HEADER_BYTES..]].concat());
    }
    out.push(b"\x06some bytes that repeat, repeat, repeat".to_vec());
}

fn stored(seeds: &mut Seeds) {
    let records = disk::folder::logged_records();
    let framed = |records: &[Bytes]| {
        let pieces = records.iter().map(|record| {
            let length = (record.len() as u16).to_be_bytes();
            [&length[..], record].concat()
        });
        pieces.collect::<Vec<_>>().concat()
    };
    seeds.insert("commands", vec![framed(&records[..8]), framed(&records)]);
    let snapshots = disk::folder::snapshots();
    let snapshots = snapshots
        .iter()
        .flat_map(|snapshot| [0, 1].map(|choice| [&[choice], &snapshot[..]].concat()));
    seeds.insert("snapshot", snapshots.collect());
    let edits: [&[u8]; 5] = [
        &[0],
        &[0, 0, 0, 0, 0, 9, 1, 0],
        &[1, 0, 2, 0, 0, 32, 0, 0x10],
        &[1, 1, 3, 0, 0x20, 0, 0, 0, 2, 0, 0, 0, 40, 7, 0],
        &[1, 200, 1, 0, 0, 60, 3, 0],
    ];
    let raw = [&[disk::folder::RAW], &disk::folder::log_beginning(1)[..]].concat();
    let edits = edits.map(<[u8]>::to_vec).into_iter().chain([raw]);
    seeds.insert("data_folder", edits.collect());
    let entry = |n: i64| IndexEntry {
        base: Offset(n * 10),
        offset_count: 10,
        extent: Extent {
            segment: SegmentId(n as u64 * 4096),
            position: 64,
            length: 500,
        },
        max_timestamp_ms: 1_700_000_000_000 + n,
        append_time_ms: (n % 2 == 0).then_some(1_700_000_000_000),
    };
    let run = levada_engine::testing::encode_index_run(&(0..4).map(entry).collect::<Vec<_>>());
    let unsealed = [&[1], &run[..run.len() - 4]].concat();
    seeds.insert("index_run", vec![[&[0], &run[..]].concat(), unsealed]);
}
