//! SQS: DeleteMessageBatch.

use super::delete_message::refusal;
use crate::batch::{Outcome, entries};
use crate::call::Call;
use crate::errors::Result;
use crate::protocol::Fields;

pub struct Request {
    queue: String,
    receipts: Vec<(String, Result<String>)>,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let entries = entries(fields, "DeleteMessageBatchRequestEntry")?;
        let read = |(id, entry): (String, Fields<'_>)| (id, entry.needed("ReceiptHandle"));
        Ok(Self {
            queue: call.queue_name(fields)?,
            receipts: entries.into_iter().map(read).collect(),
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Outcome<()>> {
    call.view(&request.queue)?;
    let element = "DeleteMessageBatchResultEntry";
    let (outcome, ids, receipts) = Outcome::sort(element, request.receipts);
    let results = call.engine().acknowledge(&request.queue, &receipts).await;
    let results = results.into_iter().zip(&receipts);
    outcome.close(ids, results, |(result, receipt)| {
        result.map_err(|error| refusal(receipt, error))
    })
}
