//! SQS: DeleteMessage. A message that is gone already is no error.

use levada_engine::queue::QueueError;

use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::protocol::Fields;

pub struct Request {
    queue: String,
    receipt: String,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            receipt: fields.needed("ReceiptHandle")?,
            queue: call.queue_name(fields)?,
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<()> {
    let receipts = [request.receipt];
    let results = call.engine().acknowledge(&request.queue, &receipts).await;
    let [receipt] = receipts;
    // One receipt, one result.
    let result = results
        .into_iter()
        .next()
        .unwrap_or(Err(QueueError::Unknown));
    result.map_err(|error| refusal(&receipt, error))
}

/// What a delete is answered by a queue that refuses: a FIFO queue takes no receipt whose time is
/// over, since its message may be somebody else's.
pub(super) fn refusal(receipt: &str, error: QueueError) -> SqsError {
    match error {
        QueueError::NotInFlight => {
            SqsError::value(receipt, "ReceiptHandle", "The receipt handle has expired.")
        }
        other => other.into(),
    }
}
