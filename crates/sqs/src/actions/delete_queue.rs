//! SQS: DeleteQueue. Deletes the topic if it was made as a queue, else the queue side only.

use crate::call::Call;
use crate::errors::Result;
use crate::protocol::Fields;

pub struct Request {
    queue: String,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            queue: call.queue_name(fields)?,
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<()> {
    let shared = &call.shared;
    let _changing = shared.changing.lock().await;
    call.engine().delete_queue(&request.queue).await?;
    shared.deleted.add(shared, &request.queue);
    Ok(())
}
