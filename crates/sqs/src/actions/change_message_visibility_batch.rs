//! SQS: ChangeMessageVisibilityBatch.

use std::time::Duration;

use super::change_message_visibility::read_change;
use crate::batch::{Outcome, entries};
use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::protocol::Fields;

pub struct Request {
    queue: String,
    changes: Vec<(String, Result<(String, Duration)>)>,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let entries = entries(fields, "ChangeMessageVisibilityBatchRequestEntry")?;
        let read = |(id, entry): (String, Fields<'_>)| (id, read_change(entry));
        Ok(Self {
            changes: entries.into_iter().map(read).collect(),
            queue: call.queue_name(fields)?,
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Outcome<()>> {
    let queue = &request.queue;
    call.view(queue)?;
    let element = "ChangeMessageVisibilityBatchResultEntry";
    let (outcome, ids, changes) = Outcome::sort(element, request.changes);
    let results = call.engine().change_visibility(queue, &changes).await;
    outcome.close(ids, results, |result| result.map_err(SqsError::from))
}
