//! One connection that speaks SQS: whole requests out, whole answers in, every one checked.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Messages of a request that carries many: the most that SQS takes.
const BATCH: usize = 10;
const QUEUE: &str = "counted";

/// A connection to the SQS listener, and the one queue that it is used for.
pub struct Http {
    stream: TcpStream,
    received: Vec<u8>,
    url: String,
}

impl Http {
    /// Connects and creates the queue.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut http = Self {
            stream,
            received: Vec::new(),
            url: String::new(),
        };
        let create = request("CreateQueue", &json!({ "QueueName": QUEUE }));
        let created = http.ask(&create).await?;
        let url = created.get("QueueUrl").and_then(Value::as_str);
        http.url = url.context("a queue has an address")?.to_owned();
        Ok(http)
    }

    /// A request that sends one message.
    pub fn send_one(&self, body: &str) -> Vec<u8> {
        let message = json!({ "QueueUrl": self.url, "MessageBody": body });
        request("SendMessage", &message)
    }

    /// A request that sends ten messages.
    pub fn send_ten(&self, body: &str) -> Vec<u8> {
        let entry = |id: usize| json!({ "Id": id.to_string(), "MessageBody": body });
        let entries: Vec<Value> = (0..BATCH).map(entry).collect();
        let batch = json!({ "QueueUrl": self.url, "Entries": entries });
        request("SendMessageBatch", &batch)
    }

    /// Sends a request that carries one message or many.
    pub async fn send(&mut self, request: &[u8]) -> Result<()> {
        let answer = self.ask(request).await?;
        let one = answer.get("MessageId").is_some();
        ensure!(one || done(&answer) == BATCH, "not sent: {answer}");
        Ok(())
    }

    /// Receives ten messages and deletes them.
    pub async fn receive_and_delete(&mut self) -> Result<()> {
        let ask = json!({ "QueueUrl": self.url, "MaxNumberOfMessages": BATCH });
        let answer = self.ask(&request("ReceiveMessage", &ask)).await?;
        let messages = answer.get("Messages").and_then(Value::as_array);
        let messages = messages.context("messages are there")?;
        ensure!(messages.len() == BATCH, "{} received", messages.len());
        let entry = |(id, message): (usize, &Value)| json!({ "Id": id.to_string(), "ReceiptHandle": message["ReceiptHandle"] });
        let entries: Vec<Value> = messages.iter().enumerate().map(entry).collect();
        let batch = json!({ "QueueUrl": self.url, "Entries": entries });
        let answer = self.ask(&request("DeleteMessageBatch", &batch)).await?;
        ensure!(done(&answer) == BATCH, "not deleted: {answer}");
        Ok(())
    }

    async fn ask(&mut self, request: &[u8]) -> Result<Value> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let head = loop {
            let read = self.stream.read_buf(&mut self.received).await?;
            ensure!(read > 0, "the connection ended inside an answer");
            let mut ends = self.received.windows(4);
            if let Some(at) = ends.position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let text = String::from_utf8_lossy(&self.received[..head]).to_lowercase();
        ensure!(text.starts_with("http/1.1 200"), "{text}");
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("an answer tells its length")?.parse()?;
        while self.received.len() < head + length {
            let read = self.stream.read_buf(&mut self.received).await?;
            ensure!(read > 0, "the connection ended inside an answer");
        }
        Ok(serde_json::from_slice(&self.received[head..])?)
    }
}

/// Entries of a batch that were taken.
fn done(answer: &Value) -> usize {
    let taken = answer.get("Successful").and_then(Value::as_array);
    taken.map_or(0, Vec::len)
}

/// As today's SDKs write it.
fn request(action: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let mut text =
        format!("POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: AmazonSQS.{action}\r\n");
    let _ = write!(
        text,
        "content-type: application/x-amz-json-1.0\r\nx-amzn-query-mode: true\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    text.into_bytes()
}
