//! SQS: CancelMessageMoveTask.

use super::Answer;
use crate::call::Call;
use crate::errors::{Code, Result, SqsError};
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
    let moved = call.engine().cancel_move(&request.handle);
    let missing = || {
        let message = "There is no task of this handle that can be cancelled.";
        SqsError::new(Code::ResourceNotFound, message)
    };
    Ok(Response {
        moved: moved.ok_or_else(missing)?,
    })
}
