//! How a record is printed: templates such as `{offset} {key} {value}`, and JSON lines.

use std::str::FromStr;

use levada_client::consumer::ConsumedRecord;
use serde::Serialize;

use crate::when::show_time;

/// What is accepted, for help and errors.
pub const TEMPLATE_HELP: &str = "{topic}, {partition}, {offset}, {timestamp}, {timestamp_ms}, \
     {key}, {value}, {size}, {headers}, {header:NAME}; \\n and \\t; {{ and }} for braces";

/// A record with where it comes from.
#[derive(Clone, Copy)]
pub struct Printed<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub record: &'a ConsumedRecord,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Topic,
    Partition,
    Offset,
    Timestamp,
    TimestampMs,
    Key,
    Value,
    Size,
    Headers,
    Header(String),
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\\' => match rest.next() {
                    Some('n') => plain.push('\n'),
                    Some('t') => plain.push('\t'),
                    Some('\\') => plain.push('\\'),
                    Some(other) => plain.extend(['\\', other]),
                    None => plain.push('\\'),
                },
                '{' | '}' if rest.peek() == Some(&c) => {
                    rest.next();
                    plain.push(c);
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(format!("'{{{name}' is not closed by '}}'")),
                        }
                    }
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(named(&name)?);
                }
                _ => plain.push(c),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }
}

fn named(name: &str) -> Result<Part, String> {
    Ok(match name {
        "topic" => Part::Topic,
        "partition" => Part::Partition,
        "offset" => Part::Offset,
        "timestamp" => Part::Timestamp,
        "timestamp_ms" => Part::TimestampMs,
        "key" => Part::Key,
        "value" => Part::Value,
        "size" => Part::Size,
        "headers" => Part::Headers,
        _ => match name.strip_prefix("header:") {
            Some(header) if !header.is_empty() => Part::Header(header.to_owned()),
            _ => return Err(format!("'{{{name}}}' is no field: use {TEMPLATE_HELP}")),
        },
    })
}

impl Template {
    /// Appends a record and a line end. `safe` keeps control characters from a terminal.
    pub fn print(&self, printed: Printed<'_>, safe: bool, out: &mut Vec<u8>) {
        let record = printed.record;
        let bytes = |value: Option<&[u8]>, out: &mut Vec<u8>| {
            let value = value.unwrap_or_default();
            if safe {
                out.extend_from_slice(visible(value).as_bytes());
            } else {
                out.extend_from_slice(value);
            }
        };
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Topic => out.extend_from_slice(printed.topic.as_bytes()),
                Part::Partition => out.extend_from_slice(printed.partition.to_string().as_bytes()),
                Part::Offset => out.extend_from_slice(record.offset.to_string().as_bytes()),
                Part::Timestamp => {
                    out.extend_from_slice(show_time(record.timestamp_ms).as_bytes());
                }
                Part::TimestampMs => {
                    out.extend_from_slice(record.timestamp_ms.to_string().as_bytes());
                }
                Part::Key => bytes(record.key.as_deref(), out),
                Part::Value => bytes(record.value.as_deref(), out),
                Part::Size => {
                    let size = record.value.as_ref().map_or(0, bytes::Bytes::len);
                    out.extend_from_slice(size.to_string().as_bytes());
                }
                Part::Headers => {
                    for (index, header) in record.headers.iter().enumerate() {
                        if index > 0 {
                            out.push(b',');
                        }
                        bytes(Some(&header.key), out);
                        out.push(b'=');
                        bytes(header.value.as_deref(), out);
                    }
                }
                Part::Header(name) => {
                    let found = record.headers.iter().rfind(|h| h.key == name.as_bytes());
                    bytes(found.and_then(|header| header.value.as_deref()), out);
                }
            }
        }
        out.push(b'\n');
    }
}

/// Text for a terminal: what is not UTF-8 or would move the cursor is replaced.
fn visible(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| match c {
            '\t' | '\n' => c,
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[derive(Serialize)]
struct JsonHeader<'a> {
    key: String,
    #[serde(flatten)]
    value: JsonBytes<'a>,
}

/// Text where it is text; else base64 under another key.
enum JsonBytes<'a> {
    Null,
    Text(&'a str),
    Binary(&'a [u8]),
}

impl<'a> JsonBytes<'a> {
    fn new(bytes: Option<&'a [u8]>) -> Self {
        match bytes {
            None => Self::Null,
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(text),
                Err(_) => Self::Binary(bytes),
            },
        }
    }

    fn put<M: serde::ser::SerializeMap>(
        &self,
        map: &mut M,
        name: &'static str,
        base64_name: &'static str,
    ) -> Result<(), M::Error> {
        match self {
            Self::Null => map.serialize_entry(name, &()),
            Self::Text(text) => map.serialize_entry(name, text),
            Self::Binary(bytes) => map.serialize_entry(base64_name, &base64(bytes)),
        }
    }
}

impl Serialize for JsonBytes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(1))?;
        self.put(&mut map, "value", "value_base64")?;
        map.end()
    }
}

impl Serialize for Printed<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let record = self.record;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("topic", self.topic)?;
        map.serialize_entry("partition", &self.partition)?;
        map.serialize_entry("offset", &record.offset)?;
        map.serialize_entry("timestamp_ms", &record.timestamp_ms)?;
        map.serialize_entry("timestamp", &show_time(record.timestamp_ms))?;
        JsonBytes::new(record.key.as_deref()).put(&mut map, "key", "key_base64")?;
        JsonBytes::new(record.value.as_deref()).put(&mut map, "value", "value_base64")?;
        let headers: Vec<JsonHeader<'_>> = record
            .headers
            .iter()
            .map(|header| JsonHeader {
                key: String::from_utf8_lossy(&header.key).into_owned(),
                value: JsonBytes::new(header.value.as_deref()),
            })
            .collect();
        map.serialize_entry("headers", &headers)?;
        map.end()
    }
}

/// Standard base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .zip([16, 8, 0])
            .fold(0u32, |word, (byte, shift)| word | u32::from(*byte) << shift);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS[(word >> shift & 63) as usize];
            text.push(if index <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_records::Header;

    fn record() -> ConsumedRecord {
        ConsumedRecord {
            offset: 7,
            timestamp_ms: 1_795_240_920_250,
            key: Some("k".into()),
            value: Some("va\x1b[2Jlue".into()),
            headers: vec![Header {
                key: "trace".into(),
                value: Some("abc".into()),
            }],
        }
    }

    fn print(template: &str, safe: bool) -> String {
        let mut out = Vec::new();
        let record = record();
        let printed = Printed {
            topic: "t",
            partition: 3,
            record: &record,
        };
        template
            .parse::<Template>()
            .unwrap()
            .print(printed, safe, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_field_has_its_place() {
        assert_eq!(
            print(
                "{topic}/{partition}@{offset} {timestamp_ms} {key} {size}",
                false
            ),
            "t/3@7 1795240920250 k 9\n"
        );
        assert_eq!(
            print("{headers} {header:trace}{header:none}", false),
            "trace=abc abc\n"
        );
        assert_eq!(
            print("{{{key}}}\\t{timestamp}", false),
            "{k}\t2026-11-21T06:02:00.250Z\n"
        );
    }

    #[test]
    fn a_terminal_never_sees_control_characters() {
        assert_eq!(print("{value}", false), "va\x1b[2Jlue\n");
        assert_eq!(print("{value}", true), "va\u{fffd}[2Jlue\n");
    }

    #[test]
    fn a_wrong_template_is_refused_with_the_fields() {
        assert!(
            "{ofset}"
                .parse::<Template>()
                .unwrap_err()
                .contains("{offset}")
        );
        assert!("{offset".parse::<Template>().is_err());
        assert!("{header:}".parse::<Template>().is_err());
    }

    #[test]
    fn json_keeps_text_as_text_and_the_rest_as_base64() {
        let mut record = record();
        record.value = Some(vec![0xff, 0xfe].into());
        record.key = None;
        let printed = Printed {
            topic: "t",
            partition: 3,
            record: &record,
        };
        let json = serde_json::to_value(printed).unwrap();
        assert_eq!(json["value_base64"], "//4=");
        assert_eq!(json["key"], serde_json::Value::Null);
        assert_eq!(json["headers"][0]["key"], "trace");
        assert_eq!(json["headers"][0]["value"], "abc");
        assert_eq!(json["timestamp"], "2026-11-21T06:02:00.250Z");
    }

    #[test]
    fn base64_is_padded() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foo"), "Zm9v");
    }
}
