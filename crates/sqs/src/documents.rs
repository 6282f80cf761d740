//! What only this listener reads of a queue: one JSON document in the setting `queue.documents`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::errors::{Code, Result, SqsError};
use crate::limits::{TAG_KEY_MAX, TAG_VALUE_MAX, TAGS_MAX};

/// The topic setting that holds it.
pub const SETTING: &str = "queue.documents";

/// Members are a stored format: names stay, new ones have defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Documents {
    /// As the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrive_allow_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_master_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_data_key_reuse_period_seconds: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sqs_managed_sse_enabled: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// When attributes were last set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified_ms: Option<i64>,
}

impl Documents {
    /// Of a topic's settings. A document that is not ours is as none.
    pub fn of(configs: &[(String, String)]) -> Self {
        let text = configs.iter().find(|(name, _)| name == SETTING);
        text.and_then(|(_, text)| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// The setting's value; `None` to reset it.
    pub fn to_setting(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        serde_json::to_string(self).ok()
    }

    /// Sets tags (SQS: TagQueue, CreateQueue).
    ///
    /// # Errors
    /// InvalidParameterValue for too many or too long ones.
    pub fn tag(&mut self, tags: Vec<(String, String)>) -> Result<()> {
        for (key, value) in tags {
            let is_legal = (1..=TAG_KEY_MAX).contains(&key.chars().count())
                && value.chars().count() <= TAG_VALUE_MAX;
            if !is_legal {
                let message = format!(
                    "A tag's key has 1 to {TAG_KEY_MAX} characters, its value at most {TAG_VALUE_MAX}."
                );
                return Err(SqsError::new(Code::InvalidParameter, message));
            }
            self.tags.insert(key, value);
        }
        if self.tags.len() > TAGS_MAX {
            let message = format!("A queue has at most {TAGS_MAX} tags.");
            return Err(SqsError::new(Code::InvalidParameter, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_comes_back_and_an_empty_one_is_none() {
        assert_eq!(Documents::default().to_setting(), None);
        let mut documents = Documents {
            policy: Some("{}".to_owned()),
            modified_ms: Some(5),
            ..Documents::default()
        };
        documents.tag(vec![("a".into(), "b".into())]).unwrap();
        let text = documents.to_setting().unwrap();
        assert_eq!(text, r#"{"policy":"{}","tags":{"a":"b"},"modified_ms":5}"#);
        assert_eq!(Documents::of(&[(SETTING.into(), text)]), documents);
        let other = [(SETTING.to_owned(), "[".to_owned())];
        assert_eq!(Documents::of(&other), Documents::default());
    }

    #[test]
    fn tags_are_bounded() {
        let mut documents = Documents::default();
        let many = (0..51).map(|n| (n.to_string(), String::new())).collect();
        assert!(documents.tag(many).is_err());
        let mut documents = Documents::default();
        assert!(documents.tag(vec![(String::new(), String::new())]).is_err());
        assert!(
            documents
                .tag(vec![("x".repeat(129), String::new())])
                .is_err()
        );
    }
}
