//! The SQS listener with access keys, as somebody sees it who has none: whatever comes, nothing is
//! answered as done. The secret is not in the fuzzer's reach, so a signature that is right by
//! chance is a finding as good as any.

use levada_sqs::{AccessKeys, SqsSettings};

use super::connection::runtime;
use super::queues::{POLL_WAIT, exchange, listen};

/// The one key there is.
const KEYS: &str = "AKIDEXAMPLE 8f2c1b7e55d94a0c9d3e6a417b20f6c1 ann";
const SEEN: &[u8] = b"HTTP/1.1 ";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A stream of HTTP; lines of a request's head end in `\n` or `\r\n`.
pub fn check(input: &[u8]) {
    runtime().block_on(async {
        let settings = SqsSettings {
            access_keys: AccessKeys::parse(KEYS).expect("a key"),
            ..SqsSettings::default()
        };
        let (listener, address) = listen(settings).await;
        let Some(answer) = exchange(address, input, POLL_WAIT).await else {
            return;
        };
        for status in statuses(&answer) {
            let refused = matches!(status.first(), Some(b'1' | b'4'));
            assert!(refused, "not refused: {}", String::from_utf8_lossy(&answer));
        }
        drop(listener);
    });
}

/// The status of each answer: requests may follow each other on a connection, and an answer's text
/// may repeat what it refuses.
fn statuses(mut answers: &[u8]) -> Vec<&[u8]> {
    let mut statuses = Vec::new();
    while let Some(rest) = answers.strip_prefix(SEEN) {
        let end = rest.windows(HEAD_END.len()).position(|at| at == HEAD_END);
        let (head, rest) = rest.split_at(end.map_or(rest.len(), |at| at + HEAD_END.len()));
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1);
        let length = length.and_then(|text| text.split("\r\n").next()?.parse().ok());
        answers = &rest[rest.len().min(length.unwrap_or(0))..];
        statuses.push(head);
    }
    statuses
}

/// Requests that are signed in every way that the service knows, wrongly.
pub fn seeds() -> Vec<Vec<u8>> {
    let scope = "AKIDEXAMPLE/20261127/us-east-1/sqs/aws4_request";
    let signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    let close = "Host: h\r\nConnection: close\r\n";
    let header = format!(
        "POST / HTTP/1.1\r\n{close}X-Amz-Target: AmazonSQS.ListQueues\r\nX-Amz-Date: 20261127T120000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, \
         Signature={signature}\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    let presigned = format!(
        "GET /?Action=ListQueues&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}\
         &X-Amz-Date=20261127T120000Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host\
         &X-Amz-Signature={signature} HTTP/1.1\r\n{close}\r\n",
        scope.replace('/', "%2F")
    );
    let nobody = format!("GET /000000000000/q?Action=ReceiveMessage HTTP/1.1\r\n{close}\r\n");
    let preflight = format!("OPTIONS / HTTP/1.1\r\n{close}Origin: http://h\r\n\r\n");
    [header, presigned, nobody, preflight]
        .map(String::into_bytes)
        .into()
}
