//! Requests and answers that several actions have.

use super::Answer;
use crate::batch::Outcome;
use crate::call::Call;
use crate::errors::Result;
use crate::paging::Page;
use crate::protocol::{Fields, Name, Writer};

/// A request that names a queue and nothing else.
pub struct OfQueue {
    pub queue: String,
}

impl OfQueue {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            queue: call.queue_name(fields)?,
        })
    }
}

/// The address of one queue.
pub struct QueueUrl(pub String);

impl Answer for QueueUrl {
    fn write(&self, writer: &mut Writer) {
        writer.text("QueueUrl", &self.0);
    }
}

/// One page of addresses.
pub struct QueueUrls {
    name: Name,
    urls: Vec<String>,
    next_token: Option<String>,
}

impl QueueUrls {
    /// The page of the names that `list(after, max)` gives; `json`: what the list is called there.
    pub fn of(
        call: &Call,
        page: &Page,
        json: &'static str,
        list: impl FnOnce(Option<&str>, usize) -> Vec<String>,
    ) -> Self {
        let (names, next_token) = page.cut(list);
        Self {
            name: Name::new(json, "QueueUrl"),
            urls: names.iter().map(|name| call.url(name)).collect(),
            next_token,
        }
    }
}

impl Answer for QueueUrls {
    fn write(&self, writer: &mut Writer) {
        writer.texts(self.name, &self.urls);
        writer.maybe("NextToken", self.next_token.as_deref());
    }
}

/// A batch whose entries are answered by their ids alone.
impl Answer for Outcome<()> {
    fn write(&self, writer: &mut Writer) {
        self.write_with(writer, |_, ()| ());
    }
}
