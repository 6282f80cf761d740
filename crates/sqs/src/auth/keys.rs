//! The access keys that may sign requests, and whose they are.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::limits::USER_NAME_MAX;
use crate::names::ACCOUNT;

/// What a key may do where no policy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything; only a policy that denies stops it.
    Admin,
    /// Nothing; only a policy that allows lets it.
    Policy,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub key_id: String,
    pub name: String,
    /// As policies name it: `arn:aws:iam::000000000000:user/NAME`.
    pub arn: String,
    pub role: Role,
}

impl Identity {
    pub fn new(key_id: &str, name: &str, role: Role) -> Self {
        Self {
            key_id: key_id.to_owned(),
            name: name.to_owned(),
            arn: format!("arn:aws:iam::{ACCOUNT}:user/{name}"),
            role,
        }
    }
}

#[derive(Clone)]
struct Key {
    secret: String,
    identity: Arc<Identity>,
}

/// Key ids, their secrets and their owners. Without any, requests are not asked who sent them.
#[derive(Clone, Default)]
pub struct AccessKeys {
    keys: BTreeMap<String, Key>,
}

/// Why a file of keys cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: write an access key id and its secret, with spaces between them; then, if you \
     want, a user name (letters, digits and +=,.@_-) and one of the roles admin and policy; each \
     id stands once"
)]
pub struct KeyFileError {
    pub line: usize,
}

impl AccessKeys {
    /// One key a line, `ID SECRET [NAME [admin|policy]]`; empty lines and lines behind `#` say
    /// nothing. A user without a name is called as the key, one without a role is an admin. A file,
    /// so that no secret stands in a command line, in the environment or in `config show`.
    ///
    /// # Errors
    /// The line that is no key.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keys = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let (id, key) = key(&words).ok_or(KeyFileError { line: index + 1 })?;
            // Which of two lines counts would be a guess, and one of them may say admin.
            if keys.insert(id, key).is_some() {
                return Err(KeyFileError { line: index + 1 });
            }
        }
        Ok(Self { keys })
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The secret of a key, and whose it is.
    pub(super) fn find(&self, id: &str) -> Option<(&str, &Arc<Identity>)> {
        let key = self.keys.get(id)?;
        Some((&key.secret, &key.identity))
    }
}

fn key(words: &[&str]) -> Option<(String, Key)> {
    let (id, secret, name, role) = match *words {
        [id, secret] => (id, secret, None, "admin"),
        [id, secret, name] => (id, secret, Some(name), "admin"),
        [id, secret, name, role] => (id, secret, Some(name), role),
        _ => return None,
    };
    let role = match role {
        "admin" => Role::Admin,
        "policy" => Role::Policy,
        _ => return None,
    };
    if name.is_some_and(|name| !is_name(name)) {
        return None;
    }
    let key = Key {
        secret: secret.to_owned(),
        identity: Arc::new(Identity::new(id, name.unwrap_or(id), role)),
    };
    Some((id.to_owned(), key))
}

/// As IAM has user names. Not that of a role: who forgot the name did not mean an admin who is
/// called "policy".
fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    let is_role = matches!(name, "admin" | "policy");
    name.len() <= USER_NAME_MAX && name.bytes().all(legal) && !is_role
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} access keys", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_key_a_line_and_secrets_are_not_shown() {
        let keys = AccessKeys::parse("# ours\n\nAKID s3cret/+=\n  OTHER  x \n").unwrap();
        assert_eq!(keys.find("AKID").unwrap().0, "s3cret/+=");
        assert_eq!(keys.find("OTHER").unwrap().0, "x");
        assert_eq!(format!("{keys:?}"), "2 access keys");
        assert!(AccessKeys::parse("").unwrap().is_empty());
    }

    #[test]
    fn a_key_has_a_user_and_a_role() {
        let keys = AccessKeys::parse("A s\nB s ann\nC s bob policy\nD s eve admin").unwrap();
        for (id, name, role) in [
            ("A", "A", Role::Admin),
            ("B", "ann", Role::Admin),
            ("C", "bob", Role::Policy),
            ("D", "eve", Role::Admin),
        ] {
            let expected = Identity::new(id, name, role);
            assert_eq!(**keys.find(id).unwrap().1, expected);
        }
        let arn = &keys.find("C").unwrap().1.arn;
        assert_eq!(arn, "arn:aws:iam::000000000000:user/bob");
        for wrong in [
            "AKID",
            "A s policy",
            "A s admin policy",
            "A s ann root",
            "A s a/b",
            "A s ann policy more",
            "ok y ann policy",
        ] {
            let refusal = AccessKeys::parse(&format!("ok x\n{wrong}")).unwrap_err();
            assert_eq!(refusal.line, 2, "{wrong}");
        }
    }
}
