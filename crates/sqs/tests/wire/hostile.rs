//! What is no request, or too much of one.

use std::time::Duration;

use levada_sqs::SqsSettings;
use levada_sqs::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, SMALL_BODY_BYTES_MAX};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn junk_is_refused_and_others_are_served() {
    let server = Server::start().await;
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let answer = server.raw(junk).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    let answer = server.request("PUT / HTTP/1.1", "").await;
    assert_eq!(answer.status, 405);
    let long = format!("GET /{} HTTP/1.1", "x".repeat(2 * HEAD_BYTES_MAX));
    let answer = server
        .raw(format!("{long}\r\nHost: a\r\n\r\n").as_bytes())
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 414") || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    let answer = server.json("ListQueues", json!([])).await;
    assert_eq!(
        answer.json()["__type"],
        "com.amazon.coral.service#SerializationException"
    );
    let answer = server.form("/", "Action=ListQueues&a=%ff").await;
    assert_eq!(answer.element("Code"), Some("MalformedInput"));
    assert_eq!(server.ok("ListQueues", json!({})).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_is_not_read() {
    let server = Server::start().await;
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Amz-Target: AmazonSQS.ListQueues";
    let announced = format!("{head}\r\nContent-Length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
    let answer = server.raw(announced.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let chunk = format!(
        "{:x}\r\n{}\r\n",
        BODY_BYTES_MAX + 1,
        "x".repeat(BODY_BYTES_MAX + 1)
    );
    let chunked = format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n");
    let answer = server.raw(chunked.as_bytes()).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 413"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_gives_its_place_back() {
    let settings = SqsSettings {
        transfer_timeout: Duration::from_millis(50),
        request_bytes_max: 0,
        ..SqsSettings::default()
    };
    let server = Server::start_with(settings).await;
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Amz-Target: AmazonSQS.ListQueues";
    let announced = format!("{head}\r\nContent-Length: {BODY_BYTES_MAX}\r\n\r\n{{");
    // Both want all of the budget: the second one gets it when the first one's time is over.
    let (first, second) = tokio::join!(
        server.raw(announced.as_bytes()),
        server.raw(announced.as_bytes())
    );
    assert!(first.starts_with("HTTP/1.1 408"), "{first}");
    assert!(second.starts_with("HTTP/1.1 408"), "{second}");
    assert_eq!(server.ok("ListQueues", json!({})).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_come_hold_back_no_small_request() {
    let settings = SqsSettings {
        request_bytes_max: 2 * BODY_BYTES_MAX,
        ..SqsSettings::default()
    };
    let server = Server::start_with(settings).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: AmazonSQS.ListQueues";
    let announced = format!("{head}\r\nContent-Length: {BODY_BYTES_MAX}\r\n\r\n{{");
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(announced.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    while server.listener.metrics().snapshot().connections < 8 {
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        assert_eq!(server.ok("ListQueues", json!({})).await, json!({}));
    }
    drop(slow);
}

/// So many connections that announce a small body, and send that many bytes of it.
async fn unfinished(server: &Server, count: u64, sent: usize) -> Vec<TcpStream> {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: AmazonSQS.ListQueues";
    let head = format!("{head}\r\nContent-Length: {SMALL_BODY_BYTES_MAX}\r\n\r\n");
    let bytes = [head.as_bytes(), &vec![b' '; sent]].concat();
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        streams.push(stream);
    }
    while server.listener.metrics().snapshot().connections < count {
        tokio::task::yield_now().await;
    }
    streams
}

#[tokio::test(flavor = "multi_thread")]
async fn small_bodies_that_are_only_announced_hold_back_nobody() {
    let settings = SqsSettings {
        request_bytes_max: BODY_BYTES_MAX,
        ..SqsSettings::default()
    };
    let server = Server::start_with(settings).await;
    // Together they announce four times the budget.
    let held = unfinished(&server, 256, 1).await;
    let served = async {
        for _ in 0..20 {
            assert_eq!(server.ok("ListQueues", json!({})).await, json!({}));
        }
    };
    let outcome = tokio::time::timeout(Duration::from_secs(10), served).await;
    outcome.expect("nobody waits for bodies that do not come");
    let refused = server.listener.metrics().snapshot().refused;
    assert_eq!(refused, 0, "none of them had to make way");
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_stop_short_make_way_when_others_wait() {
    let settings = SqsSettings {
        request_bytes_max: BODY_BYTES_MAX,
        ..SqsSettings::default()
    };
    let server = Server::start_with(settings).await;
    let held = unfinished(&server, 80, SMALL_BODY_BYTES_MAX - 1).await;
    // Not the thirty seconds that a body may take else.
    let served = server.ok("ListQueues", json!({}));
    let outcome = tokio::time::timeout(Duration::from_secs(10), served).await;
    assert_eq!(outcome.expect("they make way"), json!({}));
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_requests() {
    let server = Server::start().await;
    let one =
        "POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: AmazonSQS.ListQueues\r\nContent-Length: 2\r\n";
    let both = format!("{one}\r\n{{}}{one}Connection: close\r\n\r\n{{}}");
    let answer = server.raw(both.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    let counted = server.listener.metrics().snapshot();
    assert_eq!(counted.connections, 1);
    assert_eq!(counted.actions[0].requests, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_come_in_pieces_of_a_byte() {
    let server = Server::start().await;
    let url = server.queue("q", json!({})).await;
    let body = json!({"QueueUrl": url, "MessageBody": "in pieces"}).to_string();
    let mut request = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nX-Amz-Target: AmazonSQS.SendMessage\r\n\
         Content-Type: application/x-amz-json-1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.address
    );
    for letter in body.chars() {
        request.push_str(&format!("1\r\n{letter}\r\n"));
    }
    request.push_str("0\r\n\r\n");
    let answer = server.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(
        server.receive(&url, json!({})).await[0]["Body"],
        "in pieces"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_are_not_served_where_nobody_signs() {
    let server = Server::start().await;
    let url = server.queue("q", json!({})).await;
    for header in [
        "Origin: http://elsewhere.example",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-origin",
    ] {
        let head = format!("GET /000000000000/q?Action=DeleteQueue HTTP/1.1\r\n{header}");
        let answer = server.request(&head, "").await;
        assert_eq!(answer.status, 403, "{header}: {}", answer.body);
        assert_eq!(answer.element("Code"), Some("AccessDenied"));
    }
    let typed = "GET /000000000000/q?Action=GetQueueAttributes HTTP/1.1\r\nSec-Fetch-Site: none";
    assert_eq!(server.request(typed, "").await.status, 200);
    server.send(&url, "still there").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_bounded() {
    let server = Server::start().await;
    let url = server.queue("q", json!({})).await;
    for names in [json!(["x".repeat(257)]), json!(vec!["x"; 101])] {
        let request = json!({"QueueUrl": url, "MessageAttributeNames": names});
        let code = server.refused("ReceiveMessage", request).await;
        assert_eq!(code, "InvalidParameterValue");
    }
    let form = format!("Action=ListQueues&{}=1", "x".repeat(129));
    assert_eq!(
        server.form("/", &form).await.element("Code"),
        Some("MalformedInput")
    );
}
