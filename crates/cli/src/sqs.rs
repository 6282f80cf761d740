//! A small client of the SQS listener: JSON over HTTP, one connection a call.

use std::collections::BTreeMap;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use levada_env::Env;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{CliError, CliResult};

/// The largest answer: ten messages of a mebibyte, escaped.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The SQS listener that a queue command talks to; flatten it into the command's `Args`.
#[derive(Args, Clone, Debug)]
pub struct SqsArgs {
    /// Address of the service's SQS listener
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT",
        env = "LEVADA_SQS",
        default_value = "127.0.0.1:9324"
    )]
    pub sqs: String,
}

/// Where requests go.
pub struct Sqs {
    env: Env,
    address: String,
}

impl Sqs {
    pub fn new(args: &SqsArgs, context: &Context) -> Self {
        Self {
            env: context.env.clone(),
            address: args.sqs.clone(),
        }
    }

    /// The queue's name in requests.
    pub fn url(&self, queue: &str) -> String {
        format!("http://{}/000000000000/{queue}", self.address)
    }

    /// Calls an action; gives its answer.
    ///
    /// # Errors
    /// [`CliError::Unreachable`], or [`CliError::Refused`] with the service's words.
    pub async fn call(&self, action: &str, request: &Value) -> CliResult<Value> {
        let answer = self.exchange(action, request).await?;
        let (head, body) = answer.into_parts();
        let reading = Limited::new(body, ANSWER_BYTES_MAX).collect();
        let body = reading.await.map_err(|error| self.unreachable(&error))?;
        let value: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null);
        if head.status == StatusCode::OK {
            return Ok(value);
        }
        let told = value.get("message").or_else(|| value.get("Message"));
        let kind = value.get("__type").and_then(Value::as_str);
        match (told.and_then(Value::as_str), kind) {
            (Some(message), Some(kind)) => Err(CliError::Refused(refusal(kind, message, request))),
            _ => Err(self.unreachable(&format!("it answers {} to {action}", head.status))),
        }
    }

    async fn exchange(
        &self,
        action: &str,
        request: &Value,
    ) -> CliResult<Response<hyper::body::Incoming>> {
        let stream = self.env.connect(&self.address).await;
        let stream = stream.map_err(|error| self.unreachable(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(&error))?;
        // Ends with the answer: the connection is not used again.
        self.env.spawn("sqs-connection", connection);
        let request = Request::post("/")
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header("X-Amz-Target", format!("AmazonSQS.{action}"))
            .body(Full::new(Bytes::from(request.to_string())))
            .map_err(|error| CliError::Usage(error.to_string()))?;
        let answer = sender.send_request(request).await;
        answer.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, why: &dyn std::fmt::Display) -> CliError {
        CliError::Unreachable(format!(
            "no SQS listener at {}: {why}\nStart one with `levada serve`, or name another with \
             --sqs HOST:PORT (or LEVADA_SQS). `levada serve` prints its own as \"SQS\".",
            self.address
        ))
    }

    /// A queue's attributes.
    ///
    /// # Errors
    /// As [`Sqs::call`].
    pub async fn attributes(&self, queue: &str) -> CliResult<Attributes> {
        let request = json!({"QueueUrl": self.url(queue), "AttributeNames": ["All"]});
        let mut answer = self.call("GetQueueAttributes", &request).await?;
        let told = answer.get_mut("Attributes").map(Value::take);
        Ok(serde_json::from_value(told.unwrap_or_default()).unwrap_or_default())
    }

    /// The names of the queues whose dead letters come to this one.
    ///
    /// # Errors
    /// As [`Sqs::call`].
    pub async fn dead_letter_sources(&self, queue: &str) -> CliResult<Vec<String>> {
        let request = json!({"QueueUrl": self.url(queue)});
        let answer = self.call("ListDeadLetterSourceQueues", &request).await?;
        let urls = answer.get("queueUrls").and_then(Value::as_array);
        let urls = urls.into_iter().flatten().filter_map(Value::as_str);
        Ok(urls.map(|url| last_part(url, '/')).collect())
    }
}

/// A queue's attributes, as the service tells them: all are text.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(BTreeMap<String, String>);

impl Attributes {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Messages that can be received now.
    pub fn visible(&self) -> u64 {
        self.count("ApproximateNumberOfMessages")
    }

    /// Messages that were received and are neither acknowledged nor visible again.
    pub fn in_flight(&self) -> u64 {
        self.count("ApproximateNumberOfMessagesNotVisible")
    }

    /// Messages whose delay is not over.
    pub fn delayed(&self) -> u64 {
        self.count("ApproximateNumberOfMessagesDelayed")
    }

    fn count(&self, name: &str) -> u64 {
        let number = self.get(name).and_then(|text| text.parse().ok());
        number.unwrap_or(0)
    }

    /// The queue that gets what failed too often, and after how many receives.
    pub fn dead_letters_to(&self) -> Option<(String, u64)> {
        let policy: Value = serde_json::from_str(self.get("RedrivePolicy")?).ok()?;
        let target = last_part(policy.get("deadLetterTargetArn")?.as_str()?, ':');
        let attempts = policy.get("maxReceiveCount")?;
        // Numbers are told as numbers or as text, as they were set.
        let attempts = attempts
            .as_u64()
            .or_else(|| attempts.as_str()?.parse().ok());
        Some((target, attempts?))
    }
}

/// The service's words, and what a person can do next.
fn refusal(kind: &str, message: &str, request: &Value) -> String {
    let named = request.get("QueueUrl").or_else(|| request.get("QueueName"));
    let queue = last_part(named.and_then(Value::as_str).unwrap_or("NAME"), '/');
    let next = match last_part(kind, '#').as_str() {
        "QueueDoesNotExist" => {
            return format!(
                "there is no queue '{queue}'\n`levada queue list` shows those there are; `levada \
                 queue create {queue}` makes it, of a topic of that name too"
            );
        }
        "QueueNameExists" => format!(
            "`levada topic alter {queue} --config NAME=VALUE` changes a queue's settings; `levada \
             topic describe {queue} --all` shows their names"
        ),
        "MissingAuthenticationTokenException" => {
            "`levada queue` does not sign its requests yet: where keys are asked for, use the aws \
             command line"
                .to_owned()
        }
        _ if message.contains("MessageDeduplicationId") => {
            "Give one with --deduplication-id, or create the queue with \
             -a ContentBasedDeduplication=true"
                .to_owned()
        }
        _ if message.contains("MessageGroupId") => "Give one with --group".to_owned(),
        _ => return message.to_owned(),
    };
    format!("{message}\n{next}")
}

/// A queue's name, which ends its URL and its ARN.
fn last_part(text: &str, separator: char) -> String {
    text.rsplit(separator).next().unwrap_or(text).to_owned()
}
