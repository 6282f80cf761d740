//! Bad input: an error or a closed connection, never a panic, never a byte stored.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use levada_kafka::KafkaSettings;
use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::*;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use crate::support::*;

/// Another client is still served, and nothing was stored.
async fn assert_unharmed(service: &Service) {
    let mut client = service.connect().await;
    let answer = client.call(&metadata(&["t"]), 9).await;
    assert_eq!(answer.topics[0].error_code, 0);
    let answer = client.call(&fetch("t", 0, 0), 11).await;
    assert_eq!(fetched(&answer).high_watermark, 0);
}

fn header(api_key: i16, version: i16) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_i16(api_key);
    bytes.put_i16(version);
    bytes.put_i32(1);
    bytes.put_i16(-1);
    bytes
}

#[tokio::test]
async fn sizes_that_no_request_can_have_close_the_connection() {
    let service = start().await;
    for size in [-1, 0, i32::MIN, i32::MAX, 100 * 1024 * 1024 + 1] {
        let mut client = service.connect().await;
        client.stream.write_i32(size).await.unwrap();
        client.assert_closed().await;
    }
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn a_claim_of_many_bytes_takes_no_memory_before_they_come() {
    let service = start().await;
    let mut claims = Vec::new();
    for _ in 0..50 {
        let mut client = service.connect().await;
        client.stream.write_i32(100 * 1024 * 1024).await.unwrap();
        claims.push(client);
    }
    assert_unharmed(&service).await;
    let (requests, _) = service.listener.bytes_in_flight();
    assert!(requests <= 50 * 128 * 1024, "{requests}");
}

#[tokio::test]
async fn unknown_apis_and_versions_close_the_connection() {
    let service = start().await;
    for (key, version) in [
        (-1, 0),
        (1000, 0),
        (4, 0),
        (52, 0),
        (3, 99),
        (1, 3),
        (0, -1),
    ] {
        let mut client = service.connect().await;
        client.send_frame(&header(key, version)).await;
        client.assert_closed().await;
    }
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn a_request_cut_short_or_with_a_huge_count_closes_the_connection() {
    let service = start().await;
    let mut huge = header(3, 1);
    huge.put_i32(i32::MAX);
    let mut negative = header(3, 1);
    negative.put_i32(-7);
    for body in [
        &b"\0"[..],
        b"\0\x03\0\x01\0",
        &header(3, 1),
        &huge,
        &negative,
    ] {
        let mut client = service.connect().await;
        client.send_frame(body).await;
        client.assert_closed().await;
    }
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn damaged_batches_are_refused_with_kafkas_codes() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    let good = batch(&["a value"]);
    let change = |at: usize, to: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = to;
        Bytes::from(bytes)
    };
    let two = Bytes::from([&good[..], &good[..]].concat());
    let cases = [
        (
            "flipped",
            change(good.len() - 2, 0xff),
            ErrorCode::CorruptMessage,
        ),
        (
            "cut",
            good.slice(..good.len() - 1),
            ErrorCode::InvalidRecord,
        ),
        ("format v1", change(16, 1), ErrorCode::InvalidRecord),
        ("format v9", change(16, 9), ErrorCode::CorruptMessage),
        ("length", change(8, 0x80), ErrorCode::CorruptMessage),
        ("none", Bytes::new(), ErrorCode::InvalidRecord),
        ("base offset", change(7, 7), ErrorCode::InvalidRecord),
        ("two", two, ErrorCode::InvalidRecord),
        (
            "short",
            Bytes::from_static(&[0; 5]),
            ErrorCode::InvalidRecord,
        ),
    ];
    for (name, records, error) in cases {
        let answer = client.call(&produce("t", 0, -1, records), 9).await;
        assert_eq!(
            produced(&answer).error_code,
            error.code(),
            "{name}: {answer:?}"
        );
        assert!(produced(&answer).error_message.is_some(), "{name}");
    }
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn what_kafka_names_is_named() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    let acks = client.call(&produce("t", 0, 7, batch(&["v"])), 9).await;
    assert_eq!(
        produced(&acks).error_code,
        ErrorCode::InvalidRequiredAcks.code()
    );
    let topic = client.call(&produce("x", 0, 1, batch(&["v"])), 9).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(produced(&topic).error_code, unknown);
    let partition = client.call(&produce("t", 9, 1, batch(&["v"])), 9).await;
    assert_eq!(produced(&partition).error_code, unknown);
    let id = client.call(&produce("t", 0, 1, batch(&["v"])), 13).await;
    assert_eq!(produced(&id).error_code, ErrorCode::UnknownTopicId.code());
    let mut epoch = fetch("t", 0, 0);
    epoch.topics[0].partitions[0].current_leader_epoch = 5;
    let epoch = client.call(&epoch, 11).await;
    assert_eq!(
        fetched(&epoch).error_code,
        ErrorCode::UnknownLeaderEpoch.code()
    );
    let mut transactional = produce("t", 0, -1, batch(&["v"]));
    transactional.transactional_id = Some("tx".into());
    let transactional = client.call(&transactional, 9).await;
    assert_ne!(produced(&transactional).error_code, 0);
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn produce_before_version_3_gets_unsupported_version_in_its_own_words() {
    let service = start().await;
    for version in 0..=2i16 {
        let mut client = service.connect().await;
        let mut body = header(0, version);
        body.put_i16(1); // acks
        body.put_i32(1000); // timeout
        body.put_i32(1); // topics
        body.put_i16(1);
        body.put_slice(b"t");
        body.put_i32(1); // partitions
        body.put_i32(4); // index
        body.put_i32(3); // records
        body.put_slice(b"old");
        client.send_frame(&body).await;
        let mut wanted = BytesMut::new();
        wanted.put_i32(1); // correlation id
        wanted.put_i32(1);
        wanted.put_i16(1);
        wanted.put_slice(b"t");
        wanted.put_i32(1);
        wanted.put_i32(4);
        wanted.put_i16(ErrorCode::UnsupportedVersion.code());
        wanted.put_i64(-1);
        if version >= 2 {
            wanted.put_i64(-1);
        }
        if version >= 1 {
            wanted.put_i32(0);
        }
        assert_eq!(client.frame().await.unwrap(), wanted, "{version}");
    }
}

#[tokio::test]
async fn api_versions_of_an_unknown_version_get_version_0_and_error_35() {
    let service = start().await;
    let mut client = service.connect().await;
    for version in [-1, 5, 99] {
        client.send_frame(&header(18, version)).await;
        let mut wanted = BytesMut::new();
        wanted.put_i32(1);
        wanted.put_i16(35);
        wanted.put_i32(1);
        wanted.put_slice(&[0, 18, 0, 0, 0, 4]);
        assert_eq!(client.frame().await.unwrap(), wanted, "{version}");
    }
    // The connection goes on.
    let answer = client.call(&ApiVersionsRequest::default(), 0).await;
    assert!(
        answer
            .api_keys
            .iter()
            .any(|api| api.api_key == 0 && api.min_version == 0)
    );
    let answer = client.call(&ApiVersionsRequest::default(), 3).await;
    assert_eq!(answer.error_code, ErrorCode::InvalidRequest.code());
    let named = ApiVersionsRequest {
        client_software_name: "levada-test".into(),
        client_software_version: "1.0".into(),
    };
    assert_eq!(client.call(&named, 4).await.error_code, 0);
    let clients = service.listener.clients().list();
    assert_eq!(clients[0].software(), Some(("levada-test", "1.0")));
}

fn impatient() -> KafkaSettings {
    KafkaSettings {
        frame_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(200),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_request_that_never_ends_is_closed() {
    let service = start_with(impatient()).await;
    let mut client = service.connect().await;
    client.stream.write_i32(1000).await.unwrap();
    client.stream.write_all(b"slow").await.unwrap();
    client.assert_closed().await;
    let mut client = service.connect().await;
    client.stream.write_all(&[0, 0]).await.unwrap();
    client.assert_closed().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_but_not_one_that_waits_for_us() {
    let service = start_with(impatient()).await;
    let mut idle = service.connect().await;
    let mut waiting = service.connect().await;
    waiting.call(&metadata(&["t"]), 9).await;
    waiting.send(&fetch("t", 0, 600), 11).await;
    idle.assert_closed().await;
    let answer = waiting.receive::<FetchRequest>(11, 2).await;
    assert_eq!(fetched(&answer).error_code, 0);
}

#[tokio::test]
async fn requests_in_pieces_and_large_ones_arrive_whole() {
    let service = start().await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    let request = frame(&produce("t", 0, -1, batch(&["in pieces"])), 9, 2);
    for piece in request.chunks(7) {
        client.stream.write_all(piece).await.unwrap();
        client.stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = client.receive::<ProduceRequest>(9, 2).await;
    assert_eq!(produced(&answer).error_code, 0);
    let large = "x".repeat(900_000);
    for n in 0..3 {
        let request = frame(&produce("t", 0, -1, batch(&[&large])), 9, 3 + n);
        client.stream.write_all(&request).await.unwrap();
        let answer = client.receive::<ProduceRequest>(9, 3 + n).await;
        assert_eq!(
            produced(&answer).base_offset,
            1 + i64::from(n),
            "{answer:?}"
        );
    }
    let mut read = fetch("t", 1, 0);
    read.topics[0].partitions[0].partition_max_bytes = 10;
    let answer = client.call(&read, 9).await;
    assert_eq!(
        values(fetched(&answer)),
        [large],
        "the first batch comes whole"
    );
}

#[tokio::test]
async fn a_small_budget_slows_clients_down_and_loses_nothing() {
    let settings = KafkaSettings {
        request_bytes_max: 10_000,
        ..Default::default()
    };
    let service = start_with(settings).await;
    service.connect().await.call(&metadata(&["t"]), 9).await;
    let text = "y".repeat(50_000);
    let clients = (0..8).map(|_| async {
        let mut client = service.connect().await;
        for _ in 0..5 {
            let answer = client.call(&produce("t", 0, -1, batch(&[&text])), 9).await;
            assert_eq!(produced(&answer).error_code, 0);
        }
    });
    futures_util::future::join_all(clients).await;
    let mut client = service.connect().await;
    let answer = client.call(&fetch("t", 0, 0), 11).await;
    assert_eq!(fetched(&answer).high_watermark, 40);
    drop(client);
    while service.listener.bytes_in_flight() != (0, 0) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_let_go_with_its_answers() {
    let service = start_with(impatient()).await;
    let mut client = service.connect().await;
    client.call(&metadata(&["t"]), 9).await;
    let large = "z".repeat(900_000);
    let answer = client.call(&produce("t", 0, -1, batch(&[&large])), 9).await;
    assert_eq!(produced(&answer).error_code, 0);
    // More than the sockets' buffers hold.
    for _ in 0..40 {
        client.send(&fetch("t", 0, 0), 11).await;
    }
    while service.listener.clients().count() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(service.listener.bytes_in_flight(), (0, 0));
}

#[test]
fn random_frames_never_stop_the_service() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let service = runtime.block_on(start());
    let body = prop::collection::vec(any::<u8>(), 0..200);
    // Requests for one topic, or whatever else the bytes make of it.
    let key = prop_oneof![0i16..76, any::<i16>()];
    let run = |(key, version, body): (i16, i16, Vec<u8>)| {
        runtime.block_on(async {
            let mut client = service.connect().await;
            let mut bytes = header(key, version);
            bytes.put_slice(&body);
            client.send_frame(&bytes).await;
            client.stream.shutdown().await.unwrap();
            // An answer or none, then the end.
            while client.frame().await.is_some() {}
        });
        Ok(())
    };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..Default::default()
    });
    runner.run(&(key, 0i16..19, body), run).unwrap();
    runtime.block_on(assert_unharmed(&service));
}
