//! What an action reads out of a structure of its request, whichever protocol it came in.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Name, Protocol, Value};
use crate::errors::{Result, SqsError};

/// The name of a map's key and value in a form, as in `Attribute.1.Name`.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub key: &'static str,
    pub value: &'static str,
}

/// Attributes of queues and messages.
pub const NAME_VALUE: Pair = Pair {
    key: "Name",
    value: "Value",
};
/// Tags.
pub const KEY_VALUE: Pair = Pair {
    key: "Key",
    value: "Value",
};

/// One structure of a request. Errors are SerializationException unless said otherwise.
#[derive(Clone, Copy)]
pub struct Fields<'v> {
    value: &'v Value<'v>,
    protocol: Protocol,
    /// The body that `value` borrows from.
    body: &'v Bytes,
}

impl<'v> Fields<'v> {
    pub fn new(value: &'v Value<'v>, protocol: Protocol, body: &'v Bytes) -> Self {
        Self {
            value,
            protocol,
            body,
        }
    }

    fn within(&self, value: &'v Value<'v>) -> Self {
        Self { value, ..*self }
    }

    fn str(&self, name: &str) -> Result<Option<&'v Cow<'v, str>>> {
        match self.value.member(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "a string", other)),
        }
    }

    pub fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(self.str(name)?.map(|text| text.to_string()))
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// MissingParameter, also where it is empty.
    pub fn needed(&self, name: &str) -> Result<String> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| SqsError::missing(name))
    }

    /// A text's bytes, UTF-8; a part of the body where it stands there as it is.
    pub fn bytes(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(self.str(name)?.map(|text| match text {
            // Only JSON borrows, and only from this body.
            Cow::Borrowed(text) if self.protocol == Protocol::Json => {
                self.body.slice_ref(text.as_bytes())
            }
            text => Bytes::copy_from_slice(text.as_bytes()),
        }))
    }

    /// Bytes in base64.
    pub fn blob(&self, name: &str) -> Result<Option<Bytes>> {
        let Some(text) = self.str(name)? else {
            return Ok(None);
        };
        let bytes = STANDARD.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| SqsError::malformed(format!("{name} is not base64.")))?;
        Ok(Some(bytes.into()))
    }

    pub fn number(&self, name: &str) -> Result<Option<i64>> {
        match (self.value.member(name), self.protocol) {
            (None, _) => Ok(None),
            (Some(Value::Int(number)), _) => Ok(Some(*number)),
            (Some(Value::Text(text)), Protocol::Query) => match text.trim().parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) if text.is_empty() => Ok(None),
                Err(_) => {
                    let shown: String = text.chars().take(40).collect();
                    Err(SqsError::malformed(format!(
                        "{name} is no whole number: {shown}"
                    )))
                }
            },
            (Some(other), _) => Err(wrong(name, "a whole number", other)),
        }
    }

    /// A whole number in a range.
    ///
    /// # Errors
    /// InvalidParameterValue.
    pub fn number_within(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>> {
        let number = self.number(name)?;
        match number {
            Some(number) if number < min || number > max => {
                let reason = format!("Must be between {min} and {max}, if provided.");
                Err(SqsError::value(number, name, &reason))
            }
            number => Ok(number),
        }
    }

    /// The items of a list: JSON's own, or a form's `Name.1`, `Name.2` in the order of numbers.
    fn items(&self, name: Name) -> Result<Vec<&'v Value<'v>>> {
        let shown = name.of(self.protocol);
        match (self.value.member(shown), self.protocol) {
            (None, _) => Ok(Vec::new()),
            (Some(Value::List(items)), Protocol::Json) => Ok(items.iter().collect()),
            (Some(Value::Map(members)), Protocol::Query) => {
                let mut numbered = Vec::with_capacity(members.len());
                for (number, item) in members {
                    let number: u32 = number
                        .parse()
                        .map_err(|_| SqsError::malformed(format!("{shown} must be numbered.")))?;
                    numbered.push((number, item));
                }
                numbered.sort_by_key(|(number, _)| *number);
                Ok(numbered.into_iter().map(|(_, item)| item).collect())
            }
            // `AttributeName=All`, as the oldest clients write a list of one.
            (Some(one @ Value::Text(_)), Protocol::Query) => Ok(vec![one]),
            (Some(other), _) => Err(wrong(shown, "a list", other)),
        }
    }

    pub fn texts(&self, name: Name) -> Result<Vec<String>> {
        let items = self.items(name)?.into_iter();
        let text = |item: &Value<'_>| match item {
            Value::Text(text) => Ok(text.to_string()),
            other => Err(wrong(name.json, "a list of strings", other)),
        };
        items.map(text).collect()
    }

    /// A list of structures.
    pub fn list(&self, name: Name) -> Result<Vec<Fields<'v>>> {
        let items = self.items(name)?.into_iter();
        let structure = |item: &'v Value<'v>| match item {
            Value::Map(_) => Ok(self.within(item)),
            other => Err(wrong(name.json, "a list of structures", other)),
        };
        items.map(structure).collect()
    }

    /// A map to texts, in the order of the request.
    pub fn pairs(&self, name: Name, pair: Pair) -> Result<Vec<(String, String)>> {
        let entries = self.entries(name, pair)?.into_iter();
        let text = |(key, value): (String, &Value<'_>)| match value {
            Value::Text(text) => Ok((key, text.to_string())),
            other => Err(wrong(&key, "a string", other)),
        };
        entries.map(text).collect()
    }

    /// A map to structures, in the order of the request.
    pub fn structures(&self, name: Name, pair: Pair) -> Result<Vec<(String, Fields<'v>)>> {
        let entries = self.entries(name, pair)?.into_iter();
        let structure = |(key, value): (String, &'v Value<'v>)| match value {
            Value::Map(_) => Ok((key, self.within(value))),
            other => Err(wrong(&key, "a structure", other)),
        };
        entries.map(structure).collect()
    }

    fn entries(&self, name: Name, pair: Pair) -> Result<Vec<(String, &'v Value<'v>)>> {
        if self.protocol == Protocol::Json {
            return match self.value.member(name.json) {
                None => Ok(Vec::new()),
                Some(Value::Map(members)) => Ok(members
                    .iter()
                    .filter(|(_, value)| *value != Value::Null)
                    .map(|(key, value)| (key.to_string(), value))
                    .collect()),
                Some(other) => Err(wrong(name.json, "a map", other)),
            };
        }
        let items = self.items(name)?.into_iter();
        let entry = |item: &'v Value<'v>| match (item.member(pair.key), item.member(pair.value)) {
            (Some(Value::Text(key)), Some(value)) => Ok((key.to_string(), value)),
            _ => Err(SqsError::malformed(format!(
                "{} needs a {} and a {} each.",
                name.query, pair.key, pair.value
            ))),
        };
        items.map(entry).collect()
    }
}

fn wrong(name: &str, wanted: &str, value: &Value<'_>) -> SqsError {
    let shown: String = name.chars().take(100).collect();
    SqsError::malformed(format!("{shown} must be {wanted}, not {}.", value.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Code;
    use crate::protocol::{json, query};

    const ATTRIBUTES: Name = Name::new("Attributes", "Attribute");
    const NAMES: Name = Name::new("AttributeNames", "AttributeName");
    const ENTRIES: Name = Name::new("Entries", "Entry");

    /// What the same request reads as in both protocols.
    fn both(json: &str, form: &str, check: impl Fn(Fields<'_>)) {
        let body = Bytes::copy_from_slice(json.as_bytes());
        let value = json::decode(&body).unwrap();
        check(Fields::new(&value, Protocol::Json, &body));
        let value = query::tree(query::pairs(form.as_bytes()).unwrap()).unwrap();
        check(Fields::new(&value, Protocol::Query, &Bytes::new()));
    }

    #[test]
    fn both_protocols_read_the_same() {
        both(
            r#"{"Attributes":{"A":"1","B":"2"},"AttributeNames":["x","y"],"N":5,"Blob":"AAE=",
                "Entries":[{"Id":"a"},{"Id":"b"}]}"#,
            "Attribute.1.Name=A&Attribute.1.Value=1&Attribute.2.Name=B&Attribute.2.Value=2&N=5\
             &AttributeName.2=y&AttributeName.1=x&Blob=AAE%3D&Entry.10.Id=b&Entry.2.Id=a",
            |fields| {
                let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
                let pairs = fields.pairs(ATTRIBUTES, NAME_VALUE).unwrap();
                assert_eq!(pairs, [pair("A", "1"), pair("B", "2")]);
                assert_eq!(fields.texts(NAMES).unwrap(), ["x", "y"]);
                assert_eq!(fields.number("N").unwrap(), Some(5));
                assert_eq!(fields.blob("Blob").unwrap().unwrap(), &[0, 1][..]);
                let entries = fields.list(ENTRIES).unwrap();
                let ids: Vec<_> = entries.iter().map(|e| e.needed("Id").unwrap()).collect();
                assert_eq!(ids, ["a", "b"]);
                assert_eq!(
                    fields.needed("Id").unwrap_err().code,
                    Code::MissingParameter
                );
                let low = fields.number_within("N", 6, 9).unwrap_err();
                assert_eq!(low.code, Code::InvalidParameter);
            },
        );
    }

    #[test]
    fn other_types_are_refused() {
        both(
            r#"{"Attributes":"x","AttributeNames":[{}],"N":"a","Blob":"*","Entries":{"a":1}}"#,
            "Attribute.1=x&AttributeName.a=1&N=a&Blob=*&Entry.1=x",
            |fields| {
                let failures = [
                    fields.pairs(ATTRIBUTES, NAME_VALUE).unwrap_err(),
                    fields.structures(ATTRIBUTES, NAME_VALUE).err().unwrap(),
                    fields.texts(NAMES).unwrap_err(),
                    fields.number("N").unwrap_err(),
                    fields.blob("Blob").unwrap_err(),
                    fields.list(ENTRIES).err().unwrap(),
                ];
                assert!(failures.iter().all(|e| e.code == Code::Malformed));
            },
        );
    }
}
