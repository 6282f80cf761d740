//! A small client of the SQS listener: JSON over HTTP, one connection a call.

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use levada_env::Env;
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
        match told.and_then(Value::as_str) {
            Some(message) if value.get("__type").is_some() => {
                Err(CliError::Refused(message.to_owned()))
            }
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

    /// A queue's attributes, as the service tells them: all are text.
    ///
    /// # Errors
    /// As [`Sqs::call`].
    pub async fn attributes(&self, queue: &str) -> CliResult<Value> {
        let request = json!({"QueueUrl": self.url(queue), "AttributeNames": ["All"]});
        let answer = self.call("GetQueueAttributes", &request).await?;
        Ok(answer.get("Attributes").cloned().unwrap_or_default())
    }
}
