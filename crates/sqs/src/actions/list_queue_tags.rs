//! SQS: ListQueueTags.

use super::Answer;
pub use super::shared::OfQueue as Request;
use crate::call::Call;
use crate::errors::Result;
use crate::protocol::fields::KEY_VALUE;
use crate::protocol::{Name, Writer};

pub struct Response {
    tags: Vec<(String, String)>,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        writer.pairs(Name::new("Tags", "Tag"), KEY_VALUE, &self.tags);
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    let documents = call.view(&request.queue)?.documents;
    Ok(Response {
        tags: documents.tags.into_iter().collect(),
    })
}
