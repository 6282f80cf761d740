//! AWS JSON 1.0: a JSON body, the action in `X-Amz-Target`.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::Value;
use crate::errors::{Result, SqsError};
use crate::limits::{VALUE_DEPTH_MAX, VALUES_MAX};

/// The body of a request; an empty one is an empty structure.
///
/// # Errors
/// SerializationException.
pub fn decode(body: &[u8]) -> Result<Value<'_>> {
    if body.is_empty() {
        return Ok(Value::Map(Vec::new()));
    }
    let left = Cell::new(VALUES_MAX);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let seed = Seed {
        left: &left,
        depth: 0,
    };
    let value = seed
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| SqsError::malformed(format!("The body cannot be read: {error}")))?;
    match value {
        Value::Map(_) => Ok(value),
        other => Err(SqsError::malformed(format!(
            "The body must be a structure, not {}",
            other.kind()
        ))),
    }
}

/// Reads one value within what is left to read.
#[derive(Clone, Copy)]
struct Seed<'l> {
    left: &'l Cell<usize>,
    depth: usize,
}

impl Seed<'_> {
    fn inner<E: Error>(self) -> std::result::Result<Self, E> {
        if self.depth >= VALUE_DEPTH_MAX {
            return Err(E::custom("values lie too deep"));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        reader: D,
    ) -> std::result::Result<Value<'de>, D::Error> {
        let left = self.left.get();
        if left == 0 {
            return Err(D::Error::custom("too many values"));
        }
        self.left.set(left - 1);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value<'de>, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value<'de>, E> {
        Ok(i64::try_from(value).map_or(Value::OtherNumber, Value::Int))
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Value<'de>, E> {
        Ok(Value::OtherNumber)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> std::result::Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(
        self,
        mut items: A,
    ) -> std::result::Result<Value<'de>, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut members: A,
    ) -> std::result::Result<Value<'de>, A::Error> {
        let inner = self.inner()?;
        let mut map = Vec::new();
        while let Some(Value::Text(name)) = members.next_key_seed(inner)? {
            map.push((name, members.next_value_seed(inner)?));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Code;
    use proptest::prelude::*;

    #[test]
    fn texts_without_escapes_are_borrowed() {
        let value = decode(br#"{"a":"plain","b":"two\nlines","c":[1,true,null]}"#).unwrap();
        let a = value.member("a").unwrap();
        assert!(matches!(a, Value::Text(Cow::Borrowed("plain"))));
        let b = value.member("b").unwrap();
        assert!(matches!(b, Value::Text(Cow::Owned(text)) if text == "two\nlines"));
        let items = vec![Value::Int(1), Value::Bool(true), Value::Null];
        assert_eq!(value.member("c"), Some(&Value::List(items)));
    }

    #[test]
    fn what_is_no_structure_or_too_much_is_refused() {
        let wide = format!("{{\"a\":[{}0]}}", "0,".repeat(VALUES_MAX));
        let deep = format!("{}{}", "{\"a\":".repeat(50), "}".repeat(50));
        for wrong in [
            "[1]",
            "1",
            "{",
            "{}{}",
            "\"a\"",
            "{\"a\":\"\\ud800\"}",
            &wide,
            &deep,
        ] {
            assert_eq!(decode(wrong.as_bytes()).unwrap_err().code, Code::Malformed);
        }
        assert_eq!(decode(b"").unwrap(), Value::Map(Vec::new()));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
