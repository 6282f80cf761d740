//! Message attributes: read, checked, digested, written.

use bytes::Bytes;
use md5::{Digest, Md5};

use super::contents::{ALLOWED, hex, is_allowed};
use crate::errors::{Code, Result, SqsError};
use crate::limits::{ATTRIBUTE_NAME_MAX, MESSAGE_ATTRIBUTES_MAX};
use crate::protocol::fields::NAME_VALUE;
use crate::protocol::{Fields, Name, Writer};

const ATTRIBUTES: Name = Name::new("MessageAttributes", "MessageAttribute");
const STRING_LIST: Name = Name::new("StringListValues", "StringListValue");
const BINARY_LIST: Name = Name::new("BinaryListValues", "BinaryListValue");

/// One attribute of a message (SQS: MessageAttributeValue, with its name).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    /// `String`, `Number` or `Binary`, and perhaps a label: `Number.int`.
    pub data_type: String,
    /// UTF-8 unless the type is binary.
    pub value: Bytes,
}

impl Attribute {
    pub fn is_binary(&self) -> bool {
        self.data_type.starts_with("Binary")
    }

    /// What it counts against the limit of a message.
    pub fn bytes(&self) -> usize {
        self.name.len() + self.data_type.len() + self.value.len()
    }
}

/// A message's attributes, or its system attributes, checked.
///
/// # Errors
/// As the service refuses them.
pub fn read_attributes(fields: Fields<'_>, name: Name) -> Result<Vec<Attribute>> {
    let entries = fields.structures(name, NAME_VALUE)?;
    if entries.len() > MESSAGE_ATTRIBUTES_MAX {
        let count = entries.len();
        let message = format!(
            "Number of message attributes [{count}] exceeds the allowed maximum [{MESSAGE_ATTRIBUTES_MAX}]."
        );
        return Err(SqsError::new(Code::InvalidParameter, message));
    }
    let mut attributes: Vec<Attribute> = Vec::with_capacity(entries.len());
    for (name, fields) in entries {
        if attributes.iter().any(|known| known.name == name) {
            return Err(refused(&name, "is there twice"));
        }
        attributes.push(read_attribute(name, fields)?);
    }
    Ok(attributes)
}

fn refused(name: &str, why: &str) -> SqsError {
    let shown: String = name.chars().take(100).collect();
    let message = format!("The message attribute '{shown}' {why}.");
    SqsError::new(Code::InvalidParameter, message)
}

fn read_attribute(name: String, fields: Fields<'_>) -> Result<Attribute> {
    check_name(&name)?;
    let data_type = fields.text("DataType")?.unwrap_or_default();
    let (base, label) = match data_type.split_once('.') {
        Some((base, label)) => (base, Some(label)),
        None => (data_type.as_str(), None),
    };
    let is_known = matches!(base, "String" | "Number" | "Binary");
    let is_short = data_type.chars().count() <= ATTRIBUTE_NAME_MAX;
    if !is_known || !is_short || label.is_some_and(|label| label.is_empty() || !is_allowed(label)) {
        let why = "must have a type that is Binary, Number or String, with a label behind a period \
                   or without";
        return Err(refused(&name, why));
    }
    let lists = [STRING_LIST, BINARY_LIST];
    if lists
        .iter()
        .any(|list| !matches!(fields.texts(*list), Ok(texts) if texts.is_empty()))
    {
        let message = "Message attribute list values in SendMessage operation are not supported.";
        return Err(SqsError::new(Code::UnsupportedOperation, message));
    }
    let value = match base {
        "Binary" => fields.blob("BinaryValue")?,
        _ => fields.bytes("StringValue")?,
    };
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        let why = format!("must contain a non-empty value of type '{base}'");
        return Err(refused(&name, &why));
    };
    if base != "Binary" {
        let text = std::str::from_utf8(&value).unwrap_or_default();
        if !is_allowed(text) {
            return Err(SqsError::new(Code::InvalidMessageContents, ALLOWED));
        }
        if base == "Number" && !is_number(text) {
            return Err(refused(&name, "is not a number"));
        }
    }
    Ok(Attribute {
        name,
        data_type,
        value,
    })
}

fn check_name(name: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_legal = (1..=ATTRIBUTE_NAME_MAX).contains(&name.len())
        && name.chars().all(legal)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..");
    if !is_legal {
        let why = "must have a name of letters, digits, underscores, hyphens and single periods \
                   within it";
        return Err(refused(name, why));
    }
    let lower = name.to_ascii_lowercase();
    let taken = ["aws.", "amazon.", super::RESERVED];
    if taken.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(refused(name, "has a reserved prefix"));
    }
    Ok(())
}

/// A decimal number, with a fraction and an exponent or without.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
}

/// MD5OfMessageAttributes: over the attributes in the order of their names, each length in four
/// bytes, big endian; the value's kind is one byte between type and value.
pub fn digest(attributes: &[Attribute]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut sorted: Vec<&Attribute> = attributes.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut md5 = Md5::new();
    for attribute in sorted {
        add(&mut md5, attribute.name.as_bytes());
        add(&mut md5, attribute.data_type.as_bytes());
        md5.update([if attribute.is_binary() { 2 } else { 1 }]);
        add(&mut md5, &attribute.value);
    }
    Some(hex(&md5.finalize()))
}

fn add(md5: &mut Md5, bytes: &[u8]) {
    // Far below 4 GiB: the request's limit holds it.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    md5.update(length.to_be_bytes());
    md5.update(bytes);
}

/// Whether a name means every attribute: `All`, and kombu's `ALL`.
pub fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("All")
}

/// The attributes that a receive asks for: `All`, `.*`, a name, or `prefix.*`.
pub fn filter(attributes: &mut Vec<Attribute>, wanted: &[String]) {
    attributes.retain(|attribute| {
        wanted.iter().any(|wanted| match wanted.as_str() {
            ".*" | "*" => true,
            name if is_all(name) => true,
            name => match name.strip_suffix(".*") {
                Some(prefix) => attribute.name.starts_with(prefix),
                None => attribute.name == name,
            },
        })
    });
}

pub fn write_attributes(writer: &mut Writer, attributes: &[Attribute]) {
    let items: Vec<(&str, &Attribute)> = attributes
        .iter()
        .map(|attribute| (attribute.name.as_str(), attribute))
        .collect();
    writer.structures(ATTRIBUTES, NAME_VALUE, &items, |writer, attribute| {
        if attribute.is_binary() {
            writer.blob("BinaryValue", &attribute.value);
        } else {
            let text = std::str::from_utf8(&attribute.value).unwrap_or_default();
            writer.text("StringValue", text);
        }
        writer.text("DataType", &attribute.data_type);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Protocol, json};

    fn string(name: &str, value: &'static str) -> Attribute {
        Attribute {
            name: name.to_owned(),
            data_type: "String".to_owned(),
            value: Bytes::from_static(value.as_bytes()),
        }
    }

    fn read(attributes: serde_json::Value) -> Result<Vec<Attribute>> {
        let body = Bytes::from(serde_json::json!({"MessageAttributes": attributes}).to_string());
        let value = json::decode(&body).unwrap();
        read_attributes(Fields::new(&value, Protocol::Json, &body), ATTRIBUTES)
    }

    #[test]
    fn digests_are_those_of_the_service() {
        // Recorded there, each with the attributes that a filter left.
        let all = [
            string("Help.Me", "Me"),
            string("Hello", "There"),
            string("General", "Kenobi"),
        ];
        assert_eq!(digest(&all).unwrap(), "4c360f3fdafd970e05fae2f149d997f5");
        assert_eq!(
            digest(&all[1..]).unwrap(),
            "fca026605781cb4126a1e9044df24232"
        );
        assert_eq!(
            digest(&all[..2]).unwrap(),
            "83fee93c1bcd8b9a5a923ffacdc636c7"
        );
        let binary = Attribute {
            name: "attr1".to_owned(),
            data_type: "Binary".to_owned(),
            value: Bytes::from_static(
                b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01",
            ),
        };
        assert_eq!(
            digest(&[binary]).unwrap(),
            "8cbe4db156db8a94db8b801b7addb984"
        );
        assert_eq!(digest(&[]), None);
    }

    #[test]
    fn a_filter_takes_names_prefixes_or_all() {
        let all = vec![
            string("Help.Me", "Me"),
            string("Hello", "There"),
            string("General", "Kenobi"),
        ];
        let left = |wanted: &[&str]| {
            let mut attributes = all.clone();
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            filter(&mut attributes, &wanted);
            attributes.len()
        };
        assert_eq!((left(&["All"]), left(&[".*"]), left(&[])), (3, 3, 0));
        assert_eq!((left(&["Hel.*"]), left(&["Hello", "No"])), (2, 1));
        assert_eq!(left(&["hello"]), 0);
    }

    #[test]
    fn what_the_service_refuses_is_refused() {
        let text = |value: &str| serde_json::json!({"DataType": "String", "StringValue": value});
        for name in [
            "", ".a", "a.", "a..b", "a b", "AWS.x", "amazon.x", "Levada.x", "ü",
        ] {
            let refusal = read(serde_json::json!({name: text("v")})).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidParameter, "{name}");
        }
        for (wrong, code) in [
            (text(""), Code::InvalidParameter),
            (text("\u{1}"), Code::InvalidMessageContents),
            (
                serde_json::json!({"StringValue": "v"}),
                Code::InvalidParameter,
            ),
            (
                serde_json::json!({"DataType": "Text", "StringValue": "v"}),
                Code::InvalidParameter,
            ),
            (
                serde_json::json!({"DataType": "String.", "StringValue": "v"}),
                Code::InvalidParameter,
            ),
            (
                serde_json::json!({"DataType": "Number", "StringValue": "inf"}),
                Code::InvalidParameter,
            ),
            (
                serde_json::json!({"DataType": "Binary", "StringValue": "v"}),
                Code::InvalidParameter,
            ),
            (
                serde_json::json!({"DataType": "String", "StringValue": "v", "StringListValues": ["a"]}),
                Code::UnsupportedOperation,
            ),
        ] {
            assert_eq!(
                read(serde_json::json!({"a": wrong})).unwrap_err().code,
                code
            );
        }
        let good = serde_json::json!({
            "n": {"DataType": "Number.int", "StringValue": "-1.5e3"},
            "b": {"DataType": "Binary.png", "BinaryValue": "AAE="},
        });
        assert_eq!(read(good).unwrap().len(), 2);
        let many: serde_json::Map<_, _> = (0..11).map(|n| (n.to_string(), text("v"))).collect();
        assert!(read(many.into()).unwrap_err().message.contains("[11]"));
    }
}
