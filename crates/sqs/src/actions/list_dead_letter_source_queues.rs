//! SQS: ListDeadLetterSourceQueues.

use super::shared::QueueUrls;
use crate::call::Call;
use crate::errors::Result;
use crate::paging::Page;
use crate::protocol::Fields;

pub struct Request {
    queue: String,
    page: Page,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            queue: call.queue_name(fields)?,
            page: Page::read(fields)?,
        })
    }
}

pub async fn run(call: &Call, request: Request) -> Result<QueueUrls> {
    let name = &request.queue;
    call.view(name)?;
    let list = |after: Option<&str>, max| call.engine().dead_letter_sources(name, after, max);
    // With a small letter in the service's own model.
    Ok(QueueUrls::of(call, &request.page, "queueUrls", list))
}
