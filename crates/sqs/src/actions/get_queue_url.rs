//! SQS: GetQueueUrl.

use super::shared::QueueUrl;
use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::names::ACCOUNT;
use crate::protocol::Fields;

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

pub async fn run(call: &Call, request: Request) -> Result<QueueUrl> {
    if request.owner.is_some_and(|owner| owner != ACCOUNT) {
        return Err(SqsError::no_queue());
    }
    call.view(&request.name)?;
    Ok(QueueUrl(call.url(&request.name)))
}
