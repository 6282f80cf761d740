//! SQS: ReceiveMessage.

use std::time::Duration;

use levada_engine::queue::{QueueError, Receive};

use super::Answer;
use crate::call::Call;
use crate::errors::{Code, Result, SqsError};
use crate::limits::{
    ATTRIBUTE_NAME_MAX, BATCH_ENTRIES_MAX, NAMES_WANTED_MAX, RECEIVE_BYTES_MAX,
    VISIBILITY_SECONDS_MAX, WAIT_SECONDS_MAX,
};
use crate::message::{Delivered, Wanted, is_id, write_message};
use crate::names::ACCOUNT;
use crate::protocol::{Fields, Name, Writer};

pub struct Request {
    queue: String,
    receive: Receive,
    wanted: Wanted,
}

impl Request {
    pub fn read(call: &Call, fields: Fields<'_>) -> Result<Self> {
        let most = i64::try_from(BATCH_ENTRIES_MAX).unwrap_or(i64::MAX);
        let count = fields.number_within("MaxNumberOfMessages", 1, most)?;
        let visibility = fields.number_within("VisibilityTimeout", 0, VISIBILITY_SECONDS_MAX)?;
        let wait = fields.number_within("WaitTimeSeconds", 0, WAIT_SECONDS_MAX)?;
        let attempt = fields.text("ReceiveRequestAttemptId")?;
        if let Some(wrong) = attempt.as_ref().filter(|id| !is_id(id)) {
            let why = "It can have letters, digits and punctuation. 1 to 128 in length.";
            return Err(SqsError::value(wrong, "ReceiveRequestAttemptId", why));
        }
        // Two names of one list: the older one was also that of queue attributes.
        let mut system = fields.texts(Name::new("AttributeNames", "AttributeName"))?;
        let name = Name::new("MessageSystemAttributeNames", "MessageSystemAttributeName");
        system.extend(fields.texts(name)?);
        let name = Name::new("MessageAttributeNames", "MessageAttributeName");
        let attributes = fields.texts(name)?;
        check_names(&system)?;
        check_names(&attributes)?;
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        Ok(Self {
            queue: call.queue_name(fields)?,
            receive: Receive {
                messages_max: count
                    .and_then(|count| usize::try_from(count).ok())
                    .unwrap_or(1),
                bytes_max: RECEIVE_BYTES_MAX,
                visibility: visibility.map(seconds),
                wait: wait.map(seconds),
                attempt,
            },
            wanted: Wanted { system, attributes },
        })
    }
}

/// They are held as long as the receive waits.
fn check_names(names: &[String]) -> Result<()> {
    let long = names.iter().any(|name| name.len() > ATTRIBUTE_NAME_MAX);
    if !long && names.len() <= NAMES_WANTED_MAX {
        return Ok(());
    }
    let message = format!(
        "A receive can name {NAMES_WANTED_MAX} attributes of {ATTRIBUTE_NAME_MAX} characters at most; \
         All names every one."
    );
    Err(SqsError::new(Code::InvalidParameter, message))
}

pub struct Response {
    messages: Vec<Delivered>,
    wanted: Wanted,
}

impl Answer for Response {
    fn write(&self, writer: &mut Writer) {
        writer.list(
            Name::new("Messages", "Message"),
            &self.messages,
            |writer, message| {
                write_message(message, &self.wanted, writer);
            },
        );
    }
}

pub async fn run(call: &Call, request: Request) -> Result<Response> {
    let is_fifo = call.view(&request.queue)?.is_fifo();
    let responses_max = call.shared.settings.response_bytes_max;
    call.shared.responses.below(responses_max).await;
    let received = tokio::select! {
        biased;
        received = call.engine().receive(&request.queue, request.receive) => received,
        // A long poll is answered at once when the service stops.
        () = call.stopping().cancelled() => Ok(Vec::new()),
    };
    let received = match received {
        Err(QueueError::TooManyInFlight) => {
            let message = "Too many messages are in flight: delete some of them first.";
            return Err(SqsError::new(Code::OverLimit, message));
        }
        other => other?,
    };
    let deliver = |message| Delivered::new(message, is_fifo, ACCOUNT, |name| call.arn(name));
    Ok(Response {
        messages: received.into_iter().map(deliver).collect(),
        wanted: request.wanted,
    })
}
