//! Whether who asks may do what is asked: the role of the key, and the policy of the queue.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use levada_engine::Engine;
use parking_lot::Mutex;

use super::policy::{Circumstances, Policy, Question, Verdict};
use super::{Identity, Role};
use crate::actions::Action;
use crate::call::Call;
use crate::documents::{Documents, SETTING};
use crate::errors::{Code, Result, SqsError};
use crate::limits::POLICY_CACHE_BYTES_MAX;
use crate::names;
use crate::protocol::Fields;

/// Who asks, as far as it is known.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `None`: nobody signed, or nobody was asked to.
    pub who: Option<Arc<Identity>>,
    pub from: IpAddr,
}

/// Policies that were read, by the name of their queue, each beside the text that it was read from:
/// a queue whose documents have changed since, by whichever listener, is read again.
#[derive(Default)]
pub struct PolicyCache {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_queue: HashMap<String, (String, Option<Arc<Policy>>), FixedState>,
    bytes: usize,
}

impl PolicyCache {
    /// The policy of a queue; `None` if it has none, or none that can be read. One that was set
    /// here could be.
    fn of(&self, engine: &Engine, queue: &str) -> Option<Arc<Policy>> {
        let found = engine.topic_setting(queue, SETTING, |text| {
            let Some(text) = text else { return Ok(None) };
            self.find(queue, text).ok_or_else(|| text.to_owned())
        });
        found.unwrap_or_else(|text| self.read(queue, text))
    }

    fn find(&self, queue: &str, text: &str) -> Option<Option<Arc<Policy>>> {
        let known = self.known.lock();
        let (read_from, policy) = known.by_queue.get(queue)?;
        (read_from == text).then(|| policy.clone())
    }

    fn read(&self, queue: &str, text: String) -> Option<Arc<Policy>> {
        let documents = serde_json::from_str::<Documents>(&text).unwrap_or_default();
        let policy = documents.policy.and_then(|text| Policy::parse(&text).ok());
        let policy = policy.map(Arc::new);
        // What is read from a text takes a few times its size.
        let bytes = queue.len() + 4 * text.len();
        let mut known = self.known.lock();
        if known.bytes + bytes > POLICY_CACHE_BYTES_MAX {
            *known = Known::default();
        }
        known.bytes += bytes;
        let entry = (text, policy.clone());
        if let Some((old, _)) = known.by_queue.insert(queue.to_owned(), entry) {
            known.bytes -= queue.len() + 4 * old.len();
        }
        policy
    }
}

/// Refuses who may not do this. Without keys everybody may do everything.
///
/// # Errors
/// AccessDenied; MissingAuthenticationToken for what is not about a queue and not signed; a queue
/// that is named wrongly.
pub fn authorize(call: &Call, action: Action, fields: Fields<'_>) -> Result<()> {
    if call.shared.settings.access_keys.is_empty() {
        return Ok(());
    }
    let Some(queue) = queue_of(call, action, fields)? else {
        return match call.caller.who.as_deref() {
            Some(who) if who.role == Role::Admin => Ok(()),
            Some(who) => Err(denied(who, action, "*", Verdict::Silent)),
            None => Err(missing_token()),
        };
    };
    may(call, action, &queue)?;
    if action == Action::StartMessageMoveTask {
        may_move(call, fields, &queue)?;
    }
    Ok(())
}

pub fn missing_token() -> SqsError {
    let message = "Request is missing Authentication Token";
    SqsError::new(Code::MissingToken, message)
}

/// The queue that a request is about.
fn queue_of(call: &Call, action: Action, fields: Fields<'_>) -> Result<Option<String>> {
    Ok(match action {
        Action::ListQueues => None,
        Action::CreateQueue | Action::GetQueueUrl => fields.text("QueueName")?,
        Action::ListMessageMoveTasks | Action::StartMessageMoveTask => {
            queue_in(call, fields, "SourceArn")?
        }
        Action::CancelMessageMoveTask => {
            let handle = fields.text("TaskHandle")?;
            handle.and_then(|handle| call.engine().move_source(&handle))
        }
        _ => Some(call.queue_name(fields)?),
    })
}

fn queue_in(call: &Call, fields: Fields<'_>, arn: &str) -> Result<Option<String>> {
    let arn = fields.text(arn)?;
    let name = arn.and_then(|arn| names::in_arn(call.region(), &arn).map(str::to_owned));
    Ok(name)
}

/// Who moves messages receives, deletes and sends them. Where they go back to is written in each
/// of them: only an admin may leave it to that.
fn may_move(call: &Call, fields: Fields<'_>, source: &str) -> Result<()> {
    may(call, Action::ReceiveMessage, source)?;
    may(call, Action::DeleteMessage, source)?;
    let who = call.caller.who.as_deref();
    match (queue_in(call, fields, "DestinationArn")?, who) {
        (Some(destination), _) => may(call, Action::SendMessage, &destination),
        (None, Some(who)) if who.role == Role::Admin => Ok(()),
        (None, _) => {
            let message = "Without DestinationArn messages go to queues that nobody can tell \
                           before: name one to which you may send.";
            Err(SqsError::new(Code::AccessDenied, message))
        }
    }
}

/// Whether the caller may do this with this queue.
fn may(call: &Call, action: Action, queue: &str) -> Result<()> {
    let policy = call.shared.policies.of(call.engine(), queue);
    let verdict = policy.map_or(Verdict::Silent, |policy| ask(call, &policy, action, queue));
    let caller = &call.caller;
    match (verdict, caller.who.as_deref()) {
        (Verdict::Allowed, Some(_)) => Ok(()),
        (Verdict::Silent, Some(who)) if who.role == Role::Admin => Ok(()),
        (_, Some(who)) => Err(denied(who, action, &call.arn(queue), verdict)),
        (Verdict::Allowed, None) if is_shared(action) => Ok(()),
        (_, None) => {
            let message = format!(
                "Access to the resource {} is denied. The request is not signed, and the queue's \
                 policy does not allow it to everybody.",
                call.url(queue)
            );
            Err(SqsError::new(Code::AccessDenied, message))
        }
    }
}

fn ask(call: &Call, policy: &Policy, action: Action, queue: &str) -> Verdict {
    let name = action.name().to_ascii_lowercase();
    policy.judge(&Question {
        circumstances: Circumstances {
            who: call.caller.who.as_deref(),
            from: call.caller.from,
            now_ms: call.env().now_ms(),
        },
        actions: [&name, name.strip_suffix("batch").unwrap_or(&name)],
        resource: &call.arn(queue),
    })
}

/// What a policy can allow to those outside the account, as the service has it; the rest is its
/// owner's.
fn is_shared(action: Action) -> bool {
    matches!(
        action,
        Action::SendMessage
            | Action::SendMessageBatch
            | Action::ReceiveMessage
            | Action::DeleteMessage
            | Action::DeleteMessageBatch
            | Action::ChangeMessageVisibility
            | Action::ChangeMessageVisibilityBatch
            | Action::GetQueueAttributes
            | Action::GetQueueUrl
            | Action::PurgeQueue
            | Action::ListDeadLetterSourceQueues
    )
}

fn denied(who: &Identity, action: Action, arn: &str, verdict: Verdict) -> SqsError {
    let action = action.name().to_ascii_lowercase();
    let why = match verdict {
        Verdict::Denied => "with an explicit deny in a resource-based policy".to_owned(),
        _ => format!("because no resource-based policy allows the sqs:{action} action"),
    };
    let message = format!(
        "User: {} is not authorized to perform: sqs:{action} on resource: {arn} {why}",
        who.arn
    );
    SqsError::new(Code::AccessDenied, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(statements: &str) -> String {
        let policy = Some(format!("{{\"Statement\":{statements}}}"));
        let documents = Documents {
            policy,
            ..Documents::default()
        };
        documents.to_setting().unwrap()
    }

    #[test]
    fn a_policy_is_read_once_and_again_when_it_has_changed() {
        let cache = PolicyCache::default();
        let text = documents("[]");
        assert!(cache.find("q", &text).is_none());
        let read = cache.read("q", text.clone()).unwrap();
        let found = cache.find("q", &text).unwrap().unwrap();
        assert!(Arc::ptr_eq(&read, &found));
        let other = documents("{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"*\"}");
        assert!(cache.find("q", &other).is_none());
        assert!(!Arc::ptr_eq(
            &cache.read("q", other.clone()).unwrap(),
            &read
        ));
        assert!(cache.find("q", &text).is_none());
        // One that cannot be read is known to be none.
        assert!(cache.read("q", documents("1")).is_none());
        assert!(matches!(cache.find("q", &documents("1")), Some(None)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let cache = PolicyCache::default();
        let long = "x".repeat(60_000);
        for queue in 0..1000 {
            cache.read(&queue.to_string(), long.clone());
            cache.read(&queue.to_string(), long.clone());
            let known = cache.known.lock();
            let held = known.by_queue.iter();
            let held: usize = held
                .map(|(name, (text, _))| name.len() + 4 * text.len())
                .sum();
            assert_eq!(held, known.bytes);
            assert!(held <= POLICY_CACHE_BYTES_MAX);
        }
    }
}
