//! SQS: StartMessageMoveTask. The task lives as long as the process: what a restart keeps it from
//! moving stays in its queue.

use super::Answer;
use crate::call::Call;
use crate::errors::{Code, Result, SqsError};
use crate::limits::MOVES_PER_SECOND_MAX;
use crate::names::in_arn;
use crate::protocol::{Fields, Writer};

pub struct Request {
    source: String,
    destination: Option<String>,
    rate: Option<u32>,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let rate = fields.number_within("MaxNumberOfMessagesPerSecond", 1, MOVES_PER_SECOND_MAX)?;
        let destination = fields.text("DestinationArn")?;
        Ok(Self {
            source: queue_of(call, &fields.needed("SourceArn")?)?,
            destination: destination.map(|arn| queue_of(call, &arn)).transpose()?,
            rate: rate.and_then(|rate| u32::try_from(rate).ok()),
        })
    }
}

/// The name of the queue that an ARN names, if there is one.
///
/// # Errors
/// ResourceNotFoundException.
pub(super) fn queue_of(call: &Call, arn: &str) -> Result<String> {
    let name = in_arn(call.region(), arn).filter(|name| call.view(name).is_ok());
    let missing = || {
        let message = format!("The resource that you specified for {arn} doesn't exist.");
        SqsError::new(Code::ResourceNotFound, message)
    };
    name.map(str::to_owned).ok_or_else(missing)
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
    if call
        .engine()
        .dead_letter_sources(&request.source, None, 1)
        .is_empty()
    {
        let message = "Source queue must be configured as a Dead Letter Queue.";
        return Err(SqsError::new(Code::InvalidParameter, message));
    }
    let destination = request.destination.as_deref();
    let started = call
        .engine()
        .start_move(&request.source, destination, request.rate);
    match started {
        Ok(handle) => Ok(Response { handle }),
        // What is not there was found above.
        Err(error) => Err(SqsError::new(Code::UnsupportedOperation, error.to_string())),
    }
}
