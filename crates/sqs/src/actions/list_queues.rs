//! SQS: ListQueues.

use super::shared::QueueUrls;
use crate::call::Call;
use crate::errors::Result;
use crate::paging::Page;
use crate::protocol::Fields;

pub struct Request {
    prefix: String,
    page: Page,
}

impl Request {
    pub fn read(_: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            prefix: fields.text("QueueNamePrefix")?.unwrap_or_default(),
            page: Page::read(fields)?,
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<QueueUrls> {
    let list = |after: Option<&str>, max| call.engine().queue_names(&request.prefix, after, max);
    Ok(QueueUrls::of(call, &request.page, "QueueUrls", list))
}
