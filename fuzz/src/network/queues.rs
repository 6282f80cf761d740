//! The SQS listener as a stranger sees it: a body in either protocol, or any bytes at all, pass HTTP,
//! the decoders, the actions and a real engine in memory; then another client must still be served.

use std::net::SocketAddr;
use std::time::Duration;

use levada_engine::queue::NewQueue;
use levada_engine::testing::memory_engine;
use levada_env::Env;
use levada_net::{Listener, ListenerSettings};
use levada_sqs::{SqsListener, SqsSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connection::runtime;

/// What an input does not wait for: a long poll.
pub(super) const POLL_WAIT: Duration = Duration::from_millis(40);
/// Everything else may not take longer: what does has hung.
const PATIENCE: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// The queues that are there.
pub const QUEUES: [&str; 2] = ["q", "q.fifo"];
/// The path of the first one.
const PATH: &str = "/000000000000/q";
/// In the order of the first byte of an input.
pub const ACTIONS: [&str; 23] = [
    "AddPermission",
    "CancelMessageMoveTask",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "CreateQueue",
    "DeleteMessage",
    "DeleteMessageBatch",
    "DeleteQueue",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "ListMessageMoveTasks",
    "ListQueueTags",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "RemovePermission",
    "SendMessage",
    "SendMessageBatch",
    "SetQueueAttributes",
    "StartMessageMoveTask",
    "TagQueue",
    "UntagQueue",
];

/// The first byte chooses the action, the rest is its JSON. From 200 on all is a stream of HTTP.
pub fn check_json(input: &[u8]) {
    let Some((&first, body)) = input.split_first() else {
        return;
    };
    if first >= 200 {
        return talk(body, None);
    }
    let action = ACTIONS[usize::from(first) % ACTIONS.len()];
    let head = format!("POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.{action}");
    talk(&request(&head, body), Some(Shape::Json));
}

/// The first byte chooses the action, the rest are the other fields of the form. From 200 on the
/// whole form is the input's.
pub fn check_form(input: &[u8]) {
    let Some((&first, fields)) = input.split_first() else {
        return;
    };
    let mut form = Vec::new();
    if first < 200 {
        let action = ACTIONS[usize::from(first) % ACTIONS.len()];
        form.extend_from_slice(format!("Action={action}&").as_bytes());
    }
    form.extend_from_slice(fields);
    let head = format!("POST {PATH} HTTP/1.1");
    talk(&request(&head, &form), Some(Shape::Xml));
}

/// What an answer's body must be.
#[derive(Clone, Copy)]
enum Shape {
    Json,
    Xml,
}

fn request(head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("{head}\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn talk(bytes: &[u8], shape: Option<Shape>) {
    runtime().block_on(async {
        let (listener, address) = listen(SqsSettings::default()).await;
        let answer = exchange(address, bytes, POLL_WAIT).await;
        if let (Some(shape), Some(answer)) = (shape, answer) {
            judge(&answer, shape);
        }
        let head = "POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.ListQueues";
        let served = exchange(address, &request(head, b"{}"), PATIENCE).await;
        let served = served.expect("another client is served");
        assert!(
            served.starts_with(b"HTTP/1.1 200"),
            "another client is served"
        );
        drop(listener);
    });
}

pub(super) async fn listen(settings: SqsSettings) -> (SqsListener, SocketAddr) {
    let env = Env::real();
    let engine = memory_engine(env.clone()).await;
    for name in QUEUES {
        let mut new = NewQueue {
            name: name.to_owned(),
            ..NewQueue::default()
        };
        if name.ends_with(".fifo") {
            new.configs
                .push(("queue.fifo".to_owned(), "true".to_owned()));
        }
        engine.create_queue(new).await.expect("a queue");
    }
    let socket = Listener::bind(env.clone(), "127.0.0.1:0", ListenerSettings::default());
    let socket = socket.await.expect("a free port");
    let listener = SqsListener::start(env, engine, settings, socket);
    let address = listener.local_addr();
    (listener, address)
}

/// What came back until the connection ended; `None` if it did not end in time.
pub(super) async fn exchange(address: SocketAddr, bytes: &[u8], wait: Duration) -> Option<Vec<u8>> {
    let socket = TcpStream::connect(address).await;
    let mut socket = socket.expect("it accepts");
    // It may have closed the connection already.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = async {
        let _ = socket.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await;
    };
    tokio::time::timeout(wait, reading).await.ok()?;
    Some(answer)
}

fn judge(answer: &[u8], shape: Shape) {
    let text = std::str::from_utf8(answer).expect("answers are text");
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        panic!("no head in {text:?}");
    };
    let status = head.get(9..10);
    assert!(matches!(status, Some("2" | "4")), "our own fault: {head}");
    match shape {
        Shape::Json if body.is_empty() => {}
        Shape::Json => {
            let value: serde_json::Value = serde_json::from_str(body).expect("JSON");
            assert!(value.is_object());
        }
        // Elements end in the order in which they began; nothing of a client begins one.
        Shape::Xml => well_formed(body),
    }
}

fn well_formed(xml: &str) {
    let mut open = Vec::new();
    for part in xml.split('<').skip(1) {
        let (tag, _) = part.split_once('>').expect("a tag ends");
        let name = tag.split(' ').next().unwrap_or_default();
        if let Some(ended) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(ended), "{xml}");
        } else if !tag.ends_with(['/', '?']) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{xml}");
}

/// Bodies in JSON; `URL` stands for the queue's.
const BODIES: [(&str, &str); 11] = [
    (
        "CreateQueue",
        r#"{"QueueName":"a","Attributes":{"DelaySeconds":"5"},"tags":{"k":"v"}}"#,
    ),
    (
        "SendMessage",
        r#"{"QueueUrl":"URL","MessageBody":"m\n","MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"AAE="}}}"#,
    ),
    (
        "SendMessage",
        r#"{"QueueUrl":"URL.fifo","MessageBody":"m","MessageGroupId":"g","MessageDeduplicationId":"d"}"#,
    ),
    (
        "SendMessageBatch",
        r#"{"QueueUrl":"URL","Entries":[{"Id":"a","MessageBody":"m"},{"Id":"b","MessageBody":"n","DelaySeconds":9}]}"#,
    ),
    (
        "ReceiveMessage",
        r#"{"QueueUrl":"URL","MaxNumberOfMessages":10,"AttributeNames":["All"],"MessageAttributeNames":["a.*"]}"#,
    ),
    ("DeleteMessage", r#"{"QueueUrl":"URL","ReceiptHandle":"x"}"#),
    (
        "ChangeMessageVisibilityBatch",
        r#"{"QueueUrl":"URL","Entries":[{"Id":"a","ReceiptHandle":"x","VisibilityTimeout":0}]}"#,
    ),
    (
        "SetQueueAttributes",
        r#"{"QueueUrl":"URL","Attributes":{"RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:q\",\"maxReceiveCount\":1}"}}"#,
    ),
    (
        "GetQueueAttributes",
        r#"{"QueueUrl":"URL","AttributeNames":["All"]}"#,
    ),
    (
        "AddPermission",
        r#"{"QueueUrl":"URL","Label":"l","AWSAccountIds":["111111111111"],"Actions":["*"]}"#,
    ),
    ("ListQueues", r#"{"MaxResults":1,"NextToken":"cQ"}"#),
];

/// Forms.
const FORMS: [(&str, &str); 8] = [
    (
        "CreateQueue",
        "QueueName=a&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&Tag.1.Key=k&Tag.1.Value=v+w",
    ),
    (
        "SendMessage",
        "MessageBody=m%0D%3C&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Number&MessageAttribute.1.Value.StringValue=5",
    ),
    (
        "SendMessageBatch",
        "SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=m",
    ),
    (
        "ReceiveMessage",
        "AttributeName.1=All&MessageAttributeName=All",
    ),
    (
        "DeleteMessageBatch",
        "DeleteMessageBatchRequestEntry.1.Id=a&DeleteMessageBatchRequestEntry.1.ReceiptHandle=x",
    ),
    ("TagQueue", "Tag.1.Key=%26&Tag.1.Value=%C3%BC"),
    ("GetQueueUrl", "QueueName=%3Cq"),
    (
        "GetQueueAttributes",
        "QueueUrl=/000000000000/q&AttributeName.1=All",
    ),
];

/// Requests that do something, as `(action, body)` in JSON and as a form.
pub fn seeds() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let url = format!("http://h{PATH}");
    let first = |action: &str| {
        let at = ACTIONS.iter().position(|known| *known == action);
        u8::try_from(at.unwrap_or_default()).unwrap_or_default()
    };
    let whole = |(action, body): (&str, &str)| [&[first(action)], body.as_bytes()].concat();
    let json = BODIES.map(|(action, body)| whole((action, &body.replace("URL", &url))));
    let mut json = Vec::from(json);
    json.push(
        [
            &[200],
            &b"GET /?Action=ListQueues HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"[..],
        ]
        .concat(),
    );
    (json, FORMS.map(whole).into())
}
