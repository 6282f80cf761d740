//! SQS: PurgeQueue. At most once in 60 seconds.

use levada_engine::queue::QueueError;

use crate::call::Call;
use crate::errors::{Code, Result, SqsError};
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
