//! The access keys that may sign requests.

use std::collections::BTreeMap;
use std::fmt;

/// Key ids and their secrets. Without any, requests are not asked who sent them.
#[derive(Clone, Default)]
pub struct AccessKeys {
    secrets: BTreeMap<String, String>,
}

/// Why a file of keys cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: write an access key id and its secret on one line, with a space between them"
)]
pub struct KeyFileError {
    pub line: usize,
}

impl AccessKeys {
    /// One key a line, `ID SECRET`; empty lines and lines behind `#` say nothing. A file, so that no
    /// secret stands in a command line, in the environment or in `config show`.
    ///
    /// # Errors
    /// The line that is no key.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut secrets = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(id), Some(secret), None) = (words.next(), words.next(), words.next()) else {
                return Err(KeyFileError { line: index + 1 });
            };
            secrets.insert(id.to_owned(), secret.to_owned());
        }
        Ok(Self { secrets })
    }

    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    pub(super) fn secret(&self, id: &str) -> Option<&str> {
        self.secrets.get(id).map(String::as_str)
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} access keys", self.secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_key_a_line_and_secrets_are_not_shown() {
        let keys = AccessKeys::parse("# ours\n\nAKID s3cret/+=\n  OTHER  x \n").unwrap();
        assert_eq!(keys.secret("AKID"), Some("s3cret/+="));
        assert_eq!(keys.secret("OTHER"), Some("x"));
        assert_eq!(format!("{keys:?}"), "2 access keys");
        for wrong in ["AKID", "ok x\na b c"] {
            assert!(AccessKeys::parse(wrong).is_err());
        }
        assert!(AccessKeys::parse("").unwrap().is_empty());
    }
}
