//! SQS over one HTTP connection, as the history knows it.

use std::io;
use std::time::Duration;

use levada_env::net::Stream;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::clients::link::Link;
use crate::history::{Answer, CallId, Op, QueueAnswer, QueueOp};
use crate::plan::SQS_PORT;

/// How long an answer may take beside the wait that was asked for.
const PATIENCE_MS: u64 = 2_500;
/// No answer of a run is larger.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A client's way to the SQS listener.
pub struct Sqs {
    pub link: Link,
    stream: Option<Stream>,
}

/// What an action was answered, or the code of the sender's fault.
pub type Reply = Result<Value, String>;

impl Sqs {
    pub fn new(link: Link) -> Self {
        Self { link, stream: None }
    }

    /// One action; who gets the reply records the return. Without one that is recorded here.
    pub async fn call(
        &mut self,
        queue: &str,
        op: QueueOp,
        (action, mut body): (&str, Value),
    ) -> Option<(CallId, Reply)> {
        if self.stream.is_none() {
            self.open().await?;
        }
        if action != "CreateQueue" {
            body["QueueUrl"] = json!(format!("http://broker:{SQS_PORT}/000000000000/{queue}"));
        }
        let wait_ms = match op {
            QueueOp::Receive { wait_ms, .. } => wait_ms,
            _ => 0,
        };
        let patience = Duration::from_millis(wait_ms + PATIENCE_MS);
        let queue = queue.to_owned();
        let call = self
            .link
            .recorder()
            .invoke(self.link.id, Op::Queue { queue, op });
        // Whatever ends this early leaves a connection that cannot be used any more.
        let mut stream = self.stream.take()?;
        let exchange = exchange(&mut stream, action, &body);
        let why = match self.link.env.timeout(patience, exchange).await {
            Ok(Ok((200, answer))) => {
                self.stream = Some(stream);
                return Some((call, Ok(answer)));
            }
            Ok(Ok((status, refusal))) => {
                self.stream = Some(stream);
                let code = refusal["__type"].as_str().unwrap_or_default();
                let code = code.rsplit('#').next().unwrap_or_default().to_owned();
                match status {
                    400..500 => return Some((call, Err(code))),
                    _ => format!("{status} {code}"),
                }
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.link.recorder().unknown(call, &why);
        self.link.rest(150).await;
        None
    }

    /// Records what a call was answered.
    pub fn end(&self, call: CallId, answer: QueueAnswer) {
        self.link.recorder().ok(call, Answer::Queue(answer));
    }

    async fn open(&mut self) -> Option<()> {
        let address = format!("broker:{SQS_PORT}");
        let connecting = self.link.env.connect(&address);
        let patience = Duration::from_millis(500);
        match self.link.env.timeout(patience, connecting).await {
            Ok(Ok(stream)) => self.stream = Some(stream),
            _ => self.link.rest(200).await,
        }
        self.stream.as_ref().map(|_| ())
    }
}

/// Sends a request and reads its answer: the status and the document.
async fn exchange(stream: &mut Stream, action: &str, body: &Value) -> io::Result<(u16, Value)> {
    let body = body.to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: broker:{SQS_PORT}\r\nX-Amz-Target: AmazonSQS.{action}\r\n\
         Content-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.flush().await?;
    let mut bytes = Vec::new();
    let (status, head_bytes, body_bytes) = loop {
        match head_of(&bytes) {
            Some(head) => break head,
            None => more(stream, &mut bytes).await?,
        }
    };
    while bytes.len() < head_bytes + body_bytes {
        more(stream, &mut bytes).await?;
    }
    let answer = match body_bytes {
        0 => Value::Null,
        _ => serde_json::from_slice(&bytes[head_bytes..])?,
    };
    Ok((status, answer))
}

async fn more(stream: &mut Stream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let count = stream.read_buf(bytes).await?;
    match count > 0 && bytes.len() < ANSWER_BYTES_MAX {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Status, bytes of the head, bytes of the body, once the head is whole.
fn head_of(bytes: &[u8]) -> Option<(u16, usize, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok())?
    });
    Some((status, end, length.unwrap_or(0)))
}
