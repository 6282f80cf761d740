//! A message on its way in (SQS: SendMessage, an entry of SendMessageBatch).

use std::time::Duration;

use bytes::Bytes;
use levada_engine::queue::{NewMessage, Sent};
use sha2::{Digest, Sha256};

use super::attributes::{Attribute, digest, read_attributes};
use super::contents::{ALLOWED, hex, is_allowed, is_id, md5_hex};
use super::headers::Stored;
use crate::errors::{Code, Result, SqsError, too_long};
use crate::limits::DELAY_SECONDS_MAX;
use crate::protocol::{Fields, Name, Writer};

const ATTRIBUTES: Name = Name::new("MessageAttributes", "MessageAttribute");
const SYSTEM_ATTRIBUTES: Name = Name::new("MessageSystemAttributes", "MessageSystemAttribute");
/// The one system attribute that a sender may set.
const TRACE: &str = "AWSTraceHeader";

/// What its queue makes of a message that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRules {
    pub is_fifo: bool,
    pub content_based_deduplication: bool,
    /// A deduplication id is one within its group only.
    pub deduplicates_by_group: bool,
    pub message_bytes_max: usize,
}

/// A message as a client sends it.
pub struct Outgoing {
    body: Bytes,
    delay_seconds: Option<i64>,
    attributes: Vec<Attribute>,
    system: Vec<Attribute>,
    deduplication: Option<String>,
    group: Option<String>,
}

impl Outgoing {
    /// Reads and checks what does not depend on the queue.
    ///
    /// # Errors
    /// As the service refuses it.
    pub fn read(fields: Fields<'_>) -> Result<Self> {
        let body = fields.bytes("MessageBody")?.filter(|body| !body.is_empty());
        let body = body.ok_or_else(|| SqsError::missing("MessageBody"))?;
        if !is_allowed(std::str::from_utf8(&body).unwrap_or("\0")) {
            return Err(SqsError::new(Code::InvalidMessageContents, ALLOWED));
        }
        let system = read_attributes(fields, SYSTEM_ATTRIBUTES)?;
        if let Some(other) = system.iter().find(|attribute| attribute.name != TRACE) {
            let message = format!("Message system attribute name '{}' is invalid.", other.name);
            return Err(SqsError::new(Code::InvalidParameter, message));
        }
        if system.iter().any(|trace| trace.data_type != "String") {
            let message = format!("The system attribute {TRACE} must be of the type String.");
            return Err(SqsError::new(Code::InvalidParameter, message));
        }
        Ok(Self {
            body,
            delay_seconds: fields.number_within("DelaySeconds", 0, DELAY_SECONDS_MAX)?,
            attributes: read_attributes(fields, ATTRIBUTES)?,
            system,
            deduplication: id(fields, "MessageDeduplicationId")?,
            group: id(fields, "MessageGroupId")?,
        })
    }

    /// Bytes that count against the limits of a message and of a batch.
    pub fn bytes(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(Attribute::bytes).sum();
        self.body.len() + attributes
    }

    /// Whether a FIFO queue refuses it for what it lacks: of a batch the service refuses all then.
    ///
    /// # Errors
    /// The refusal.
    pub fn check_fifo(&self, rules: QueueRules) -> Result<()> {
        if rules.is_fifo && self.group.is_none() {
            return Err(SqsError::missing("MessageGroupId"));
        }
        if rules.is_fifo && self.deduplication.is_none() && !rules.content_based_deduplication {
            let message = "The queue should either have ContentBasedDeduplication enabled or \
                           MessageDeduplicationId provided explicitly";
            return Err(SqsError::new(Code::InvalidParameter, message));
        }
        Ok(())
    }

    /// The message for the engine, and what the sender is answered.
    ///
    /// # Errors
    /// What the queue's kind or limit refuses.
    pub fn seal(self, rules: QueueRules, sender: Option<&str>) -> Result<(NewMessage, SentReply)> {
        self.check_fifo(rules)?;
        let other_type = "The request include parameter that is not valid for this queue type.";
        match (rules.is_fifo, self.delay_seconds, &self.deduplication) {
            (true, Some(delay @ 1..), _) => {
                return Err(SqsError::value(delay, "DelaySeconds", other_type));
            }
            (false, _, Some(id)) => {
                return Err(SqsError::value(id, "MessageDeduplicationId", other_type));
            }
            _ => {}
        }
        if self.bytes() > rules.message_bytes_max {
            return Err(too_long(rules.message_bytes_max));
        }
        let reply = SentReply {
            md5_of_body: md5_hex(&self.body),
            md5_of_attributes: digest(&self.attributes),
            md5_of_system_attributes: digest(&self.system),
            is_fifo: rules.is_fifo,
        };
        let deduplication = rules.is_fifo.then(|| self.deduplication_digest(rules));
        // A FIFO queue has no delays of single messages; 0 says nothing there.
        let delay = self.delay_seconds.filter(|_| !rules.is_fifo);
        let stored = Stored {
            attributes: self.attributes,
            sender: sender.map(str::to_owned),
            trace: self.system.into_iter().next().map(|trace| trace.value),
            deduplication: self.deduplication,
        };
        let message = NewMessage {
            body: self.body,
            group: self.group.map(Bytes::from),
            headers: stored.into_headers(),
            delay: delay.map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
            deduplication,
            sent_ms: None,
        };
        Ok((message, reply))
    }

    /// What a second message with the same id, or the same content, is known by. An id that is the
    /// digest of another message's content is that message's.
    fn deduplication_digest(&self, rules: QueueRules) -> [u8; 16] {
        let scope = match &self.group {
            Some(group) if rules.deduplicates_by_group => group.as_str(),
            _ => "",
        };
        let mut digest = Sha256::new();
        // Its length first: no two pairs of scope and id are one text.
        digest.update((scope.len() as u64).to_be_bytes());
        digest.update(scope);
        match &self.deduplication {
            Some(id) => digest.update(id),
            None => digest.update(content_id(&self.body)),
        }
        let whole: [u8; 32] = digest.finalize().into();
        std::array::from_fn(|at| whole[at])
    }
}

/// The deduplication id of a message that came without one.
pub fn content_id(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

fn id(fields: Fields<'_>, name: &str) -> Result<Option<String>> {
    let id = fields.text(name)?;
    if let Some(id) = id.as_ref().filter(|id| !is_id(id)) {
        let reason = format!(
            "{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        );
        return Err(SqsError::value(id, name, &reason));
    }
    Ok(id)
}

/// What a sender is answered beside the message's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentReply {
    md5_of_body: String,
    md5_of_attributes: Option<String>,
    md5_of_system_attributes: Option<String>,
    is_fifo: bool,
}

impl SentReply {
    pub fn write(&self, sent: &Sent, writer: &mut Writer) {
        writer.text("MessageId", &sent.id.to_string());
        writer.text("MD5OfMessageBody", &self.md5_of_body);
        writer.maybe("MD5OfMessageAttributes", self.md5_of_attributes.as_deref());
        let system = self.md5_of_system_attributes.as_deref();
        writer.maybe("MD5OfMessageSystemAttributes", system);
        if self.is_fifo {
            writer.text("SequenceNumber", &sequence_number(sent.offset.0));
        }
    }
}

/// An offset as a sequence number: 20 digits, so that texts compare as numbers.
pub fn sequence_number(offset: i64) -> String {
    format!("{offset:020}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Protocol, json};

    const STANDARD: QueueRules = QueueRules {
        is_fifo: false,
        content_based_deduplication: false,
        deduplicates_by_group: false,
        message_bytes_max: 1024,
    };
    const FIFO: QueueRules = QueueRules {
        is_fifo: true,
        ..STANDARD
    };

    fn read(message: serde_json::Value) -> Result<Outgoing> {
        let body = Bytes::from(message.to_string());
        let value = json::decode(&body).unwrap();
        Outgoing::read(Fields::new(&value, Protocol::Json, &body))
    }

    fn sealed(message: serde_json::Value, rules: QueueRules) -> Result<NewMessage> {
        Ok(read(message)?.seal(rules, None)?.0)
    }

    #[test]
    fn the_kind_of_the_queue_decides_what_is_needed() {
        let plain = serde_json::json!({"MessageBody": "m", "DelaySeconds": 5});
        let message = sealed(plain.clone(), STANDARD).unwrap();
        assert_eq!(message.delay, Some(Duration::from_secs(5)));
        assert_eq!(message.deduplication, None);
        let refusal = sealed(plain, FIFO).unwrap_err();
        assert_eq!(refusal.code, Code::MissingParameter);
        let grouped = serde_json::json!({"MessageBody": "m", "MessageGroupId": "g"});
        assert!(sealed(grouped.clone(), STANDARD).unwrap().group.is_some());
        assert_eq!(
            sealed(grouped.clone(), FIFO).unwrap_err().code,
            Code::InvalidParameter
        );
        let by_content = QueueRules {
            content_based_deduplication: true,
            ..FIFO
        };
        assert!(sealed(grouped, by_content).unwrap().deduplication.is_some());
        let named = serde_json::json!({"MessageBody": "m", "MessageDeduplicationId": "d"});
        assert_eq!(
            sealed(named, STANDARD).unwrap_err().code,
            Code::InvalidParameter
        );
    }

    #[test]
    fn content_and_its_digest_as_an_id_are_the_same_and_groups_tell_apart() {
        let by_content = QueueRules {
            content_based_deduplication: true,
            ..FIFO
        };
        let by_group = QueueRules {
            deduplicates_by_group: true,
            ..by_content
        };
        let of = |group: &str, id: Option<String>, rules| {
            let message = serde_json::json!({
                "MessageBody": "m", "MessageGroupId": group, "MessageDeduplicationId": id,
            });
            sealed(message, rules).unwrap().deduplication
        };
        let content = of("g", None, by_content);
        assert_eq!(of("h", Some(content_id(b"m")), by_content), content);
        assert_ne!(of("g", None, by_group), of("h", None, by_group));
    }

    #[test]
    fn limits_and_characters_are_held() {
        let long = serde_json::json!({"MessageBody": "m".repeat(1025)});
        let refusal = sealed(long, STANDARD).unwrap_err();
        assert!(refusal.message.contains("shorter than 1024 bytes"));
        let code = |message| read(message).err().map(|refusal| refusal.code);
        let wrong = [
            (serde_json::json!({}), Code::MissingParameter),
            (
                serde_json::json!({"MessageBody": ""}),
                Code::MissingParameter,
            ),
            (
                serde_json::json!({"MessageBody": "\u{b}"}),
                Code::InvalidMessageContents,
            ),
            (
                serde_json::json!({"MessageBody": "m", "DelaySeconds": 901}),
                Code::InvalidParameter,
            ),
            (
                serde_json::json!({"MessageBody": "m", "MessageGroupId": " "}),
                Code::InvalidParameter,
            ),
            (
                serde_json::json!({"MessageBody": "m", "MessageSystemAttributes": {
                    "Other": {"DataType": "String", "StringValue": "v"}}}),
                Code::InvalidParameter,
            ),
        ];
        for (message, expected) in wrong {
            assert_eq!(code(message), Some(expected));
        }
    }

    #[test]
    fn sequence_numbers_compare_as_texts() {
        assert_eq!(sequence_number(5), "00000000000000000005");
    }
}
