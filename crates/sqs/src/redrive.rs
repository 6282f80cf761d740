//! RedrivePolicy (which dead-letter queue, after how many deliveries) and RedriveAllowPolicy (whose
//! dead-letter queue one may be).

use serde::Deserialize;
use serde_json::Value;

use crate::call::Call;
use crate::documents::Documents;
use crate::errors::{Result, SqsError};
use crate::limits::{ALLOWED_SOURCES_MAX, RECEIVE_COUNT_MAX};
use crate::names::{arn, in_arn};

const POLICY: &str = "RedrivePolicy";
const ALLOW_POLICY: &str = "RedriveAllowPolicy";

/// A queue's RedrivePolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// The dead-letter queue's name.
    pub target: String,
    pub receive_count_max: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    dead_letter_target_arn: Option<String>,
    max_receive_count: Option<Value>,
}

impl RedrivePolicy {
    /// # Errors
    /// InvalidParameterValue.
    pub fn parse(text: &str, region: &str) -> Result<Self> {
        let refused = |why: &str| SqsError::value(text, POLICY, why);
        let policy: Policy = serde_json::from_str(text)
            .map_err(|_| refused("Redrive policy is not a valid JSON map."))?;
        let count = match policy.max_receive_count {
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
            None => {
                return Err(refused(
                    "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
                ));
            }
        };
        let count = count.filter(|count| (1..=RECEIVE_COUNT_MAX).contains(count));
        let count = count.ok_or_else(|| {
            refused(
                "Invalid value for maxReceiveCount: it must be between 1 and 1000, both inclusive.",
            )
        })?;
        let Some(target) = policy.dead_letter_target_arn else {
            return Err(refused(
                "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
            ));
        };
        let Some(target) = in_arn(region, &target) else {
            let why = format!(
                "Invalid value for deadLetterTargetArn: queues here are {}.",
                arn(region, "NAME")
            );
            return Err(refused(&why));
        };
        Ok(Self {
            target: target.to_owned(),
            receive_count_max: count,
        })
    }

    /// As an attribute.
    pub fn show(&self, region: &str) -> String {
        let target = arn(region, &self.target);
        let text = Value::String(target);
        let count = self.receive_count_max;
        format!("{{\"deadLetterTargetArn\":{text},\"maxReceiveCount\":{count}}}")
    }

    /// Whether the dead-letter queue is there, of the same kind, and lets `source` use it.
    ///
    /// # Errors
    /// InvalidParameterValue.
    pub fn check(&self, call: &Call, source: &str, is_fifo: bool) -> Result<()> {
        let region = call.region();
        let refused = |why: &str| SqsError::value(self.show(region), POLICY, why);
        // The service takes this, and then moves a message onto itself at each receive.
        if self.target == source {
            return Err(refused("A queue cannot be its own dead-letter queue."));
        }
        let Ok(target) = call.engine().queue(&self.target) else {
            return Err(refused("Dead letter target does not exist."));
        };
        if target.settings.is_fifo != is_fifo {
            return Err(refused(
                "Dead-letter queue must be same type of queue as the source.",
            ));
        }
        let allowed = match Documents::of(&target.configs).redrive_allow_policy {
            Some(text) => AllowPolicy::parse(&text)?.allows(&arn(region, source)),
            None => true,
        };
        match allowed {
            true => Ok(()),
            false => Err(refused(
                "Source queue is not allowed to use the dead-letter queue by its RedriveAllowPolicy.",
            )),
        }
    }
}

/// A queue's RedriveAllowPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowPolicy {
    All,
    None,
    /// ARNs.
    Sources(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Allow {
    redrive_permission: Option<String>,
    source_queue_arns: Option<Vec<String>>,
}

impl AllowPolicy {
    /// # Errors
    /// InvalidParameterValue.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| SqsError::value(text, ALLOW_POLICY, why);
        let policy: Allow = serde_json::from_str(text)
            .map_err(|_| refused("Redrive allow policy is not a valid JSON map."))?;
        let sources = policy.source_queue_arns;
        match (policy.redrive_permission.as_deref(), sources) {
            (Some("allowAll"), None) => Ok(Self::All),
            (Some("denyAll"), None) => Ok(Self::None),
            (Some("byQueue"), Some(arns)) if (1..=ALLOWED_SOURCES_MAX).contains(&arns.len()) => {
                Ok(Self::Sources(arns))
            }
            (Some("byQueue"), _) => Err(refused("byQueue needs sourceQueueArns, 1 to 10 of them.")),
            (Some("allowAll" | "denyAll"), _) => {
                Err(refused("Only byQueue can have sourceQueueArns."))
            }
            _ => Err(refused(
                "redrivePermission must be allowAll, denyAll or byQueue.",
            )),
        }
    }

    fn allows(&self, source_arn: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Sources(arns) => arns.iter().any(|arn| arn == source_arn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_policy_names_a_queue_of_here() {
        let text = |arn: &str, count: &str| {
            format!("{{\"deadLetterTargetArn\":\"{arn}\",\"maxReceiveCount\":{count}}}")
        };
        let here = "arn:aws:sqs:us-east-1:000000000000:d";
        let policy = RedrivePolicy::parse(&text(here, "\"5\""), "us-east-1").unwrap();
        assert_eq!(policy.show("us-east-1"), text(here, "5"));
        for wrong in [
            text(here, "0"),
            text(here, "1001"),
            text(here, "1.5"),
            text("dummy", "5"),
            text("arn:aws:sqs:eu-west-1:000000000000:d", "5"),
            "[]".to_owned(),
            "{\"maxReceiveCount\":1}".to_owned(),
            format!("{{\"deadLetterTargetArn\":\"{here}\"}}"),
        ] {
            assert!(
                RedrivePolicy::parse(&wrong, "us-east-1").is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_allow_policy_allows_whom_it_names() {
        let parse = AllowPolicy::parse;
        assert!(
            parse(r#"{"redrivePermission":"allowAll"}"#)
                .unwrap()
                .allows("a")
        );
        assert!(
            !parse(r#"{"redrivePermission":"denyAll"}"#)
                .unwrap()
                .allows("a")
        );
        let some = parse(r#"{"redrivePermission":"byQueue","sourceQueueArns":["a"]}"#).unwrap();
        assert!(some.allows("a") && !some.allows("b"));
        for wrong in [
            "{}",
            "1",
            r#"{"redrivePermission":"byQueue"}"#,
            r#"{"redrivePermission":"byQueue","sourceQueueArns":[]}"#,
            r#"{"redrivePermission":"allowAll","sourceQueueArns":["a"]}"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
