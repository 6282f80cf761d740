//! SQS: StartMessageMoveTask. A restart goes on with the task.

use levada_engine::queue::QueueError;

use super::Answer;
use crate::call::Call;
use crate::errors::{Code, Result, SqsError, no_resource};
use crate::limits::MOVE_RATE_MAX;
use crate::protocol::{Fields, Writer};

pub struct Request {
    source: String,
    destination: Option<String>,
    messages_per_second_max: Option<u32>,
}

impl Request {
    pub fn read(_: &Call, fields: Fields<'_>) -> Result<Self> {
        let rate = fields.number_within("MaxNumberOfMessagesPerSecond", 1, MOVE_RATE_MAX)?;
        Ok(Self {
            source: fields.needed("SourceArn")?,
            destination: fields.text("DestinationArn")?,
            messages_per_second_max: rate.and_then(|rate| u32::try_from(rate).ok()),
        })
    }
}

pub struct Response {
    handle: String,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        writer.text("TaskHandle", &self.handle);
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    let engine = call.engine();
    let source = call.named(&request.source)?;
    // As the service: only what is somebody's dead-letter queue has messages to move back.
    if engine.dead_letter_sources(source, None, 1).is_empty() {
        let why = "Source queue must be configured as a Dead Letter Queue.";
        return Err(SqsError::new(Code::InvalidParameter, why));
    }
    let destination = match &request.destination {
        Some(arn) => Some(call.named(arn)?),
        None => None,
    };
    let is_fifo = call.view(source)?.is_fifo();
    if let Some(destination) = destination
        && call.view(destination)?.is_fifo() != is_fifo
    {
        let why = "The destination queue must be of the same type as the source queue.";
        return Err(SqsError::new(Code::InvalidParameter, why));
    }
    let started = engine.start_move(source, destination, request.messages_per_second_max);
    match started.await {
        Ok(handle) => Ok(Response { handle }),
        Err(QueueError::Unknown) => Err(no_resource()),
        // One is under way already.
        Err(QueueError::Invalid(why)) => Err(SqsError::new(Code::UnsupportedOperation, why)),
        Err(other) => Err(other.into()),
    }
}
