//! SQS: ChangeMessageVisibility.

use std::time::Duration;

use levada_engine::queue::QueueError;

use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::limits::VISIBILITY_SECONDS_MAX;
use crate::protocol::Fields;

pub struct Request {
    queue: String,
    change: (String, Duration),
}

/// Receipt and time from now on, of a request or of an entry of a batch.
pub(super) fn read_change(fields: Fields<'_>) -> Result<(String, Duration)> {
    let receipt = fields.needed("ReceiptHandle")?;
    let seconds = fields.number_within("VisibilityTimeout", 0, VISIBILITY_SECONDS_MAX)?;
    let seconds = seconds.ok_or_else(|| SqsError::missing("VisibilityTimeout"))?;
    Ok((receipt, Duration::from_secs(seconds.unsigned_abs())))
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            change: read_change(fields)?,
            queue: call.queue_name(fields)?,
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<()> {
    let changes = [request.change];
    let results = call
        .engine()
        .change_visibility(&request.queue, &changes)
        .await;
    // One change, one result.
    let result = results
        .into_iter()
        .next()
        .unwrap_or(Err(QueueError::Unknown));
    Ok(result?)
}
