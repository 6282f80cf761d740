//! With access keys configured, only who signs is served.

use hmac::{Hmac, KeyInit, Mac};
use levada_sqs::{AccessKeys, SqsSettings};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{Answer, Server};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "secret";

/// A listener that knows these keys.
pub async fn server_with(keys: &str) -> Server {
    let settings = SqsSettings {
        access_keys: AccessKeys::parse(keys).unwrap(),
        ..SqsSettings::default()
    };
    Server::start_with(settings).await
}

async fn server() -> Server {
    server_with(&format!("{KEY} {SECRET}")).await
}

async fn signed(server: &Server, secret: &str, action: &str, body: &str) -> Answer {
    signed_by(server, (KEY, secret), action, body).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `YYYYMMDDTHHMMSSZ`, by counting days: a second way, so that both must be right.
fn stamp(now_ms: i64) -> String {
    let seconds = now_ms / 1000;
    let (mut days, mut year) = (seconds / 86_400, 1970);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let february = 28 + i64::from(leap(year));
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (month, day) = (month + 1, days + 1);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// A request that the key of this id and secret signs.
pub async fn signed_by(
    server: &Server,
    (key_id, secret): (&str, &str),
    action: &str,
    body: &str,
) -> Answer {
    let time = stamp(server.env.now_ms());
    let scope = format!("{}/eu-west-1/sqs/aws4_request", &time[..8]);
    let names = "host;x-amz-date;x-amz-target";
    let canonical = format!(
        "POST\n/\n\nhost:{}\nx-amz-date:{time}\nx-amz-target:AmazonSQS.{action}\n\n{names}\n{}",
        server.address,
        hex(&Sha256::digest(body))
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let mac = |key: &[u8], data: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(data.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &text));
    let head = format!(
        "POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.{action}\r\nX-Amz-Date: {time}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, \
         Signature={signature}"
    );
    server.request(&head, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_is_served_and_named() {
    let server = server().await;
    let made = signed(&server, SECRET, "CreateQueue", "{\"QueueName\":\"q\"}").await;
    assert_eq!(made.status, 200, "{}", made.body);
    let url = server.url("q");
    let message = json!({"QueueUrl": url, "MessageBody": "m"}).to_string();
    assert_eq!(
        signed(&server, SECRET, "SendMessage", &message)
            .await
            .status,
        200
    );
    let receive = json!({"QueueUrl": url, "AttributeNames": ["SenderId"]}).to_string();
    let received = signed(&server, SECRET, "ReceiveMessage", &receive)
        .await
        .json();
    assert_eq!(received["Messages"][0]["Attributes"]["SenderId"], KEY);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_sign_is_refused() {
    let server = server().await;
    let answer = server.json("ListQueues", json!({})).await;
    assert_eq!(answer.status, 403);
    let code = answer.header("x-amzn-query-error");
    assert_eq!(code, Some("MissingAuthenticationToken;Sender"));
    let answer = signed(&server, "other", "ListQueues", "{}").await;
    assert_eq!(answer.status, 403);
    let code = answer.header("x-amzn-query-error");
    assert_eq!(code, Some("SignatureDoesNotMatch;Sender"));
    let form = server.form("/", "Action=ListQueues").await;
    assert_eq!(form.element("Code"), Some("MissingAuthenticationToken"));
    assert_eq!(server.listener.metrics().snapshot().refused, 3);
}
