//! The actions that workers use.

use serde_json::{Value, json};

use super::http::{Reply, Sqs};
use crate::history::{Delivery, MessageKey, NewMessage, Part, QueueAnswer, QueueOp, RecordId};
use crate::plan::Queue;

/// Bytes of a message.
const BODY_BYTES: [usize; 3] = [10, 200, 2_000];

/// A delivery with its receipt.
#[derive(Clone, Debug)]
pub struct Held {
    pub delivery: Delivery,
    pub receipt: String,
}

impl Sqs {
    /// Makes a queue; one that is there is as good.
    pub async fn create(&mut self, queue: &Queue) -> Option<()> {
        let mut attributes = json!({
            "DelaySeconds": queue.delay_s.to_string(),
            "VisibilityTimeout": "2",
        });
        if queue.is_fifo {
            attributes["FifoQueue"] = json!("true");
            attributes["ContentBasedDeduplication"] = json!(queue.by_content.to_string());
        }
        if let Some((target, most)) = queue.dead_letters {
            let arn = format!("arn:aws:sqs:us-east-1:000000000000:{target}");
            let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": most });
            attributes["RedrivePolicy"] = json!(policy.to_string());
        }
        let op = QueueOp::Create {
            is_fifo: queue.is_fifo,
            delay_ms: queue.delay_s * 1000,
            dead_letters: queue
                .dead_letters
                .map(|(name, most)| (name.to_owned(), most)),
        };
        let body = json!({ "QueueName": queue.name, "Attributes": attributes });
        let (call, reply) = self.call(queue.name, op, ("CreateQueue", body)).await?;
        self.end(call, done_or(&reply));
        reply.ok().map(|_| ())
    }

    /// Sends messages, one alone or several as a batch; `None`: nobody knows.
    pub async fn send(&mut self, queue: &Queue, messages: &[NewMessage]) -> Option<Vec<Part>> {
        let mut entries: Vec<Value> = messages.iter().map(|one| entry(queue, one)).collect();
        let body = match &mut entries[..] {
            [only] => ("SendMessage", only.take()),
            _ => ("SendMessageBatch", numbered(entries)),
        };
        let op = QueueOp::Send(messages.to_vec());
        let (call, reply) = self.call(queue.name, op, body).await?;
        self.end_parts(call, messages.len(), &reply)
    }

    pub async fn receive(
        &mut self,
        queue: &Queue,
        most: u64,
        (visible_s, wait_s): (u64, u64),
    ) -> Option<Vec<Held>> {
        let body = json!({
            "MaxNumberOfMessages": most,
            "VisibilityTimeout": visible_s,
            "WaitTimeSeconds": wait_s,
            "MessageSystemAttributeNames": ["All"],
        });
        let op = QueueOp::Receive {
            most,
            visible_ms: visible_s * 1000,
            wait_ms: wait_s * 1000,
        };
        let (call, reply) = self.call(queue.name, op, ("ReceiveMessage", body)).await?;
        let answer = match reply {
            Ok(answer) => answer,
            Err(code) => {
                self.end(call, QueueAnswer::Refused(code));
                return None;
            }
        };
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        let held: Vec<Held> = messages.iter().map(held).collect();
        let deliveries = held.iter().map(|one| one.delivery).collect();
        self.end(call, QueueAnswer::Received(deliveries));
        Some(held)
    }

    pub async fn delete(&mut self, queue: &Queue, held: &[Held]) -> Option<Vec<Part>> {
        let entries = held
            .iter()
            .map(|one| json!({ "ReceiptHandle": one.receipt }));
        let mut entries: Vec<Value> = entries.collect();
        let body = match &mut entries[..] {
            [only] => ("DeleteMessage", only.take()),
            _ => ("DeleteMessageBatch", numbered(entries)),
        };
        let op = QueueOp::Delete(held.iter().map(|one| one.delivery).collect());
        let (call, reply) = self.call(queue.name, op, body).await?;
        self.end_parts(call, held.len(), &reply)
    }

    /// Hides messages for so long from now on.
    pub async fn hide(&mut self, queue: &Queue, held: &[Held], visible_s: u64) -> Option<()> {
        let entries = held.iter().map(|one| {
            json!({
                "ReceiptHandle": one.receipt,
                "VisibilityTimeout": visible_s,
            })
        });
        let mut entries: Vec<Value> = entries.collect();
        let body = match &mut entries[..] {
            [only] => ("ChangeMessageVisibility", only.take()),
            _ => ("ChangeMessageVisibilityBatch", numbered(entries)),
        };
        let op = QueueOp::Hide {
            deliveries: held.iter().map(|one| one.delivery).collect(),
            visible_ms: visible_s * 1000,
        };
        let (call, reply) = self.call(queue.name, op, body).await?;
        self.end_parts(call, held.len(), &reply).map(|_| ())
    }

    pub async fn purge(&mut self, queue: &Queue) -> Option<bool> {
        let call = self.call(queue.name, QueueOp::Purge, ("PurgeQueue", json!({})));
        let (call, reply) = call.await?;
        self.end(call, done_or(&reply));
        Some(reply.is_ok())
    }

    /// Visible, in flight and delayed messages.
    pub async fn count(&mut self, queue: &Queue) -> Option<[u64; 3]> {
        let body = json!({ "AttributeNames": ["All"] });
        let call = self.call(queue.name, QueueOp::Count, ("GetQueueAttributes", body));
        let (call, reply) = call.await?;
        let Ok(answer) = reply else {
            self.end(call, done_or(&reply));
            return None;
        };
        let number = |end: &str| {
            let text = answer["Attributes"][format!("ApproximateNumberOfMessages{end}")].as_str();
            text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
        };
        let counts = [number(""), number("NotVisible"), number("Delayed")];
        self.end(call, QueueAnswer::Counts(counts));
        Some(counts)
    }

    /// Records what a call on `count` messages was answered.
    fn end_parts(
        &self,
        call: crate::history::CallId,
        count: usize,
        reply: &Reply,
    ) -> Option<Vec<Part>> {
        match reply {
            Ok(answer) => {
                let parts = parts(answer, count);
                self.end(call, QueueAnswer::Parts(parts.clone()));
                Some(parts)
            }
            Err(code) => {
                self.end(call, QueueAnswer::Refused(code.clone()));
                Some(vec![Part::Refused(code.clone()); count])
            }
        }
    }
}

fn done_or(reply: &Reply) -> QueueAnswer {
    match reply {
        Ok(_) => QueueAnswer::Done,
        Err(code) => QueueAnswer::Refused(code.clone()),
    }
}

fn entry(queue: &Queue, message: &NewMessage) -> Value {
    let RecordId::Written(number) = message.record else {
        return Value::Null;
    };
    let bytes = BODY_BYTES[(number % BODY_BYTES.len() as u64) as usize];
    let mut entry = json!({ "MessageBody": body(message.record, bytes) });
    match message.group {
        Some(group) => {
            entry["MessageGroupId"] = json!(format!("g{group}"));
            if !queue.by_content {
                entry["MessageDeduplicationId"] = json!(message.record.to_string());
            }
        }
        None => entry["DelaySeconds"] = json!(message.delay_ms / 1000),
    }
    entry
}

/// The record's value as a text that SQS carries: two digits a byte.
fn body(record: RecordId, bytes: usize) -> String {
    let value = record.value(bytes);
    value.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The record that a text is the body of.
pub fn record(body: &str) -> RecordId {
    let digits = body.as_bytes().chunks(2);
    let value: Option<Vec<u8>> = digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    RecordId::read(&value.unwrap_or_default())
}

fn numbered(mut entries: Vec<Value>) -> Value {
    for (index, entry) in entries.iter_mut().enumerate() {
        entry["Id"] = json!(index.to_string());
    }
    json!({ "Entries": entries })
}

/// What became of each message, by a single answer or a batch's.
fn parts(answer: &Value, count: usize) -> Vec<Part> {
    let sequence = |of: &Value| {
        of["SequenceNumber"]
            .as_str()
            .and_then(|text| text.parse().ok())
    };
    if answer["Successful"].is_null() && answer["Failed"].is_null() {
        return vec![Part::Done(sequence(answer)); count];
    }
    let find = |list: &str, index: usize| {
        let entries = answer[list].as_array()?;
        let id = index.to_string();
        entries.iter().find(|entry| entry["Id"] == id.as_str())
    };
    let part = |index: usize| {
        if let Some(done) = find("Successful", index) {
            return Part::Done(sequence(done));
        }
        let Some(failed) = find("Failed", index) else {
            return Part::Unknown("it is missing in the answer".to_owned());
        };
        let code = failed["Code"].as_str().unwrap_or_default().to_owned();
        match failed["SenderFault"] == true {
            true => Part::Refused(code),
            false => Part::Unknown(code),
        }
    };
    (0..count).map(part).collect()
}

fn held(message: &Value) -> Held {
    let attribute = |name: &str| message["Attributes"][name].as_str();
    let count = attribute("ApproximateReceiveCount").and_then(|text| text.parse().ok());
    let group = attribute("MessageGroupId").and_then(|text| text.strip_prefix('g'));
    let delivery = Delivery {
        key: MessageKey {
            record: record(message["Body"].as_str().unwrap_or_default()),
            sequence: attribute("SequenceNumber").and_then(|text| text.parse().ok()),
        },
        count: count.unwrap_or(0),
        group: group.and_then(|text| text.parse().ok()),
    };
    let receipt = message["ReceiptHandle"].as_str().unwrap_or_default();
    Held {
        delivery,
        receipt: receipt.to_owned(),
    }
}
