//! Queue attributes and the topic settings that they are: the one place that knows both names.
//! What no other listener reads stands in the [`Documents`].

use std::collections::BTreeMap;

use levada_engine::queue::QueueInfo;
use levada_engine::topic_config::definition;

use crate::auth::Policy;
use crate::documents::{Documents, SETTING};
use crate::errors::{Code, Result, SqsError};
use crate::limits::{
    DELAY_SECONDS_MAX, KMS_REUSE_SECONDS_MAX, KMS_REUSE_SECONDS_MIN, MESSAGE_BYTES_MAX,
    MESSAGE_BYTES_SETTING_MIN, POLICY_BYTES_MAX, RETENTION_SECONDS_MAX, RETENTION_SECONDS_MIN,
    VISIBILITY_SECONDS_MAX, WAIT_SECONDS_MAX,
};
use crate::message::{QueueRules, is_all};
use crate::names::arn;
use crate::redrive::{AllowPolicy, RedrivePolicy};

const BYTES_MAX: i64 = MESSAGE_BYTES_MAX as i64;
const DEAD_LETTER_TOPIC: &str = "queue.dead.letter.topic";
const ATTEMPTS_MAX: &str = "queue.attempts.max";
const CONTENT_BASED: &str = "queue.content.based.deduplication";
const SCOPE: &str = "queue.deduplication.scope";
const BY_GROUP: &str = "messageGroup";

/// How an attribute is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// Seconds; the setting has milliseconds.
    Seconds(&'static str, i64, i64),
    Number(&'static str, i64, i64),
    /// `true` or `false`, on FIFO queues only.
    FifoFlag(&'static str),
    /// One of two words, on FIFO queues only.
    FifoWord(&'static str, [&'static str; 2]),
    /// In the documents, or in two settings: see [`View::set`].
    Other,
    /// Told by the queue itself.
    Read,
}

use Kept::{FifoFlag, FifoWord, Number, Other, Read, Seconds};

/// Every attribute, in the order in which `All` shows them.
const ATTRIBUTES: &[(&str, Kept)] = &[
    ("QueueArn", Read),
    ("ApproximateNumberOfMessages", Read),
    ("ApproximateNumberOfMessagesNotVisible", Read),
    ("ApproximateNumberOfMessagesDelayed", Read),
    ("CreatedTimestamp", Read),
    ("LastModifiedTimestamp", Read),
    (
        "VisibilityTimeout",
        Seconds("queue.visibility.timeout.ms", 0, VISIBILITY_SECONDS_MAX),
    ),
    (
        "MaximumMessageSize",
        Number(
            "queue.message.bytes.max",
            MESSAGE_BYTES_SETTING_MIN,
            BYTES_MAX,
        ),
    ),
    (
        "MessageRetentionPeriod",
        Seconds("retention.ms", RETENTION_SECONDS_MIN, RETENTION_SECONDS_MAX),
    ),
    (
        "DelaySeconds",
        Seconds("queue.delay.ms", 0, DELAY_SECONDS_MAX),
    ),
    (
        "ReceiveMessageWaitTimeSeconds",
        Seconds("queue.receive.wait.ms", 0, WAIT_SECONDS_MAX),
    ),
    ("Policy", Other),
    ("RedrivePolicy", Other),
    ("RedriveAllowPolicy", Other),
    ("KmsMasterKeyId", Other),
    ("KmsDataKeyReusePeriodSeconds", Other),
    ("SqsManagedSseEnabled", Other),
    ("FifoQueue", FifoFlag("queue.fifo")),
    ("ContentBasedDeduplication", FifoFlag(CONTENT_BASED)),
    ("DeduplicationScope", FifoWord(SCOPE, ["queue", BY_GROUP])),
    (
        "FifoThroughputLimit",
        FifoWord("queue.throughput.limit", ["perQueue", "perMessageGroupId"]),
    ),
];

fn kept(name: &str) -> Result<Kept> {
    let found = ATTRIBUTES.iter().find(|(known, _)| *known == name);
    found.map(|(_, kept)| *kept).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> SqsError {
    let shown: String = name.chars().take(100).collect();
    SqsError::new(
        Code::InvalidAttributeName,
        format!("Unknown Attribute {shown}."),
    )
}

fn invalid(name: &str, why: &str) -> SqsError {
    let message = format!("Invalid value for the parameter {name}. {why}");
    SqsError::new(Code::InvalidAttributeValue, message.trim_end())
}

/// The attributes of a queue that is there or is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    configs: BTreeMap<String, String>,
    pub documents: Documents,
    is_fifo: bool,
}

impl View {
    /// A queue that is to be made.
    pub fn new(is_fifo: bool) -> Self {
        let mut configs = BTreeMap::new();
        if is_fifo {
            configs.insert("queue.fifo".to_owned(), "true".to_owned());
        }
        Self {
            configs,
            documents: Documents::default(),
            is_fifo,
        }
    }

    /// A queue that is there.
    pub fn of(info: &QueueInfo) -> Self {
        Self::of_settings(&info.configs)
    }

    /// A queue that is there, by the settings of its topic.
    pub fn of_settings(settings: &[(String, String)]) -> Self {
        let own = settings.iter().filter(|(name, _)| name != SETTING);
        let mut view = Self {
            configs: own.cloned().collect(),
            documents: Documents::of(settings),
            is_fifo: false,
        };
        view.is_fifo = view.setting("queue.fifo") == "true";
        view
    }

    /// Whether the topic is a queue at all.
    pub fn is_queue(&self) -> bool {
        self.setting("queue.enabled") == "true"
    }

    pub fn is_fifo(&self) -> bool {
        self.is_fifo
    }

    fn setting(&self, name: &str) -> &str {
        let default = || definition(name).map_or("", |known| known.default);
        (self.configs.get(name)).map_or_else(default, String::as_str)
    }

    fn number(&self, name: &str) -> i64 {
        self.setting(name).parse().unwrap_or(0)
    }

    /// What the queue makes of messages that are sent.
    pub fn rules(&self) -> QueueRules {
        let bytes_max = self.number("queue.message.bytes.max");
        QueueRules {
            is_fifo: self.is_fifo,
            content_based_deduplication: self.setting(CONTENT_BASED) == "true",
            deduplicates_by_group: self.setting(SCOPE) == BY_GROUP,
            message_bytes_max: usize::try_from(bytes_max).unwrap_or(MESSAGE_BYTES_MAX),
        }
    }

    /// The dead-letter queue and after how many deliveries.
    pub fn redrive_policy(&self) -> Option<RedrivePolicy> {
        let target = self.configs.get(DEAD_LETTER_TOPIC)?;
        (!target.is_empty()).then(|| RedrivePolicy {
            target: target.clone(),
            receive_count_max: self.number(ATTEMPTS_MAX),
        })
    }

    /// Sets one attribute.
    ///
    /// # Errors
    /// InvalidAttributeName, InvalidAttributeValue; InvalidParameterValue for the two policies.
    pub fn set(&mut self, name: &str, value: &str, region: &str) -> Result<()> {
        let (setting, text) = match kept(name)? {
            FifoFlag(_) | FifoWord(..) if !self.is_fifo => return Err(unknown(name)),
            Read => return Err(unknown(name)),
            Seconds(setting, min, max) => (setting, 1000 * number(name, value, min, max)?),
            Number(setting, min, max) => (setting, number(name, value, min, max)?),
            FifoFlag(setting) => {
                let flag = flag(name, value)?;
                if setting == "queue.fifo" && !flag {
                    return Err(invalid(name, "A queue cannot change its kind."));
                }
                self.configs.insert(setting.to_owned(), flag.to_string());
                return Ok(());
            }
            FifoWord(setting, words) => {
                if !words.contains(&value) {
                    return Err(invalid(
                        name,
                        &format!("It must be {} or {}.", words[0], words[1]),
                    ));
                }
                self.configs.insert(setting.to_owned(), value.to_owned());
                return Ok(());
            }
            Other => return self.set_other(name, value, region),
        };
        self.configs.insert(setting.to_owned(), text.to_string());
        Ok(())
    }

    /// Those of the documents, and the redrive policy; an empty value removes one.
    fn set_other(&mut self, name: &str, value: &str, region: &str) -> Result<()> {
        let given = (!value.is_empty()).then(|| value.to_owned());
        let documents = &mut self.documents;
        match name {
            "Policy" => {
                if value.len() > POLICY_BYTES_MAX {
                    return Err(invalid(name, "A policy has at most 8192 bytes."));
                }
                if given.is_some() {
                    let why = |error| invalid(name, &format!("Policy cannot be used: {error}."));
                    Policy::parse(value).map_err(why)?;
                }
                documents.policy = given;
            }
            "RedriveAllowPolicy" => {
                if given.is_some() {
                    AllowPolicy::parse(value)?;
                }
                documents.redrive_allow_policy = given;
            }
            "KmsMasterKeyId" => documents.kms_master_key_id = given,
            "KmsDataKeyReusePeriodSeconds" => {
                let seconds = number(name, value, KMS_REUSE_SECONDS_MIN, KMS_REUSE_SECONDS_MAX)?;
                documents.kms_data_key_reuse_period_seconds = Some(seconds);
            }
            "SqsManagedSseEnabled" => documents.sqs_managed_sse_enabled = flag(name, value)?,
            _ if given.is_none() => {
                self.configs.remove(DEAD_LETTER_TOPIC);
                self.configs.remove(ATTEMPTS_MAX);
            }
            _ => {
                let policy = RedrivePolicy::parse(value, region)?;
                let count = policy.receive_count_max.to_string();
                self.configs.insert(ATTEMPTS_MAX.to_owned(), count);
                self.configs
                    .insert(DEAD_LETTER_TOPIC.to_owned(), policy.target);
            }
        }
        Ok(())
    }

    /// Rules between attributes.
    ///
    /// # Errors
    /// InvalidAttributeValue, InvalidAttributeName.
    pub fn check(&self) -> Result<()> {
        if self.setting("queue.throughput.limit") == "perMessageGroupId"
            && self.setting(SCOPE) != BY_GROUP
        {
            let why = "The perMessageGroupId value is allowed only when the value for \
                       DeduplicationScope is messageGroup.";
            return Err(invalid("FifoThroughputLimit", why));
        }
        if self.documents.kms_master_key_id.is_some() && self.documents.sqs_managed_sse_enabled {
            let message = "You can use one type of server-side encryption (SSE) at one time. You \
                           can either enable KMS SSE or SQS SSE.";
            return Err(SqsError::new(Code::InvalidAttributeName, message));
        }
        Ok(())
    }

    /// An attribute that can be set, as it is shown; `None` if the queue has none.
    pub fn show(&self, name: &str, region: &str) -> Option<String> {
        let documents = &self.documents;
        match kept(name).ok()? {
            Seconds(setting, _, max) => {
                let ms = self.number(setting);
                // Kafka's "forever" is longer than any that the service can say.
                let seconds = if ms < 0 { max } else { ms / 1000 };
                Some(seconds.to_string())
            }
            Number(setting, ..) => Some(self.setting(setting).to_owned()),
            FifoFlag(setting) | FifoWord(setting, _) => {
                self.is_fifo.then(|| self.setting(setting).to_owned())
            }
            Read => None,
            Other => match name {
                "Policy" => documents.policy.clone(),
                "RedriveAllowPolicy" => documents.redrive_allow_policy.clone(),
                "KmsMasterKeyId" => documents.kms_master_key_id.clone(),
                "KmsDataKeyReusePeriodSeconds" => {
                    let seconds = documents.kms_data_key_reuse_period_seconds?;
                    Some(seconds.to_string())
                }
                "SqsManagedSseEnabled" => Some(documents.sqs_managed_sse_enabled.to_string()),
                _ => self.redrive_policy().map(|policy| policy.show(region)),
            },
        }
    }

    /// The settings to make a topic with.
    pub fn into_configs(self) -> Vec<(String, String)> {
        let documents = self.documents.to_setting();
        let mut configs: Vec<(String, String)> = self.configs.into_iter().collect();
        configs.extend(documents.map(|text| (SETTING.to_owned(), text)));
        configs
    }

    /// The settings that differ from `before`.
    pub fn changes(self, before: &View) -> Vec<(String, Option<String>)> {
        let mut changes = Vec::new();
        if self.documents != before.documents {
            changes.push((SETTING.to_owned(), self.documents.to_setting()));
        }
        for name in before.configs.keys() {
            if !self.configs.contains_key(name) {
                changes.push((name.clone(), None));
            }
        }
        for (name, value) in self.configs {
            if before.configs.get(&name) != Some(&value) {
                changes.push((name, Some(value)));
            }
        }
        changes
    }
}

fn number(name: &str, value: &str, min: i64, max: i64) -> Result<i64> {
    let number = value.trim().parse::<i64>().ok();
    let number = number.filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| invalid(name, &format!("It must be between {min} and {max}.")))
}

fn flag(name: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(name, "It must be true or false.")),
    }
}

/// The attributes of these names (`All` of them), in the service's order (SQS:
/// GetQueueAttributes).
///
/// # Errors
/// InvalidAttributeName.
pub fn show(
    info: &QueueInfo,
    names: &[String],
    region: &str,
) -> Result<Vec<(&'static str, String)>> {
    for name in names.iter().filter(|name| !is_all(name)) {
        kept(name)?;
    }
    let view = View::of(info);
    let is_wanted = |name: &str| names.iter().any(|wanted| is_all(wanted) || wanted == name);
    let wanted = ATTRIBUTES.iter().filter(|(name, _)| is_wanted(name));
    let shown = wanted.filter_map(|(name, _)| {
        let counts = &info.counts;
        let value = match *name {
            "QueueArn" => Some(arn(region, &info.name)),
            "ApproximateNumberOfMessages" => Some(counts.visible.to_string()),
            "ApproximateNumberOfMessagesNotVisible" => Some(counts.in_flight.to_string()),
            "ApproximateNumberOfMessagesDelayed" => Some(counts.delayed.to_string()),
            "CreatedTimestamp" => Some((info.created_ms / 1000).to_string()),
            "LastModifiedTimestamp" => {
                let modified_ms = view.documents.modified_ms.unwrap_or(info.created_ms);
                Some((modified_ms / 1000).to_string())
            }
            name => view.show(name, region),
        };
        Some((*name, value?))
    });
    Ok(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: &str = "us-east-1";

    fn set(view: &mut View, name: &str, value: &str) -> Result<()> {
        view.set(name, value, REGION)
    }

    #[test]
    fn what_is_set_is_shown() {
        let mut view = View::new(true);
        for (name, value) in [
            ("VisibilityTimeout", "43200"),
            ("MaximumMessageSize", "2048"),
            ("MessageRetentionPeriod", "60"),
            ("DelaySeconds", "900"),
            ("ReceiveMessageWaitTimeSeconds", "20"),
            ("Policy", "{\"Statement\":[]}"),
            ("RedriveAllowPolicy", "{\"redrivePermission\":\"denyAll\"}"),
            ("KmsMasterKeyId", "key"),
            ("KmsDataKeyReusePeriodSeconds", "60"),
            ("SqsManagedSseEnabled", "false"),
            ("FifoQueue", "true"),
            ("ContentBasedDeduplication", "true"),
            ("DeduplicationScope", "messageGroup"),
            ("FifoThroughputLimit", "perMessageGroupId"),
            (
                "RedrivePolicy",
                "{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:d.fifo\",\"maxReceiveCount\":3}",
            ),
        ] {
            set(&mut view, name, value).unwrap();
            assert_eq!(view.show(name, REGION).as_deref(), Some(value), "{name}");
        }
        view.check().unwrap();
        let configs: BTreeMap<_, _> = view.clone().into_configs().into_iter().collect();
        assert_eq!(configs["queue.visibility.timeout.ms"], "43200000");
        assert_eq!(configs["queue.dead.letter.topic"], "d.fifo");
        for name in configs.keys() {
            assert!(
                definition(name).is_some(),
                "{name} is no setting of a topic"
            );
        }
        set(&mut view, "RedrivePolicy", "").unwrap();
        set(&mut view, "Policy", "").unwrap();
        assert_eq!(view.show("RedrivePolicy", REGION), None);
        assert_eq!(view.show("Policy", REGION), None);
    }

    #[test]
    fn what_no_queue_has_is_refused() {
        for (name, value, code) in [
            ("Colour", "red", Code::InvalidAttributeName),
            ("QueueArn", "x", Code::InvalidAttributeName),
            ("FifoQueue", "false", Code::InvalidAttributeName),
            ("VisibilityTimeout", "43201", Code::InvalidAttributeValue),
            ("VisibilityTimeout", "", Code::InvalidAttributeValue),
            ("MaximumMessageSize", "1023", Code::InvalidAttributeValue),
            ("Policy", "[]", Code::InvalidAttributeValue),
            (
                "Policy",
                "{\"Statement\":[{}]}",
                Code::InvalidAttributeValue,
            ),
            ("SqsManagedSseEnabled", "yes", Code::InvalidAttributeValue),
        ] {
            let refusal = set(&mut View::new(false), name, value).unwrap_err();
            assert_eq!(refusal.code, code, "{name}");
        }
        let mut fifo = View::new(true);
        set(&mut fifo, "FifoThroughputLimit", "perMessageGroupId").unwrap();
        assert!(fifo.check().is_err());
        assert!(set(&mut fifo, "FifoQueue", "false").is_err());
    }

    #[test]
    fn only_what_differs_is_changed() {
        let mut before = View::new(false);
        set(&mut before, "DelaySeconds", "5").unwrap();
        set(&mut before, "VisibilityTimeout", "5").unwrap();
        let mut after = before.clone();
        set(&mut after, "DelaySeconds", "6").unwrap();
        after.documents.modified_ms = Some(1);
        let changes = after.changes(&before);
        let expected = [
            (SETTING.to_owned(), Some("{\"modified_ms\":1}".to_owned())),
            ("queue.delay.ms".to_owned(), Some("6000".to_owned())),
        ];
        assert_eq!(changes, expected);
    }
}
