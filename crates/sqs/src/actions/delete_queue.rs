//! SQS: DeleteQueue. Deletes the topic if it was made as a queue, else the queue side only.

pub use super::shared::OfQueue as Request;
use crate::call::Call;
use crate::errors::Result;

pub async fn run(call: &Call, request: Request) -> Result<()> {
    let shared = &call.shared;
    let _changing = shared.changing.lock().await;
    call.engine().delete_queue(&request.queue).await?;
    shared.deleted.add(shared, &request.queue);
    Ok(())
}
