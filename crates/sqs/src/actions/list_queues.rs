//! SQS: ListQueues.

use super::Answer;
use crate::call::Call;
use crate::errors::Result;
use crate::paging::Page;
use crate::protocol::{Fields, Name, Writer};

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

pub struct Response {
    urls: Vec<String>,
    next_token: Option<String>,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        writer.texts(Name::new("QueueUrls", "QueueUrl"), &self.urls);
        writer.maybe("NextToken", self.next_token.as_deref());
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    let list = |after: Option<&str>, max| call.engine().queue_names(&request.prefix, after, max);
    let (names, next_token) = request.page.cut(list);
    Ok(Response {
        urls: names.iter().map(|name| call.url(name)).collect(),
        next_token,
    })
}
