//! A message on its way out (SQS: ReceiveMessage).

use levada_engine::queue::Message;

use super::attributes::{Attribute, digest, filter, is_all, write_attributes};
use super::contents::{body_text, md5_hex};
use super::headers::Stored;
use super::send::{content_id, sequence_number};
use crate::protocol::fields::NAME_VALUE;
use crate::protocol::{Name, Writer};

const SYSTEM_ATTRIBUTES: Name = Name::new("Attributes", "Attribute");

/// System attributes that a receive can ask for, in the order in which they are written.
pub const SYSTEM_NAMES: [&str; 9] = [
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

/// What of a message a client asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub system: Vec<String>,
    pub attributes: Vec<String>,
}

impl Wanted {
    fn has(&self, name: &str) -> bool {
        let is_wanted = |wanted: &String| is_all(wanted) || wanted == name;
        self.system.iter().any(is_wanted)
    }
}

/// A received message with what the listener knows of its queue.
pub struct Delivered {
    message: Message,
    stored: Stored,
    is_fifo: bool,
    /// Shown where the sender had no name.
    account: &'static str,
    dead_letter_source_arn: Option<String>,
}

impl Delivered {
    /// `arn` gives the ARN of a queue by its name.
    pub fn new(
        mut message: Message,
        is_fifo: bool,
        account: &'static str,
        arn: impl Fn(&str) -> String,
    ) -> Self {
        let stored = Stored::from_headers(std::mem::take(&mut message.headers));
        Self {
            stored,
            is_fifo,
            account,
            dead_letter_source_arn: message.dead_letter_source.as_deref().map(arn),
            message,
        }
    }

    /// The value of a system attribute, if the message has it.
    fn system(&self, name: &str) -> Option<String> {
        let message = &self.message;
        match name {
            "SenderId" => {
                let sender = self.stored.sender.clone();
                Some(sender.unwrap_or_else(|| self.account.to_owned()))
            }
            "SentTimestamp" => Some(message.sent_ms.to_string()),
            "ApproximateReceiveCount" => Some(message.receive_count.to_string()),
            "ApproximateFirstReceiveTimestamp" => Some(message.first_received_ms.to_string()),
            "SequenceNumber" => self.is_fifo.then(|| sequence_number(message.offset.0)),
            "MessageDeduplicationId" if self.is_fifo => {
                let id = self.stored.deduplication.clone();
                Some(id.unwrap_or_else(|| content_id(&message.body)))
            }
            "MessageGroupId" => message
                .group
                .as_ref()
                .map(|key| body_text(key).into_owned()),
            "AWSTraceHeader" => {
                let trace = self.stored.trace.as_ref()?;
                Some(body_text(trace).into_owned())
            }
            "DeadLetterQueueSourceArn" => self.dead_letter_source_arn.clone(),
            _ => None,
        }
    }
}

/// Writes one message of an answer.
pub fn write_message(delivered: &Delivered, wanted: &Wanted, writer: &mut Writer) {
    let message = &delivered.message;
    let body = body_text(&message.body);
    writer.text("MessageId", &message.id.to_string());
    writer.text("ReceiptHandle", &message.receipt);
    writer.text("MD5OfBody", &md5_hex(body.as_bytes()));
    writer.text("Body", &body);
    let system: Vec<(&str, String)> = SYSTEM_NAMES
        .iter()
        .filter(|name| wanted.has(name))
        .filter_map(|name| Some((*name, delivered.system(name)?)))
        .collect();
    writer.pairs(SYSTEM_ATTRIBUTES, NAME_VALUE, &system);
    if wanted.attributes.is_empty() {
        return;
    }
    let mut attributes: Vec<Attribute> = delivered.stored.attributes.clone();
    filter(&mut attributes, &wanted.attributes);
    writer.maybe("MD5OfMessageAttributes", digest(&attributes).as_deref());
    write_attributes(writer, &attributes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;
    use bytes::Bytes;
    use levada_engine::queue::MessageId;

    fn message() -> Message {
        let header = |name: &str, value: &'static str| (name.to_owned(), Some(Bytes::from(value)));
        Message {
            id: MessageId([7; 16]),
            receipt: "r".to_owned(),
            partition: 0,
            offset: levada_model::Offset(5),
            body: Bytes::from_static(b"msg"),
            group: Some(Bytes::from_static(b"g")),
            headers: vec![header("Hello", "There"), header("levada.sender-id", "me")],
            sent_ms: 1,
            first_received_ms: 2,
            receive_count: 3,
            dead_letter_source: Some("source".to_owned()),
        }
    }

    fn written(is_fifo: bool, wanted: &Wanted) -> serde_json::Value {
        let delivered = Delivered::new(message(), is_fifo, "000", |name| format!("arn:{name}"));
        let mut writer = Writer::new(Protocol::Json);
        writer.structure(|writer| write_message(&delivered, wanted, writer));
        serde_json::from_slice(&writer.finish()).unwrap()
    }

    #[test]
    fn only_what_was_asked_for_is_written() {
        let bare = written(false, &Wanted::default());
        assert_eq!(bare["MD5OfBody"], "6e2baaf3b97dbeef01c0043275f9a0e7");
        assert!(bare.get("Attributes").is_none() && bare.get("MessageAttributes").is_none());
        let wanted = Wanted {
            system: vec!["SentTimestamp".to_owned()],
            attributes: vec!["Hello".to_owned()],
        };
        let some = written(false, &wanted);
        assert_eq!(
            some["Attributes"],
            serde_json::json!({"SentTimestamp": "1"})
        );
        assert_eq!(
            some["MD5OfMessageAttributes"],
            "a311262e065454b75da111d535b8dacd"
        );
        let hello = serde_json::json!({"DataType": "String", "StringValue": "There"});
        assert_eq!(
            some["MessageAttributes"],
            serde_json::json!({"Hello": hello})
        );
    }

    #[test]
    fn a_fifo_queue_shows_sequence_and_deduplication() {
        let wanted = Wanted {
            system: vec!["All".to_owned()],
            ..Wanted::default()
        };
        let expected = serde_json::json!({
            "SenderId": "me", "SentTimestamp": "1", "ApproximateReceiveCount": "3",
            "ApproximateFirstReceiveTimestamp": "2", "MessageGroupId": "g",
            "DeadLetterQueueSourceArn": "arn:source",
        });
        assert_eq!(written(false, &wanted)["Attributes"], expected);
        let fifo = written(true, &wanted);
        assert_eq!(fifo["Attributes"]["SequenceNumber"], "00000000000000000005");
        let id = fifo["Attributes"]["MessageDeduplicationId"]
            .as_str()
            .unwrap();
        assert_eq!(id.len(), 64);
    }
}
