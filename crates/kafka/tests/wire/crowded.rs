//! Many connections that hold memory and give nothing for it: the others are served all the same.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use levada_kafka::KafkaSettings;
use levada_wire_kafka::messages::*;
use tokio::io::AsyncWriteExt;

use crate::support::*;

/// Connections of an attacker: together they want more than the budget.
const CROWD: usize = 64;
const BUDGET_BYTES: usize = 64 * 1024;

/// No timeout of a connection ends before the test has failed.
fn patient() -> KafkaSettings {
    KafkaSettings {
        request_bytes_max: BUDGET_BYTES,
        frame_timeout: Duration::from_secs(3600),
        idle_timeout: Duration::from_secs(3600),
        ..Default::default()
    }
}

async fn assert_served(service: &Service) {
    let mut client = service.connect().await;
    for _ in 0..3 {
        let answer = client.call(&produce("t", 0, -1, batch(&["good"])), 9).await;
        assert_eq!(produced(&answer).error_code, 0);
    }
}

#[tokio::test]
async fn requests_that_never_end_are_given_up_when_others_wait_for_their_memory() {
    let service = start_with(patient()).await;
    service.connect().await.call(&metadata(&["t"]), 9).await;
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut client = service.connect().await;
        let mut beginning = BytesMut::new();
        beginning.put_i32(1_000_000);
        beginning.put_bytes(0, 2000);
        client.stream.write_all(&beginning).await.unwrap();
        crowd.push(client);
    }
    assert_served(&service).await;
    let (requests, _) = service.listener.bytes_in_flight();
    assert!(requests <= BUDGET_BYTES, "{requests}");
}

#[tokio::test]
async fn a_request_that_never_ends_is_kept_while_nobody_needs_its_memory() {
    let service = start_with(patient()).await;
    let mut slow = service.connect().await;
    let request = frame(&metadata(&["t"]), 9, 1);
    let (beginning, rest) = request.split_at(10);
    slow.stream.write_all(beginning).await.unwrap();
    service.connect().await.call(&metadata(&["t"]), 9).await;
    assert_served(&service).await;
    slow.stream.write_all(rest).await.unwrap();
    let answer = slow.receive::<MetadataRequest>(9, 1).await;
    assert_eq!(answer.topics[0].error_code, 0);
}

#[tokio::test]
async fn fetches_that_wait_are_answered_when_others_wait_for_their_memory() {
    let service = start_with(patient()).await;
    service.connect().await.call(&metadata(&["t"]), 9).await;
    let mut request = fetch("t", 0, 300_000);
    let one = request.topics[0].partitions[0].clone();
    request.topics[0].partitions = vec![one; 100];
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut client = service.connect().await;
        client.send(&request, 11).await;
        crowd.push(client);
    }
    assert_served(&service).await;
    let answer = crowd[0].receive::<FetchRequest>(11, 1).await;
    assert_eq!(answer.responses[0].partitions.len(), 1, "named 100 times");
}

#[tokio::test]
async fn requests_behind_answers_that_nobody_reads_do_not_keep_their_memory() {
    let service = start_with(patient()).await;
    service.connect().await.call(&metadata(&["t"]), 9).await;
    let large = "z".repeat(900_000);
    let answer = service
        .connect()
        .await
        .call(&produce("t", 0, -1, batch(&[&large])), 9)
        .await;
    assert_eq!(produced(&answer).error_code, 0);
    let mut request = fetch("t", 0, 0);
    let one = request.topics[0].partitions[0].clone();
    request.topics[0].partitions = vec![one; 100];
    let mut crowd = Vec::new();
    for _ in 0..8 {
        let mut client = service.connect().await;
        // Answers of 0.9 MB, until no more requests are taken.
        for _ in 0..30 {
            client.send(&request, 11).await;
        }
        crowd.push(client);
    }
    assert_served(&service).await;
}
