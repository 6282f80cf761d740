//! SQS: ChangeMessageVisibilityBatch.

use std::time::Duration;

use levada_engine::queue::QueueError;

use super::Answer;
use super::change_message_visibility::read_change;
use crate::batch::{Outcome, entries};
use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::protocol::{Fields, Writer};

pub struct Request {
    queue: String,
    changes: Vec<(String, Result<(String, Duration)>)>,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let entries = entries(fields, "ChangeMessageVisibilityBatchRequestEntry")?;
        let read = |(id, entry): (String, Fields<'_>)| (id, read_change(entry));
        Ok(Self {
            queue: call.queue_name(fields)?,
            changes: entries.into_iter().map(read).collect(),
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
    let mut outcome = Outcome::new("ChangeMessageVisibilityBatchResultEntry");
    let (mut ids, mut changes) = (Vec::new(), Vec::new());
    for (id, change) in request.changes {
        match change {
            Ok(change) => {
                ids.push(id);
                changes.push(change);
            }
            Err(error) => outcome.add(id, Err(error)),
        }
    }
    let results = call
        .engine()
        .change_visibility(&request.queue, &changes)
        .await;
    for (id, result) in ids.into_iter().zip(results) {
        if result == Err(QueueError::Unknown) {
            return Err(SqsError::no_queue());
        }
        outcome.add(id, result.map_err(SqsError::from));
    }
    Ok(Response { outcome })
}
