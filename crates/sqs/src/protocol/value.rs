//! The tree that both decoders make.

use std::borrow::Cow;

/// A value of a request. Texts borrow from the body where they stand there as they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// A number that no field here can have.
    OtherNumber,
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    /// In the order of the body; a name may stand there twice: the last one counts.
    Map(Vec<(Cow<'a, str>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The member of a map; `None` for what is not there or null.
    pub fn member(&self, name: &str) -> Option<&Value<'a>> {
        let Value::Map(members) = self else {
            return None;
        };
        let found = members.iter().rev().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value)
            .filter(|value| **value != Value::Null)
    }

    /// What it is, for a person.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::OtherNumber => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a structure",
        }
    }
}
