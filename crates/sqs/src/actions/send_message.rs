//! SQS: SendMessage. Answered once the message is on stable storage.

use levada_engine::queue::Sent;

use super::Answer;
use crate::call::Call;
use crate::errors::{Result, SqsError};
use crate::message::{Outgoing, SentReply};
use crate::protocol::{Fields, Writer};

pub struct Request {
    queue: String,
    message: Outgoing,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        Ok(Self {
            queue: call.queue_name(fields)?,
            message: Outgoing::read(fields)?,
        })
    }
}

pub struct Response {
    sent: Sent,
    reply: SentReply,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        self.reply.write(&self.sent, writer);
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    let rules = call.view(&request.queue)?.rules();
    let (message, reply) = request.message.seal(rules, call.sender())?;
    let sent = call.engine().send(&request.queue, vec![message]).await;
    // One message, one result.
    let sent = sent.into_iter().next().ok_or_else(SqsError::no_queue)??;
    Ok(Response { sent, reply })
}
