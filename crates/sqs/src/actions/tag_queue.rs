//! SQS: TagQueue.

use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::protocol::fields::KEY_VALUE;
use crate::protocol::{Fields, Name};
use crate::queue_attributes::View;

pub struct Request {
    queue: String,
    tags: Vec<(String, String)>,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let tags = fields.pairs(Name::new("Tags", "Tag"), KEY_VALUE)?;
        if tags.is_empty() {
            return Err(SqsError::missing("Tags"));
        }
        Ok(Self {
            queue: call.queue_name(fields)?,
            tags,
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<()> {
    let _changing = call.shared.changing.lock().await;
    let info = call.queue(&request.queue)?;
    let before = View::of(&info);
    let mut view = before.clone();
    view.documents.tag(request.tags)?;
    let changes = view.changes(&before);
    Ok(call.engine().alter_queue(&info.name, changes).await?)
}
