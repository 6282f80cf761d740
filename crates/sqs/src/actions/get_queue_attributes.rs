//! SQS: GetQueueAttributes.

use super::{Answer, QUEUE_ATTRIBUTES};
use crate::call::Call;
use crate::errors::Result;
use crate::protocol::fields::NAME_VALUE;
use crate::protocol::{Fields, Name, Writer};
use crate::queue_attributes;

pub struct Request {
    queue: String,
    names: Vec<String>,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            queue: call.queue_name(fields)?,
            names: fields.texts(Name::new("AttributeNames", "AttributeName"))?,
        })
    }
}

pub struct Response {
    attributes: Vec<(&'static str, String)>,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        writer.pairs(QUEUE_ATTRIBUTES, NAME_VALUE, &self.attributes);
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    let info = call.queue(&request.queue)?;
    Ok(Response {
        attributes: queue_attributes::show(&info, &request.names, call.region())?,
    })
}
