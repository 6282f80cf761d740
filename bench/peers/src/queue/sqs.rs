//! The SQS API: AWS JSON 1.0 over kept connections, requests encoded once.

use std::borrow::Cow;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::bodies::{DIGITS, stamp, template};
use super::client::{Client, Each, Said};
use super::{Args, Kind, http};
use crate::wire::Wire;

/// Long polls, so that an empty queue is not asked over and over.
const WAIT_SECONDS: u32 = 1;
/// No load is as long: what comes twice is wrong.
const VISIBILITY_SECONDS: u32 = 600;
/// Digits of a queue's number, and of a group's.
const NUMBER_DIGITS: usize = 7;
/// One queue of so many is used.
const USED_EVERY: u64 = 100;

/// A request, and where the numbers of its messages stand: digits of bodies and ids, and of groups.
#[derive(Default)]
struct Prepared {
    bytes: Vec<u8>,
    messages: Vec<(usize, Vec<usize>)>,
    groups: Vec<(usize, usize)>,
}

pub struct Sqs {
    host: String,
    queue: String,
    url: String,
    size: u32,
    batch: u32,
    groups: Option<u64>,
    send: Prepared,
    receive: Vec<u8>,
    receipts: Vec<String>,
    asked: Asked,
    /// Messages of the request under way.
    count: u32,
    is_closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Send,
    Receive,
    Delete,
    Create,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<'a> {
    #[serde(borrow, default)]
    successful: Vec<Entry<'a>>,
    #[serde(default)]
    failed: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    id: &'a str,
    #[serde(default)]
    message_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Messages<'a> {
    #[serde(borrow, default)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    #[serde(borrow)]
    receipt_handle: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
    message_id: &'a str,
}

impl Client for Sqs {
    fn open(wire: &mut Wire, args: &Args) -> Result<Self> {
        let numbered = matches!(args.kind, Kind::Create | Kind::Touch);
        let name = match (numbered, args.groups) {
            (true, _) => format!("{}-{:0NUMBER_DIGITS$}", args.queue, 0),
            (false, Some(_)) => format!("{}.fifo", args.queue),
            (false, None) => args.queue.clone(),
        };
        let mut sqs = Self {
            host: args.broker.clone(),
            queue: args.queue.clone(),
            url: String::new(),
            size: args.size,
            batch: args.batch,
            groups: args.groups,
            send: Prepared::default(),
            receive: Vec::new(),
            receipts: Vec::new(),
            asked: Asked::Create,
            count: 1,
            is_closed: false,
        };
        wire.queue(&sqs.creation(&name));
        let (created, is_last): (Created, bool) = wire.answer(|bytes| {
            let Some((taken, answer)) = http::answer(bytes)? else {
                return Ok(None);
            };
            let body = good(&answer)?;
            Ok(Some((
                taken,
                (serde_json::from_slice(body)?, answer.is_last),
            )))
        })?;
        if is_last {
            wire.reopen()?;
        }
        sqs.url = created.queue_url;
        sqs.prepare();
        Ok(sqs)
    }

    fn send(&mut self, wire: &mut Wire, numbers: Range<u64>) {
        self.count = (numbers.end - numbers.start) as u32;
        self.asked = Asked::Send;
        if self.count < self.batch {
            let rest = self.sending(self.count);
            let full = std::mem::replace(&mut self.send, rest);
            self.stamp(numbers);
            wire.queue(&self.send.bytes);
            self.send = full;
        } else {
            self.stamp(numbers);
            wire.queue(&self.send.bytes);
        }
    }

    fn receive(&mut self, wire: &mut Wire) -> bool {
        self.asked = Asked::Receive;
        wire.queue(&self.receive);
        false
    }

    fn acknowledge(&mut self, wire: &mut Wire) -> u32 {
        self.asked = Asked::Delete;
        self.count = self.receipts.len() as u32;
        let mut body = format!("{{\"QueueUrl\":\"{}\",\"Entries\":[", self.url);
        for (at, receipt) in self.receipts.drain(..).enumerate() {
            let comma = if at > 0 { "," } else { "" };
            body.push_str(comma);
            body.push_str("{\"Id\":\"");
            body.push((b'0' + at as u8) as char);
            body.push_str("\",\"ReceiptHandle\":\"");
            body.push_str(&receipt);
            body.push_str("\"}");
        }
        body.push_str("]}");
        wire.queue(&request(&self.host, "DeleteMessageBatch", &body));
        self.count
    }

    fn held(&self) -> u32 {
        self.receipts.len() as u32
    }

    fn said(&mut self, bytes: &[u8], each: &mut Each<'_>) -> Result<Option<(usize, Said)>> {
        let Some((taken, answer)) = http::answer(bytes)? else {
            return Ok(None);
        };
        self.is_closed = answer.is_last;
        let body = good(&answer)?;
        let said = match self.asked {
            Asked::Create => {
                let created: Created = serde_json::from_slice(body)?;
                ensure!(!created.queue_url.is_empty(), "a queue without an address");
                Said::Sent(1)
            }
            Asked::Send if self.batch == 1 => {
                let sent: serde_json::Value = serde_json::from_slice(body)?;
                let id = sent.get("MessageId").and_then(serde_json::Value::as_str);
                ensure!(
                    id.is_some_and(|id| !id.is_empty()),
                    "a message without an id"
                );
                Said::Sent(1)
            }
            Asked::Send => Said::Sent(self.batch_done(body, true)?),
            Asked::Delete => Said::Acknowledged(self.batch_done(body, false)?),
            Asked::Receive => {
                self.take_messages(body, each)?;
                Said::Received
            }
        };
        Ok(Some((taken, said)))
    }

    fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn create(&mut self, wire: &mut Wire, number: u64) -> Result<()> {
        self.asked = Asked::Create;
        let name = format!("{}-{number:0NUMBER_DIGITS$}", self.queue);
        wire.queue(&self.creation(&name));
        Ok(())
    }

    fn select(&mut self, number: u64) -> Result<()> {
        let used = number * USED_EVERY;
        let base = self.url.len().checked_sub(NUMBER_DIGITS);
        self.url
            .truncate(base.context("an address without a number")?);
        self.url.push_str(&format!("{used:0NUMBER_DIGITS$}"));
        self.receipts.clear();
        self.prepare();
        Ok(())
    }
}

impl Sqs {
    fn prepare(&mut self) {
        self.send = self.sending(self.batch);
        let body = format!(
            "{{\"QueueUrl\":\"{}\",\"MaxNumberOfMessages\":{},\"WaitTimeSeconds\":{WAIT_SECONDS}}}",
            self.url, self.batch
        );
        self.receive = request(&self.host, "ReceiveMessage", &body);
    }

    fn creation(&self, name: &str) -> Vec<u8> {
        let fifo = if self.groups.is_some() {
            ",\"FifoQueue\":\"true\""
        } else {
            ""
        };
        let body = format!(
            "{{\"QueueName\":\"{name}\",\"Attributes\":{{\"VisibilityTimeout\":\
             \"{VISIBILITY_SECONDS}\"{fifo}}}}}"
        );
        request(&self.host, "CreateQueue", &body)
    }

    /// A request that sends so many messages.
    fn sending(&self, count: u32) -> Prepared {
        let text = String::from_utf8_lossy(&template(self.size)).into_owned();
        let zeros = "0".repeat(DIGITS);
        let group = "0".repeat(NUMBER_DIGITS);
        let mut fields = format!("\"MessageBody\":\"{text}\"");
        if self.groups.is_some() {
            fields.push_str(&format!(
                ",\"MessageDeduplicationId\":\"{zeros}\",\"MessageGroupId\":\"{group}\""
            ));
        }
        let url = &self.url;
        let (action, body) = if self.batch == 1 {
            (
                "SendMessage",
                format!("{{\"QueueUrl\":\"{url}\",{fields}}}"),
            )
        } else {
            let entry = |at: u32| format!("{{\"Id\":\"{at}\",{fields}}}");
            let entries = (0..count).map(entry).collect::<Vec<_>>().join(",");
            let body = format!("{{\"QueueUrl\":\"{url}\",\"Entries\":[{entries}]}}");
            ("SendMessageBatch", body)
        };
        let bytes = request(&self.host, action, &body);
        let found = |name: &str| {
            let name = format!("\"{name}\":\"");
            let windows = bytes.windows(name.len()).enumerate();
            let starts = windows.filter(|(_, part)| *part == name.as_bytes());
            starts.map(|(at, _)| at + name.len()).collect::<Vec<_>>()
        };
        let ids = found("MessageDeduplicationId");
        let messages = found("MessageBody").into_iter().enumerate();
        let messages = messages.map(|(nth, body)| {
            let id = ids.get(nth).copied();
            (nth, [body].into_iter().chain(id).collect())
        });
        Prepared {
            messages: messages.collect(),
            groups: found("MessageGroupId").into_iter().enumerate().collect(),
            bytes,
        }
    }

    fn stamp(&mut self, numbers: Range<u64>) {
        let Prepared {
            bytes,
            messages,
            groups,
        } = &mut self.send;
        for (nth, places) in messages {
            for at in places {
                stamp(&mut bytes[*at..*at + DIGITS], numbers.start + *nth as u64);
            }
        }
        let count = self.groups.unwrap_or(1);
        for (nth, at) in groups {
            let group = (numbers.start + *nth as u64) % count;
            stamp(&mut bytes[*at..*at + NUMBER_DIGITS], group);
        }
    }

    /// Every entry of the batch must be done, each once.
    fn batch_done(&self, body: &[u8], has_message_ids: bool) -> Result<u32> {
        let answer: Batch<'_> = serde_json::from_slice(body)?;
        if let Some(failed) = answer.failed.first() {
            bail!("{} of a batch failed: {failed}", answer.failed.len());
        }
        let mut ids = 0u16;
        for entry in &answer.successful {
            let id: u32 = entry.id.parse()?;
            ids |= 1 << id.min(15);
            let is_named = !has_message_ids || !entry.message_id.is_empty();
            ensure!(is_named, "a message without an id");
        }
        ensure!(
            ids == ((1u32 << self.count) - 1) as u16
                && answer.successful.len() as u32 == self.count,
            "a batch of {} has {} answers",
            self.count,
            answer.successful.len()
        );
        Ok(self.count)
    }

    fn take_messages(&mut self, body: &[u8], each: &mut Each<'_>) -> Result<()> {
        let answer: Messages<'_> = serde_json::from_slice(body)?;
        let most = self.batch as usize;
        ensure!(
            answer.messages.len() <= most,
            "more messages than asked for"
        );
        for message in answer.messages {
            ensure!(!message.message_id.is_empty(), "a message without an id");
            let is_plain = !message.receipt_handle.contains(['"', '\\']);
            ensure!(is_plain, "a receipt that would have to be escaped");
            self.receipts.push(message.receipt_handle.into_owned());
            each(message.body.as_bytes());
        }
        Ok(())
    }
}

/// The body of an answer that is no refusal.
fn good<'a>(answer: &http::Answer<'a>) -> Result<&'a [u8]> {
    let said = || String::from_utf8_lossy(answer.body);
    ensure!(answer.status == 200, "{}: {}", answer.status, said());
    Ok(answer.body)
}

/// A signed request; the signature is none, which those who ask for keys would see.
fn request(host: &str, action: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-amz-json-1.0\r\n\
         X-Amz-Target: AmazonSQS.{action}\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=x/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=x\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
