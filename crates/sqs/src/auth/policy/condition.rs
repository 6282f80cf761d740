//! The conditions of a policy's statement: each an operator, a key of the request, and values.
//!
//! What is not known here, be it operator, key or a variable in a value, is neither true nor false:
//! a statement that turns on it allows nothing, and denies.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use serde_json::Value;

use super::pattern::{arn_matches, matches};
use super::{PolicyError, texts};
use crate::auth::Identity;
use crate::auth::time::policy_seconds;
use crate::names::ACCOUNT;

/// What conditions ask of a request.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'q> {
    /// `None`: nobody signed.
    pub who: Option<&'q Identity>,
    pub from: IpAddr,
    pub now_ms: i64,
}

/// What of a request is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    SourceIp,
    SecureTransport,
    /// In seconds since 1970.
    Time,
    PrincipalArn,
    PrincipalAccount,
    UserName,
    /// A key that no request has here: nothing is forwarded by a service.
    Never,
    Unknown,
}

impl Key {
    fn named(name: &str) -> Key {
        match name.to_ascii_lowercase().as_str() {
            "aws:sourceip" => Key::SourceIp,
            "aws:securetransport" => Key::SecureTransport,
            "aws:currenttime" | "aws:epochtime" => Key::Time,
            "aws:principalarn" => Key::PrincipalArn,
            "aws:principalaccount" => Key::PrincipalAccount,
            "aws:username" => Key::UserName,
            "aws:sourcearn" | "aws:sourceaccount" | "aws:sourcevpc" | "aws:sourcevpce" => {
                Key::Never
            }
            _ => Key::Unknown,
        }
    }

    fn fact<'q>(self, of: &Circumstances<'q>) -> Option<Cow<'q, str>> {
        match self {
            Key::SourceIp => Some(of.from.to_canonical().to_string().into()),
            // The listener has no TLS.
            Key::SecureTransport => Some("false".into()),
            Key::Time => Some((of.now_ms / 1000).to_string().into()),
            Key::PrincipalArn => of.who.map(|who| who.arn.as_str().into()),
            Key::PrincipalAccount => of.who.map(|_| ACCOUNT.into()),
            Key::UserName => of.who.map(|who| who.name.as_str().into()),
            Key::Never | Key::Unknown => None,
        }
    }
}

/// How a fact is compared with the values.
#[derive(Clone, Debug)]
enum Operator {
    Equals(Vec<String>),
    EqualsIgnoreCase(Vec<String>),
    Like(Vec<String>),
    Arn(Vec<String>),
    /// Addresses, and how many of their first bits count.
    Address(Vec<(IpAddr, u8)>),
    Order(fn(Ordering) -> bool, Vec<i64>),
    /// Whether the request has no such key.
    Null(bool),
    Unknown,
}

/// One operator on one key.
#[derive(Clone, Debug)]
pub struct Test {
    key: Key,
    operator: Operator,
    /// True where none of the values is it.
    is_not: bool,
    /// True where the request has no such key.
    if_exists: bool,
}

impl Test {
    /// The tests of a statement's `Condition`; all of them must hold.
    pub fn read(condition: &Value) -> Result<Vec<Test>, PolicyError> {
        let no_object = PolicyError("Condition must map operators to keys and values");
        let operators = condition.as_object().ok_or(no_object)?;
        let mut tests = Vec::new();
        for (operator, keys) in operators {
            for (key, values) in keys.as_object().ok_or(no_object)? {
                tests.push(Test::of(operator, key, values)?);
            }
        }
        Ok(tests)
    }

    fn of(operator: &str, key: &str, values: &Value) -> Result<Test, PolicyError> {
        let values = values_of(values)?;
        let (name, if_exists) = match operator.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (operator, false),
        };
        let is_not = name.contains("Not");
        let operator = match values.iter().any(|value| value.contains("${")) {
            true => Operator::Unknown,
            false => Operator::read(name, values)?,
        };
        Ok(Test {
            key: Key::named(key),
            operator,
            is_not,
            if_exists,
        })
    }

    /// Whether it is so; `None`: nobody here knows.
    pub fn holds(&self, of: &Circumstances<'_>) -> Option<bool> {
        if self.key == Key::Unknown || matches!(self.operator, Operator::Unknown) {
            return None;
        }
        let fact = self.key.fact(of);
        if let Operator::Null(is_null) = self.operator {
            return Some(fact.is_none() == is_null);
        }
        match fact {
            Some(fact) => Some(self.operator.is_any(&fact)? != self.is_not),
            None => Some(self.is_not || self.if_exists),
        }
    }
}

/// The values of a key: texts, and what JSON has for numbers and flags.
fn values_of(values: &Value) -> Result<Vec<String>, PolicyError> {
    let plain = |value: &Value| match value {
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        other => other.clone(),
    };
    let values = match values {
        Value::Array(values) => Value::Array(values.iter().map(plain).collect()),
        one => plain(one),
    };
    texts(&values, PolicyError("a condition's values must be texts"))
}

impl Operator {
    fn read(name: &str, values: Vec<String>) -> Result<Operator, PolicyError> {
        Ok(match name {
            "StringEquals" | "StringNotEquals" => Operator::Equals(values),
            "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" | "Bool" => {
                Operator::EqualsIgnoreCase(values)
            }
            "StringLike" | "StringNotLike" => Operator::Like(values),
            "ArnEquals" | "ArnLike" | "ArnNotEquals" | "ArnNotLike" => Operator::Arn(values),
            "IpAddress" | "NotIpAddress" => {
                let read = values.iter().map(|value| network(value));
                let wrong = PolicyError("an IP address condition needs addresses like 10.0.0.0/8");
                Operator::Address(read.collect::<Option<_>>().ok_or(wrong)?)
            }
            "Null" => match values.as_slice() {
                [value] => Operator::Null(value.eq_ignore_ascii_case("true")),
                _ => return Err(PolicyError("Null needs true or false")),
            },
            _ => match order(name) {
                Some(is_so) => {
                    let read = values.iter().map(|value| policy_seconds(value));
                    let wrong = PolicyError(
                        "a comparison needs whole numbers, or times like 2026-01-31T23:59:59Z",
                    );
                    Operator::Order(is_so, read.collect::<Option<_>>().ok_or(wrong)?)
                }
                None => Operator::Unknown,
            },
        })
    }

    /// Whether a value is what the request has; `None`: that is of another kind.
    fn is_any(&self, fact: &str) -> Option<bool> {
        Some(match self {
            Operator::Equals(values) => values.iter().any(|value| value == fact),
            Operator::EqualsIgnoreCase(values) => {
                values.iter().any(|value| value.eq_ignore_ascii_case(fact))
            }
            Operator::Like(values) => values.iter().any(|value| matches(value, fact)),
            Operator::Arn(values) => values.iter().any(|value| arn_matches(value, fact)),
            Operator::Address(values) => {
                let address: IpAddr = fact.parse().ok()?;
                values.iter().any(|value| is_within(address, *value))
            }
            Operator::Order(is_so, values) => {
                let number: i64 = fact.parse().ok()?;
                values.iter().any(|value| is_so(number.cmp(value)))
            }
            Operator::Null(_) | Operator::Unknown => return None,
        })
    }
}

/// The comparison of an operator of times or numbers.
fn order(name: &str) -> Option<fn(Ordering) -> bool> {
    let of = name
        .strip_prefix("Date")
        .or_else(|| name.strip_prefix("Numeric"))?;
    Some(match of {
        "Equals" | "NotEquals" => Ordering::is_eq,
        "LessThan" => Ordering::is_lt,
        "LessThanEquals" => Ordering::is_le,
        "GreaterThan" => Ordering::is_gt,
        "GreaterThanEquals" => Ordering::is_ge,
        _ => return None,
    })
}

/// `10.0.0.0/8`, or one address.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    let bits = match text.contains('/') {
        true => bits.parse().ok()?,
        false => bits_max,
    };
    (bits <= bits_max).then_some((address, bits))
}

fn is_within(address: IpAddr, (network, bits): (IpAddr, u8)) -> bool {
    let (differs, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits() ^ b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits(), 128),
        _ => return false,
    };
    let rest = u32::from(u8::saturating_sub(width, bits));
    differs.checked_shr(rest).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Role;
    use serde_json::json;

    /// Noon of 2026-01-31.
    const NOW_MS: i64 = 1_769_860_800_000;

    fn holds(condition: Value) -> Option<bool> {
        let who = Identity::new("AKID", "ann", Role::Policy);
        let of = Circumstances {
            who: Some(&who),
            from: "10.1.2.3".parse().unwrap(),
            now_ms: NOW_MS,
        };
        let tests = Test::read(&condition).unwrap();
        tests[0].holds(&of)
    }

    #[test]
    fn operators_compare_what_the_request_has() {
        for (operator, key, values, expected) in [
            ("StringEquals", "aws:username", json!(["bob", "ann"]), true),
            ("StringEquals", "aws:username", json!("Ann"), false),
            (
                "StringNotEquals",
                "aws:username",
                json!(["bob", "ann"]),
                false,
            ),
            ("StringEqualsIgnoreCase", "AWS:UserName", json!("ANN"), true),
            ("StringLike", "aws:username", json!("a*"), true),
            ("StringNotLike", "aws:username", json!("a*"), false),
            (
                "ArnLike",
                "aws:PrincipalArn",
                json!("arn:aws:iam::*:user/a?n"),
                true,
            ),
            (
                "ArnNotEquals",
                "aws:PrincipalArn",
                json!("arn:aws:iam::0:user/ann"),
                true,
            ),
            (
                "StringEquals",
                "aws:PrincipalAccount",
                json!("000000000000"),
                true,
            ),
            ("Bool", "aws:SecureTransport", json!("false"), true),
            ("Bool", "aws:SecureTransport", json!(true), false),
            ("IpAddress", "aws:SourceIp", json!("10.0.0.0/8"), true),
            ("IpAddress", "aws:SourceIp", json!("10.1.2.3"), true),
            ("IpAddress", "aws:SourceIp", json!("10.1.2.2/32"), false),
            ("IpAddress", "aws:SourceIp", json!("0.0.0.0/0"), true),
            ("IpAddress", "aws:SourceIp", json!("::/0"), false),
            ("NotIpAddress", "aws:SourceIp", json!(["10.0.0.0/8"]), false),
            ("DateLessThan", "aws:CurrentTime", json!("2026-02-01"), true),
            (
                "DateLessThan",
                "aws:CurrentTime",
                json!("2026-01-31T12:00:00Z"),
                false,
            ),
            (
                "DateLessThanEquals",
                "aws:CurrentTime",
                json!("2026-01-31T12:00:00Z"),
                true,
            ),
            (
                "DateGreaterThan",
                "aws:CurrentTime",
                json!("2026-02-01"),
                false,
            ),
            ("NumericGreaterThan", "aws:EpochTime", json!(1), true),
            ("Null", "aws:SourceArn", json!("true"), true),
            ("Null", "aws:username", json!(true), false),
            // No request has this key: what asks for it is false, what denies it true.
            ("ArnEquals", "aws:SourceArn", json!("*"), false),
            ("ArnNotEquals", "aws:SourceArn", json!("*"), true),
            ("ArnEqualsIfExists", "aws:SourceArn", json!("x"), true),
            ("StringEqualsIfExists", "aws:username", json!("bob"), false),
        ] {
            let condition = json!({operator: {key: values}});
            assert_eq!(holds(condition.clone()), Some(expected), "{condition}");
        }
    }

    #[test]
    fn what_is_not_known_is_neither_true_nor_false() {
        for condition in [
            json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
            json!({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}),
            json!({"ForAnyValue:StringLike": {"aws:username": "*"}}),
            json!({"StringEquals": {"aws:username": "${aws:username}"}}),
            json!({"DateLessThan": {"aws:SourceIp": "2026-01-01"}}),
            json!({"DateNear": {"aws:CurrentTime": "2026-01-01"}}),
        ] {
            assert_eq!(holds(condition.clone()), None, "{condition}");
        }
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused() {
        for condition in [
            json!([]),
            json!({"StringEquals": "x"}),
            json!({"StringEquals": {"aws:username": {}}}),
            json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}}),
            json!({"IpAddress": {"aws:SourceIp": "10.0.0/8"}}),
            json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/"}}),
            json!({"DateLessThan": {"aws:CurrentTime": "soon"}}),
            json!({"Null": {"aws:SourceArn": []}}),
        ] {
            assert!(Test::read(&condition).is_err(), "{condition}");
        }
    }
}
