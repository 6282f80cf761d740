//! One record, one identity: a queue is a topic.

use bytes::Bytes;
use levada_engine::{AppendEntry, NewTopic, TopicRef};
use levada_model::Offset;
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};

use crate::support::{Cell, bodies};

fn batch(compression: Compression, values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for value in values {
        builder.push(&NewRecord {
            timestamp_ms: 1,
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        });
    }
    builder.finish(Producer::NONE).unwrap()
}

async fn append(cell: &Cell, partition: i32, records: Bytes) {
    let entry = AppendEntry {
        topic: TopicRef::Name("t".into()),
        partition,
        records,
    };
    for result in cell.engine.submit(vec![entry]).await.await {
        result.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_becomes_a_queue_and_keeps_its_records_for_both() {
    let cell = Cell::start().await;
    let topic = NewTopic {
        name: "t".into(),
        partitions: Some(3),
        configs: vec![("retention.ms".into(), "-1".into())],
        ..NewTopic::default()
    };
    cell.engine.create_topic(topic).await.unwrap();
    append(&cell, 0, batch(Compression::None, &["a", "b"])).await;
    append(&cell, 2, batch(Compression::Zstd, &["c", "d"])).await;
    cell.queue("t", &[]).await;
    assert_eq!(cell.counts("t"), (4, 0, 0));
    let received = cell.receive("t").await;
    let mut got = bodies(&received);
    got.sort();
    assert_eq!(got, ["a", "b", "c", "d"]);
    for message in &received {
        cell.acknowledge("t", message).await.unwrap();
    }
    cell.pass(60).await;
    assert!(cell.receive("t").await.is_empty());
    // Kafka's readers still find them.
    let sizes = cell.engine.log_sizes(&TopicRef::Name("t".into()));
    assert!(sizes[0].1 > 0 && sizes[2].1 > 0, "{sizes:?}");

    cell.engine.delete_queue("t").await.unwrap();
    assert!(cell.engine.queue("t").is_err());
    assert!(cell.engine.topic(&TopicRef::Name("t".into())).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_made_as_one_goes_with_its_topic() {
    let cell = Cell::start().await;
    cell.queue("t", &[]).await;
    assert_eq!(cell.engine.queue_names("", None, 10), ["t"]);
    cell.send("t", "a").await;
    cell.engine.delete_queue("t").await.unwrap();
    assert!(cell.engine.topic(&TopicRef::Name("t".into())).is_none());
    assert!(cell.engine.queue_names("", None, 10).is_empty());
}

#[tokio::test(start_paused = true)]
async fn records_that_kafka_deletes_are_gone_from_the_queue() {
    let cell = Cell::start().await;
    cell.queue("t", &[("retention.ms", "-1")]).await;
    append(&cell, 0, batch(Compression::None, &["a", "b"])).await;
    let topic = TopicRef::Name("t".into());
    cell.engine
        .delete_records(&topic, 0, Some(Offset(1)))
        .await
        .unwrap();
    assert_eq!(cell.counts("t"), (1, 0, 0));
    assert_eq!(cell.bodies("t").await, ["b"]);
}
