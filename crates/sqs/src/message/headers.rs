//! Attributes as record headers: a header's name is the attribute's, its value the attribute's
//! bytes. Types other than `String`, and what the service knows of a message beside its attributes,
//! stand in headers of our own, so that a Kafka reader sees what was sent and nothing encoded.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Attribute;
use super::contents::is_allowed;

/// Names of our own headers begin so; they are never shown as attributes.
pub const RESERVED: &str = "levada.";
/// JSON: the name of an attribute to its type, for types other than `String`.
const TYPES: &str = "levada.attribute-types";
const SENDER: &str = "levada.sender-id";
const TRACE: &str = "levada.trace-header";
const DEDUPLICATION: &str = "levada.deduplication-id";

/// What stands in the headers of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub attributes: Vec<Attribute>,
    /// Who sent it, where senders have names.
    pub sender: Option<String>,
    /// AWSTraceHeader.
    pub trace: Option<Bytes>,
    /// As the client gave it.
    pub deduplication: Option<String>,
}

impl Stored {
    /// The record's headers.
    pub fn into_headers(self) -> Vec<(String, Option<Bytes>)> {
        let typed: BTreeMap<&str, &str> = self
            .attributes
            .iter()
            .filter(|attribute| attribute.data_type != "String")
            .map(|attribute| (attribute.name.as_str(), attribute.data_type.as_str()))
            .collect();
        let types = match typed.is_empty() {
            true => None,
            // Two texts each: there is nothing that could not be written.
            false => serde_json::to_vec(&typed).ok(),
        };
        let mut headers: Vec<(String, Option<Bytes>)> = self
            .attributes
            .into_iter()
            .map(|attribute| (attribute.name, Some(attribute.value)))
            .collect();
        let ours = [
            (TYPES, types.map(Bytes::from)),
            (SENDER, self.sender.map(Bytes::from)),
            (TRACE, self.trace),
            (DEDUPLICATION, self.deduplication.map(Bytes::from)),
        ];
        for (name, value) in ours {
            if value.is_some() {
                headers.push((name.to_owned(), value));
            }
        }
        headers
    }

    /// Of a record that anybody may have written: a header without a type is a `String` if it can
    /// be one, else `Binary`; of headers of one name the last one counts, as Kafka's `lastHeader`.
    pub fn from_headers(headers: Vec<(String, Option<Bytes>)>) -> Self {
        let mut stored = Self::default();
        let mut types: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in headers {
            let value = value.unwrap_or_default();
            match name.as_str() {
                TYPES => types = serde_json::from_slice(&value).unwrap_or_default(),
                SENDER => stored.sender = text(&value),
                TRACE => stored.trace = text(&value).map(Bytes::from),
                DEDUPLICATION => stored.deduplication = text(&value),
                other if other.starts_with(RESERVED) || !is_allowed(other) => {}
                _ => {
                    stored.attributes.retain(|known| known.name != name);
                    stored.attributes.push(Attribute {
                        name,
                        data_type: String::new(),
                        value,
                    });
                }
            }
        }
        for attribute in &mut stored.attributes {
            let is_text = text(&attribute.value).is_some();
            attribute.data_type = match types.remove(&attribute.name) {
                Some(named) if is_text || named.starts_with("Binary") => named,
                _ if is_text => "String".to_owned(),
                _ => "Binary".to_owned(),
            };
        }
        stored
    }
}

fn text(value: &Bytes) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    is_allowed(text).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(name: &str, data_type: &str, value: &'static [u8]) -> Attribute {
        Attribute {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            value: Bytes::from_static(value),
        }
    }

    #[test]
    fn what_is_stored_comes_back() {
        let stored = Stored {
            attributes: vec![
                attribute("color", "String", b"red"),
                attribute("count", "Number.int", b"5"),
                attribute("image", "Binary", b"looks like text"),
            ],
            sender: Some("AKID".to_owned()),
            trace: Some(Bytes::from_static(b"Root=1-5")),
            deduplication: Some("d".to_owned()),
        };
        let headers = stored.clone().into_headers();
        assert_eq!(headers[0], ("color".to_owned(), Some("red".into())));
        let types = Some(Bytes::from_static(
            br#"{"count":"Number.int","image":"Binary"}"#,
        ));
        assert_eq!(headers[3], ("levada.attribute-types".to_owned(), types));
        assert_eq!(Stored::from_headers(headers), stored);
        assert!(Stored::default().into_headers().is_empty());
    }

    #[test]
    fn headers_of_a_kafka_producer_are_attributes() {
        let header =
            |name: &str, value: &'static [u8]| (name.to_owned(), Some(Bytes::from_static(value)));
        let stored = Stored::from_headers(vec![
            header("a", b"old"),
            header("b", &[0xff]),
            header("a", b"new"),
            header("levada.other", b"x"),
            header("levada.attribute-types", b"{\"b\":\"Number\""),
            header("\0", b"x"),
            ("c".to_owned(), None),
        ]);
        let expected = [
            attribute("b", "Binary", &[0xff]),
            attribute("a", "String", b"new"),
            attribute("c", "String", b""),
        ];
        assert_eq!(stored.attributes, expected);
    }
}
