//! SQS: GetQueueUrl.

use super::Answer;
use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::names::ACCOUNT;
use crate::protocol::{Fields, Writer};

pub struct Request {
    name: String,
    owner: Option<String>,
}

impl Request {
    pub fn read(_: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            name: fields.needed("QueueName")?,
            owner: fields.text("QueueOwnerAWSAccountId")?,
        })
    }
}

pub struct Response {
    url: String,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        writer.text("QueueUrl", &self.url);
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    if request.owner.is_some_and(|owner| owner != ACCOUNT) {
        return Err(SqsError::no_queue());
    }
    call.view(&request.name)?;
    Ok(Response {
        url: call.url(&request.name),
    })
}
