//! SQS: PurgeQueue. At most once in 60 seconds.

use levada_engine::queue::QueueError;

pub use super::shared::OfQueue as Request;
use crate::call::Call;
use crate::errors::{Code, Result, SqsError};

pub async fn run(call: &Call, request: Request) -> Result<()> {
    match call.engine().purge_queue(&request.queue).await {
        Err(QueueError::PurgeInProgress) => {
            let message = format!(
                "Only one PurgeQueue operation on {} is allowed every 60 seconds.",
                request.queue
            );
            Err(SqsError::new(Code::PurgeQueueInProgress, message))
        }
        other => Ok(other?),
    }
}
