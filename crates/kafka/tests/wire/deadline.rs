//! A storage that takes longer than a client lets it.

use std::sync::Arc;

use levada_engine::EngineSettings;
use levada_engine::testing::{SlowLog, engine_on};
use levada_env::Env;
use levada_kafka::KafkaSettings;
use levada_net::ListenerSettings;
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};
use levada_wire_kafka::messages::*;
use levada_wire_kafka::{ErrorCode, KStr};

use crate::support::*;

/// Long enough for nothing on the way to take it, short enough to wait for.
const TIMEOUT_MS: i32 = 50;
const LATE: i16 = ErrorCode::RequestTimedOut.code();

/// A service with the topic `t`, and the log that it stands on.
async fn start_slow() -> (Service, SlowLog, Client) {
    let log = SlowLog::default();
    let (env, settings) = (Env::real(), EngineSettings::default());
    let engine = engine_on(env, settings, Arc::default(), log.clone()).await;
    let service = serve(
        engine,
        KafkaSettings::default(),
        ListenerSettings::default(),
    )
    .await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    (service, log, client)
}

fn within(timeout_ms: i32, acks: i16, records: bytes::Bytes) -> ProduceRequest {
    ProduceRequest {
        timeout_ms,
        ..produce("t", 0, acks, records)
    }
}

#[tokio::test]
async fn a_late_append_is_told_as_such_and_written_all_the_same() {
    let (_service, log, mut client) = start_slow().await;
    log.stall(true);
    let late = client.call(&within(TIMEOUT_MS, -1, batch(&["v"])), 9).await;
    assert_eq!(produced(&late).error_code, LATE, "{late:?}");
    assert_eq!(produced(&late).base_offset, -1);
    log.stall(false);
    let next = client.call(&within(TIMEOUT_MS, -1, batch(&["w"])), 9).await;
    assert_eq!(
        (produced(&next).error_code, produced(&next).base_offset),
        (0, 1)
    );
    let read = client.call(&fetch("t", 0, 0), 12).await;
    assert_eq!(values(fetched(&read)), ["v", "w"]);
}

#[tokio::test]
async fn a_retry_of_a_late_append_is_found_by_its_sequence() {
    let (_service, log, mut client) = start_slow().await;
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord {
        timestamp_ms: 1_700_000_000_000,
        value: Some(b"v"),
        ..NewRecord::default()
    });
    let numbered = builder.finish(Producer {
        id: 7,
        epoch: 0,
        base_sequence: 0,
    });
    let numbered = numbered.unwrap();
    log.stall(true);
    let late = client
        .call(&within(TIMEOUT_MS, -1, numbered.clone()), 9)
        .await;
    assert_eq!(produced(&late).error_code, LATE, "{late:?}");
    client.send(&within(20_000, -1, numbered), 9).await;
    log.stall(false);
    let id = client.correlation_id;
    let again = client.receive::<ProduceRequest>(9, id).await;
    assert_eq!(
        (produced(&again).error_code, produced(&again).base_offset),
        (0, 0)
    );
    let read = client.call(&fetch("t", 0, 0), 12).await;
    assert_eq!(values(fetched(&read)), ["v"]);
}

#[tokio::test]
async fn only_acks_all_with_a_limit_is_ever_late() {
    let (service, log, mut client) = start_slow().await;
    log.stall(true);
    let mut patient = Vec::new();
    for (timeout_ms, acks) in [(1, 1), (0, -1), (-1, -1)] {
        client
            .send(&within(timeout_ms, acks, batch(&["v"])), 9)
            .await;
        patient.push(client.correlation_id);
    }
    // One that is late says that the others' time has passed as well.
    let mut other = service.connect().await;
    let late = other.call(&within(TIMEOUT_MS, -1, batch(&["w"])), 9).await;
    assert_eq!(produced(&late).error_code, LATE, "{late:?}");
    log.stall(false);
    let mut offsets = Vec::new();
    for id in patient {
        let answer = client.receive::<ProduceRequest>(9, id).await;
        assert_eq!(produced(&answer).error_code, 0, "{answer:?}");
        offsets.push(produced(&answer).base_offset);
    }
    assert!(offsets.is_sorted() && offsets[0] >= 0, "{offsets:?}");
}

#[tokio::test]
async fn changes_of_topics_that_are_late_are_told_as_such_and_done_all_the_same() {
    let (_service, log, mut client) = start_slow().await;
    client.call(&metadata(&["old"]), 9).await;
    client.call(&within(20_000, -1, batch(&["v"])), 9).await;
    log.stall(true);
    let create = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: KStr::from_static("new"),
            num_partitions: 1,
            replication_factor: -1,
            ..Default::default()
        }],
        timeout_ms: TIMEOUT_MS,
        ..Default::default()
    };
    let late = client.call(&create, 7).await;
    assert_eq!(late.topics[0].error_code, LATE, "{late:?}");
    let grow = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: KStr::from_static("t"),
            count: 2,
            assignments: None,
        }],
        timeout_ms: TIMEOUT_MS,
        validate_only: false,
    };
    let late = client.call(&grow, 3).await;
    assert_eq!(late.results[0].error_code, LATE, "{late:?}");
    let remove = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: KStr::from_static("t"),
            partitions: vec![DeleteRecordsPartition {
                partition_index: 0,
                offset: 1,
            }],
        }],
        timeout_ms: TIMEOUT_MS,
    };
    let late = client.call(&remove, 2).await;
    assert_eq!(late.topics[0].partitions[0].error_code, LATE, "{late:?}");
    let delete = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: Some(KStr::from_static("old")),
            ..Default::default()
        }],
        timeout_ms: TIMEOUT_MS,
        ..Default::default()
    };
    let late = client.call(&delete, 6).await;
    assert_eq!(late.responses[0].error_code, LATE, "{late:?}");
    log.stall(false);
    // Behind all of them.
    client.call(&metadata(&["last"]), 9).await;
    let all = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    let all = client.call(&all, 9).await;
    let seen = all.topics.iter().map(|topic| {
        let name = topic.name.as_deref().unwrap_or_default();
        (name, topic.partitions.len())
    });
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [("last", 1), ("new", 1), ("t", 2)]
    );
    let read = client.call(&fetch("t", 1, 0), 12).await;
    assert_eq!(fetched(&read).log_start_offset, 1);
}
