//! SQS: RemovePermission. The policy goes with its last statement.

use serde_json::Value;

use super::add_permission::statements;
use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::protocol::Fields;
use crate::queue_attributes::View;

pub struct Request {
    queue: String,
    label: String,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            label: fields.needed("Label")?,
            queue: call.queue_name(fields)?,
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<()> {
    let _changing = call.shared.changing.lock().await;
    let info = call.queue(&request.queue)?;
    let before = View::of(&info);
    let text = before.documents.policy.as_deref().unwrap_or_default();
    let mut policy: Value = serde_json::from_str(text).unwrap_or_default();
    let all = statements(&policy);
    let left: Vec<Value> = all
        .iter()
        .filter(|statement| statement["Sid"] != *request.label)
        .cloned()
        .collect();
    if left.len() == all.len() {
        return Err(SqsError::value(
            &request.label,
            "Label",
            "can't find label.",
        ));
    }
    let mut view = before.clone();
    view.documents.policy = match (left.is_empty(), policy.as_object_mut()) {
        (false, Some(members)) => {
            members.insert("Statement".to_owned(), left.into());
            Some(policy.to_string())
        }
        _ => None,
    };
    let changes = view.changes(&before);
    Ok(call.engine().alter_queue(&info.name, changes).await?)
}
