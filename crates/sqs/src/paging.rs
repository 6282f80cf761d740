//! Pages of names: a token says behind which name the next page begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::errors::{Result, SqsError};
use crate::limits::PAGE_MAX;
use crate::protocol::Fields;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// `None`: the first names, without a token for more.
    results_max: Option<usize>,
    after: Option<String>,
}

impl Page {
    /// # Errors
    /// InvalidParameterValue.
    pub fn read(fields: Fields<'_>) -> Result<Self> {
        let max = i64::try_from(PAGE_MAX).unwrap_or(i64::MAX);
        let results_max = fields.number_within("MaxResults", 1, max)?;
        let token = fields.text("NextToken")?.filter(|token| !token.is_empty());
        let after = match token {
            None => None,
            Some(token) => {
                let bytes = URL_SAFE_NO_PAD.decode(&token).ok();
                let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                let name = name.ok_or_else(|| {
                    SqsError::value(&token, "NextToken", "It must be one that was given.")
                })?;
                Some(name)
            }
        };
        Ok(Self {
            results_max: results_max.and_then(|max| usize::try_from(max).ok()),
            after,
        })
    }

    /// One page of the names that `list(after, max)` gives, and the token of the next one.
    pub fn cut(
        &self,
        list: impl FnOnce(Option<&str>, usize) -> Vec<String>,
    ) -> (Vec<String>, Option<String>) {
        let max = self.results_max.unwrap_or(PAGE_MAX);
        let mut names = list(self.after.as_deref(), max + 1);
        let has_more = names.len() > max;
        names.truncate(max);
        // As the service: who sets no MaxResults gets the first thousand and no token.
        let last = names
            .last()
            .filter(|_| has_more && self.results_max.is_some());
        let token = last.map(|name| URL_SAFE_NO_PAD.encode(name));
        (names, token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Protocol, json};
    use bytes::Bytes;

    fn page(request: serde_json::Value) -> Result<Page> {
        let body = Bytes::from(request.to_string());
        let value = json::decode(&body).unwrap();
        Page::read(Fields::new(&value, Protocol::Json, &body))
    }

    fn list(after: Option<&str>, max: usize) -> Vec<String> {
        let names = ["a", "b", "c"].iter().map(|name| (*name).to_owned());
        let behind = names.filter(|name| after.is_none_or(|after| name.as_str() > after));
        behind.take(max).collect()
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let first = page(serde_json::json!({"MaxResults": 2})).unwrap();
        let (names, token) = first.cut(list);
        assert_eq!(names, ["a", "b"]);
        let second = serde_json::json!({"MaxResults": 2, "NextToken": token.unwrap()});
        let (names, token) = page(second).unwrap().cut(list);
        assert_eq!((names, token), (vec!["c".to_owned()], None));
        let all = page(serde_json::json!({})).unwrap().cut(list);
        assert_eq!((all.0.len(), all.1), (3, None));
        for wrong in [
            serde_json::json!({"MaxResults": 0}),
            serde_json::json!({"MaxResults": 1001}),
            serde_json::json!({"NextToken": "*"}),
        ] {
            assert!(page(wrong).is_err());
        }
    }
}
