//! SQS: AddPermission. Adds a statement to the queue's policy.

use serde_json::{Value, json};

use super::Action;
use crate::batch::is_label;
use crate::call::Call;
use crate::errors::{Code, Result, SqsError};
use crate::limits::{PERMISSION_ACTIONS_MAX, POLICY_STATEMENTS_MAX};
use crate::protocol::{Fields, Name};
use crate::queue_attributes::View;

pub struct Request {
    queue: String,
    label: String,
    accounts: Vec<String>,
    actions: Vec<String>,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let label = fields.needed("Label")?;
        if !is_label(&label) {
            let why = "It can have letters, digits, hyphens and underscores. 1 to 80 in length";
            return Err(SqsError::value(&label, "Label", why));
        }
        let accounts = fields.texts(Name::new("AWSAccountIds", "AWSAccountId"))?;
        let actions = fields.texts(Name::new("Actions", "ActionName"))?;
        let is_account = |id: &String| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
        if accounts.is_empty() {
            return Err(SqsError::missing("AWSAccountIds"));
        }
        if actions.is_empty() {
            return Err(SqsError::missing("Actions"));
        }
        if let Some(wrong) = accounts.iter().find(|id| !is_account(id)) {
            return Err(SqsError::value(wrong, "PrincipalId", "Unable to verify."));
        }
        let is_action = |name: &String| name == "*" || Action::named(name).is_some();
        if let Some(wrong) = actions.iter().find(|name| !is_action(name)) {
            return Err(SqsError::value(
                wrong,
                "ActionName",
                "There is no such action.",
            ));
        }
        if actions.len() > PERMISSION_ACTIONS_MAX {
            let message = format!(
                "{} Actions were found, maximum allowed is {PERMISSION_ACTIONS_MAX}.",
                actions.len()
            );
            return Err(SqsError::new(Code::OverLimit, message));
        }
        Ok(Self {
            queue: call.queue_name(fields)?,
            label,
            accounts,
            actions,
        })
    }

    fn statement(&self, arn: &str) -> Value {
        let principals = self
            .accounts
            .iter()
            .map(|id| format!("arn:aws:iam::{id}:root"));
        let actions = self.actions.iter().map(|name| format!("SQS:{name}"));
        json!({
            "Sid": self.label,
            "Effect": "Allow",
            "Principal": {"AWS": one_or_many(principals.collect())},
            "Action": one_or_many(actions.collect()),
            "Resource": arn,
        })
    }
}

/// As policies are written: a list of one is its item.
fn one_or_many(mut texts: Vec<String>) -> Value {
    match texts.len() {
        1 => texts.remove(0).into(),
        _ => texts.into(),
    }
}

/// The policy's statements; a policy may also hold one alone.
pub(super) fn statements(policy: &Value) -> Vec<Value> {
    match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement @ Value::Object(_)) => vec![statement.clone()],
        _ => Vec::new(),
    }
}

pub async fn run(call: &Call, request: Request) -> Result<()> {
    let _changing = call.shared.changing.lock().await;
    let info = call.queue(&request.queue)?;
    let before = View::of(&info);
    let arn = call.arn(&info.name);
    let mut policy: Value = match &before.documents.policy {
        Some(text) => serde_json::from_str(text).unwrap_or_default(),
        None => json!({"Version": "2008-10-17", "Id": format!("{arn}/SQSDefaultPolicy")}),
    };
    let mut all = statements(&policy);
    if all
        .iter()
        .any(|statement| statement["Sid"] == *request.label)
    {
        return Err(SqsError::value(&request.label, "Label", "Already exists."));
    }
    if all.len() >= POLICY_STATEMENTS_MAX {
        let message = format!("A policy has at most {POLICY_STATEMENTS_MAX} statements.");
        return Err(SqsError::new(Code::OverLimit, message));
    }
    all.push(request.statement(&arn));
    let Some(members) = policy.as_object_mut() else {
        return Err(SqsError::value(
            &info.name,
            "QueueUrl",
            "Its policy cannot be read.",
        ));
    };
    members.insert("Statement".to_owned(), all.into());
    let mut view = before.clone();
    view.set("Policy", &policy.to_string(), call.region())?;
    let changes = view.changes(&before);
    Ok(call.engine().alter_queue(&info.name, changes).await?)
}
