//! SQS: ListDeadLetterSourceQueues.

use super::Answer;
use crate::call::Call;
use crate::errors::Result;
use crate::paging::Page;
use crate::protocol::{Fields, Name, Writer};

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

pub struct Response {
    urls: Vec<String>,
    next_token: Option<String>,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        // With a small letter in the service's own model.
        writer.texts(Name::new("queueUrls", "QueueUrl"), &self.urls);
        writer.maybe("NextToken", self.next_token.as_deref());
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    call.view(&request.queue)?;
    let list = |after: Option<&str>, max| {
        call.engine()
            .dead_letter_sources(&request.queue, after, max)
    };
    let (names, next_token) = request.page.cut(list);
    Ok(Response {
        urls: names.iter().map(|name| call.url(name)).collect(),
        next_token,
    })
}
