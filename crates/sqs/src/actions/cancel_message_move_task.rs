//! SQS: CancelMessageMoveTask. What is moved stays moved.

use super::Answer;
use crate::call::Call;
use crate::errors::{Result, no_resource};
use crate::protocol::{Fields, Writer};

pub struct Request {
    handle: String,
}

impl Request {
    pub fn read(_: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            handle: fields.needed("TaskHandle")?,
        })
    }
}

pub struct Response {
    moved: u64,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        writer.number("ApproximateNumberOfMessagesMoved", self.moved);
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    let moved = call.engine().cancel_move(&request.handle).await?;
    let moved = moved.ok_or_else(no_resource)?;
    Ok(Response { moved })
}
