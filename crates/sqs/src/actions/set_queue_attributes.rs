//! SQS: SetQueueAttributes. All of them or none.

use super::QUEUE_ATTRIBUTES;
use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::protocol::Fields;
use crate::protocol::fields::NAME_VALUE;
use crate::queue_attributes::View;

pub struct Request {
    queue: String,
    attributes: Vec<(String, String)>,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let attributes = fields.pairs(QUEUE_ATTRIBUTES, NAME_VALUE)?;
        if attributes.is_empty() {
            return Err(SqsError::missing("Attributes"));
        }
        Ok(Self {
            queue: call.queue_name(fields)?,
            attributes,
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<()> {
    let _changing = call.shared.changing.lock().await;
    let info = call.queue(&request.queue)?;
    let before = View::of(&info);
    let mut view = before.clone();
    for (name, value) in &request.attributes {
        view.set(name, value, call.region())?;
    }
    view.check()?;
    if let Some(policy) = view.redrive_policy()
        && before.redrive_policy().as_ref() != Some(&policy)
    {
        policy.check(call, &info.name, info.settings.is_fifo)?;
    }
    view.documents.modified_ms = Some(call.env().now_ms());
    let changes = view.changes(&before);
    Ok(call.engine().alter_queue(&info.name, changes).await?)
}
