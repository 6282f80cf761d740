//! SQS: DeleteMessageBatch.

use levada_engine::queue::QueueError;

use super::Answer;
use super::delete_message::refusal;
use crate::batch::{Outcome, entries};
use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::protocol::{Fields, Writer};

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

pub struct Response {
    outcome: Outcome<()>,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        self.outcome.write(writer, |_, ()| ());
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    call.view(&request.queue)?;
    let mut outcome = Outcome::new("DeleteMessageBatchResultEntry");
    let (mut ids, mut receipts) = (Vec::new(), Vec::new());
    for (id, receipt) in request.receipts {
        match receipt {
            Ok(receipt) => {
                ids.push(id);
                receipts.push(receipt);
            }
            Err(error) => outcome.add(id, Err(error)),
        }
    }
    let results = call.engine().acknowledge(&request.queue, &receipts).await;
    for ((id, receipt), result) in ids.into_iter().zip(&receipts).zip(results) {
        if result == Err(QueueError::Unknown) {
            return Err(SqsError::no_queue());
        }
        outcome.add(id, result.map_err(|error| refusal(receipt, error)));
    }
    Ok(Response { outcome })
}
