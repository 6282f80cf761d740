//! SQS: SendMessageBatch. Entries fail each for itself.

use levada_engine::queue::Sent;

use super::Answer;
use crate::batch::{Outcome, entries};
use crate::call::Call;
use crate::errors::{Code, Result, SqsError};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::{Outgoing, SentReply};
use crate::protocol::{Fields, Writer};

pub struct Request {
    queue: String,
    messages: Vec<(String, Result<Outgoing>)>,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let entries = entries(fields, "SendMessageBatchRequestEntry")?;
        let read = |(id, entry): (String, Fields<'_>)| (id, Outgoing::read(entry));
        Ok(Self {
            queue: call.queue_name(fields)?,
            messages: entries.into_iter().map(read).collect(),
        })
    }
}

pub struct Response {
    outcome: Outcome<(Sent, SentReply)>,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        self.outcome
            .write_with(writer, |writer, (sent, reply)| reply.write(sent, writer));
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    let rules = call.view(&request.queue)?.rules();
    let read = request
        .messages
        .iter()
        .filter_map(|(_, message)| message.as_ref().ok());
    let mut bytes = 0;
    for message in read {
        bytes += message.bytes();
        // As the service: what a FIFO queue needs fails the whole batch, and as a wrong value.
        message.check_fifo(rules).map_err(|error| SqsError {
            code: Code::InvalidParameter,
            ..error
        })?;
    }
    if bytes > MESSAGE_BYTES_MAX {
        let message = format!(
            "Batch requests cannot be longer than {MESSAGE_BYTES_MAX} bytes. You have sent {bytes} bytes."
        );
        return Err(SqsError::new(Code::BatchRequestTooLong, message));
    }
    let seal = |(id, message): (String, Result<Outgoing>)| {
        let sealed = message.and_then(|message| message.seal(rules, call.sender()));
        (id, sealed)
    };
    let sealed = request.messages.into_iter().map(seal).collect();
    let (outcome, ids, sealed) = Outcome::sort("SendMessageBatchResultEntry", sealed);
    let (messages, replies): (Vec<_>, Vec<_>) = sealed.into_iter().unzip();
    let sent = match messages.is_empty() {
        true => Vec::new(),
        false => call.engine().send(&request.queue, messages).await,
    };
    let outcome = outcome.close(ids, sent.into_iter().zip(replies), |(sent, reply)| {
        Ok((sent?, reply))
    })?;
    Ok(Response { outcome })
}
