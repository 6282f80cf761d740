//! Records in and out, order, long polls, acks.

use levada_kafka::NODE_ID;
use levada_wire_kafka::messages::*;
use levada_wire_kafka::{ErrorCode, KStr};

use crate::support::*;

#[tokio::test]
async fn what_is_produced_is_fetched_from_its_offset() {
    let service = start().await;
    let mut client = service.connect().await;
    let answer = client.call(&metadata(&["flights"]), 9).await;
    assert_eq!(answer.topics[0].error_code, 0);
    let partitions = answer.topics[0].partitions.rows();
    assert_eq!(partitions[0].leader_id, NODE_ID);
    assert_eq!(answer.brokers[0].host, "127.0.0.1");
    assert_eq!(answer.brokers[0].port, i32::from(service.address.port()));

    for (base, text) in [(0, "a"), (2, "b")] {
        let request = produce("flights", 0, -1, batch(&[text, "x"]));
        let answer = client.call(&request, 9).await;
        assert_eq!(produced(&answer).error_code, 0, "{answer:?}");
        assert_eq!(produced(&answer).base_offset, base);
    }
    let answer = client.call(&fetch("flights", 0, 0), 12).await;
    assert_eq!(fetched(&answer).high_watermark, 4);
    assert_eq!(values(fetched(&answer)), ["a", "x", "b", "x"]);
    let answer = client.call(&fetch("flights", 3, 0), 12).await;
    assert_eq!(values(fetched(&answer)), ["b", "x"], "the whole batch");
    let answer = client.call(&fetch("flights", 9, 0), 12).await;
    assert_eq!(
        fetched(&answer).error_code,
        ErrorCode::OffsetOutOfRange.code()
    );
}

#[tokio::test]
async fn every_version_of_metadata_produce_and_fetch_answers() {
    let service = start().await;
    let mut client = service.connect().await;
    let mut count = 0;
    let id = client.call(&metadata(&["t"]), 12).await.topics[0].topic_id;
    for version in 0..=13 {
        let answer = client.call(&metadata(&["t"]), version).await;
        assert_eq!(answer.topics[0].error_code, 0, "{version}");
    }
    for version in 3..=13 {
        let mut request = produce("t", 0, 1, batch(&["v"]));
        request.topic_data[0].topic_id = id;
        let answer = client.call(&request, version).await;
        assert_eq!(produced(&answer).error_code, 0, "{version}: {answer:?}");
        assert_eq!(produced(&answer).base_offset, count);
        count += 1;
    }
    for version in 4..=18 {
        let mut request = fetch("t", 0, 0);
        request.topics[0].topic_id = id;
        let answer = client.call(&request, version).await;
        let got = values(fetched(&answer)).len();
        assert_eq!(got as i64, count, "{version}");
    }
}

#[tokio::test]
async fn answers_keep_the_order_of_their_requests() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    // A fetch that waits, in front of requests that do not.
    client.send(&fetch("t", 0, 10_000), 11).await;
    client.send(&metadata(&["t"]), 9).await;
    client.send(&produce("t", 0, -1, batch(&["v"])), 8).await;
    client.send(&metadata(&["t"]), 9).await;
    let answer = client.receive::<FetchRequest>(11, 2).await;
    assert_eq!(
        values(fetched(&answer)),
        ["v"],
        "woken by the produce behind it"
    );
    client.receive::<MetadataRequest>(9, 3).await;
    client.receive::<ProduceRequest>(8, 4).await;
    client.receive::<MetadataRequest>(9, 5).await;
}

#[tokio::test]
async fn pipelined_batches_keep_their_order() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    let texts: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for text in &texts {
        client.send(&produce("t", 0, 1, batch(&[text])), 9).await;
    }
    for at in 0..texts.len() {
        let answer = client.receive::<ProduceRequest>(9, at as i32 + 2).await;
        assert_eq!(produced(&answer).base_offset, at as i64);
    }
    let answer = client.call(&fetch("t", 0, 0), 11).await;
    assert_eq!(values(fetched(&answer)), texts);
}

#[tokio::test]
async fn what_a_fetch_names_again_is_read_once_from_the_place_named_last() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t", "u"]), 9).await;
    for (topic, text) in [("t", "a"), ("t", "b"), ("u", "c")] {
        client.call(&produce(topic, 0, -1, batch(&[text])), 9).await;
    }
    let mut request = fetch("t", 0, 0);
    request.topics.extend(fetch("u", 0, 0).topics);
    request.topics.extend(fetch("t", 1, 0).topics);
    for _ in 0..1_000 {
        let again = request.topics[1].partitions[0].clone();
        request.topics[1].partitions.push(again);
    }
    let answer = client.call(&request, 12).await;
    let [t, u] = &answer.responses[..] else {
        panic!("two topics were named: {answer:?}");
    };
    assert_eq!((t.partitions.len(), u.partitions.len()), (1, 1));
    assert_eq!(values(&t.partitions[0]), ["b"]);
    assert_eq!(values(&u.partitions[0]), ["c"]);
}

#[tokio::test]
async fn a_long_poll_wakes_when_another_client_produces() {
    let service = start().await;
    let (mut reader, mut writer) = (service.connect().await, service.connect().await);
    writer.call(&metadata(&["t"]), 9).await;
    reader.send(&fetch("t", 0, 60_000), 11).await;
    writer.call(&produce("t", 0, -1, batch(&["v"])), 9).await;
    let answer = reader.receive::<FetchRequest>(11, 1).await;
    assert_eq!(values(fetched(&answer)), ["v"]);
}

#[tokio::test]
async fn acks_0_has_no_answer_and_is_stored_and_its_error_closes_the_connection() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    client.send(&produce("t", 0, 0, batch(&["v"])), 9).await;
    // The next answer is that of the fetch: the produce has none.
    client.send(&fetch("t", 0, 60_000), 11).await;
    let answer = client.receive::<FetchRequest>(11, 3).await;
    assert_eq!(values(fetched(&answer)), ["v"]);
    client
        .send(&produce("nowhere", 0, 0, batch(&["v"])), 9)
        .await;
    client.assert_closed().await;
}

#[tokio::test]
async fn a_drain_answers_long_polls_and_closes() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    client.send(&fetch("t", 0, 60_000), 11).await;
    // The fetch is begun once its bytes are taken out of the budget.
    while service.listener.bytes_in_flight().0 == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(service.listener.drain(PATIENCE).await, 0);
    let answer = client.receive::<FetchRequest>(11, 2).await;
    assert!(values(fetched(&answer)).is_empty());
}

#[tokio::test]
async fn sessions_are_declined() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    let mut request = fetch("t", 0, 0);
    request.session_epoch = 0;
    let answer = client.call(&request, 11).await;
    assert_eq!((answer.error_code, answer.session_id), (0, 0));
    request.session_id = 77;
    request.session_epoch = 1;
    let answer = client.call(&request, 11).await;
    assert_eq!(answer.error_code, ErrorCode::FetchSessionIdNotFound.code());
}

#[tokio::test]
async fn topics_are_found_by_name_and_id_and_wrong_ones_are_named() {
    let service = start().await;
    let mut client = service.connect().await;
    let made = client.call(&metadata(&["t"]), 12).await.topics.remove(0);
    let by_id = |id| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            topic_id: id,
            name: None,
        }]),
        ..Default::default()
    };
    let found = client.call(&by_id(made.topic_id), 12).await;
    assert_eq!(found.topics[0].name, Some(KStr::from_static("t")));
    let unknown = client
        .call(&by_id(levada_wire_kafka::Uuid([9; 16])), 12)
        .await;
    assert_eq!(
        unknown.topics[0].error_code,
        ErrorCode::UnknownTopicId.code()
    );
    let wrong = client.call(&metadata(&["a b"]), 12).await;
    assert_eq!(
        wrong.topics[0].error_code,
        ErrorCode::InvalidTopicException.code()
    );
    let mut absent = metadata(&["absent"]);
    absent.allow_auto_topic_creation = false;
    let absent = client.call(&absent, 12).await;
    assert_eq!(
        absent.topics[0].error_code,
        ErrorCode::UnknownTopicOrPartition.code()
    );
    let all = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    assert_eq!(client.call(&all, 12).await.topics.len(), 1);
    assert_eq!(client.call(&metadata(&[]), 12).await.topics.len(), 0);
    assert_eq!(client.call(&metadata(&[]), 0).await.topics.len(), 1);
}
