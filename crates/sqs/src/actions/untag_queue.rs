//! SQS: UntagQueue. A key that is not there is no error.

use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::protocol::{Fields, Name};
use crate::queue_attributes::View;

pub struct Request {
    queue: String,
    keys: Vec<String>,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let keys = fields.texts(Name::new("TagKeys", "TagKey"))?;
        if keys.is_empty() {
            return Err(SqsError::missing("TagKeys"));
        }
        Ok(Self {
            queue: call.queue_name(fields)?,
            keys,
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<()> {
    let _changing = call.shared.changing.lock().await;
    let info = call.queue(&request.queue)?;
    let before = View::of(&info);
    let mut view = before.clone();
    for key in &request.keys {
        view.documents.tags.remove(key);
    }
    let changes = view.changes(&before);
    Ok(call.engine().alter_queue(&info.name, changes).await?)
}
