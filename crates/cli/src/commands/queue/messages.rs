//! `levada queue send`, `receive`, `ack`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{AckArgs, ReceiveArgs, SendArgs};
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::output::{Report, Table};
use crate::sqs::Sqs;

/// Entries of one request.
const BATCH: usize = 10;

#[derive(Serialize)]
struct SentRow {
    message_id: String,
    /// FIFO queues only.
    sequence_number: Option<String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Sent(Vec<SentRow>);

impl Report for Sent {
    fn table(&self) -> Table {
        let mut table = Table::new(&["message"]);
        for row in &self.0 {
            table.row([row.message_id.clone()]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.message_id.clone()).collect()
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// The arguments, or else the lines of stdin.
fn given(arguments: &[String]) -> CliResult<Vec<String>> {
    if !arguments.is_empty() {
        return Ok(arguments.to_vec());
    }
    Ok(std::io::stdin().lines().collect::<Result<_, _>>()?)
}

pub async fn send(sqs: &Sqs, args: &SendArgs, context: &Context) -> CliResult {
    let attributes: serde_json::Map<_, _> = args
        .attributes
        .iter()
        .map(|(name, value)| {
            let value = json!({"DataType": "String", "StringValue": value});
            (name.clone(), value)
        })
        .collect();
    let mut rows = Vec::new();
    for body in given(&args.bodies)? {
        let mut request = json!({
            "QueueUrl": sqs.url(&args.name),
            "MessageBody": body,
            "MessageAttributes": attributes,
        });
        let optional = [
            ("MessageGroupId", args.group.clone().map(Value::from)),
            (
                "MessageDeduplicationId",
                args.deduplication_id.clone().map(Value::from),
            ),
            ("DelaySeconds", args.delay.map(Value::from)),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                request[name] = value;
            }
        }
        let sent = sqs.call("SendMessage", &request).await?;
        rows.push(SentRow {
            message_id: text(&sent, "MessageId").unwrap_or_default(),
            sequence_number: text(&sent, "SequenceNumber"),
        });
    }
    context.print(&Sent(rows))
}

#[derive(Serialize)]
struct MessageRow {
    message_id: String,
    receipt: String,
    body: String,
    receive_count: u64,
    sent_ms: i64,
    group: Option<String>,
    /// Those that are text, as text; others in base64.
    attributes: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Messages(Vec<MessageRow>);

impl Report for Messages {
    fn table(&self) -> Table {
        let mut table = Table::new(&["message", ">received", "group", "body"]);
        for row in &self.0 {
            table.row([
                row.message_id.clone(),
                row.receive_count.to_string(),
                row.group.clone().unwrap_or_else(|| "-".to_owned()),
                row.body.clone(),
            ]);
        }
        table
    }

    /// Receipts: what `levada queue ack` takes.
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.receipt.clone()).collect()
    }
}

fn message(told: &Value) -> MessageRow {
    let system = |name: &str| told.get("Attributes").and_then(|all| text(all, name));
    let own = told.get("MessageAttributes").and_then(Value::as_object);
    let attributes = own.into_iter().flatten().filter_map(|(name, value)| {
        let value = text(value, "StringValue").or_else(|| text(value, "BinaryValue"));
        Some((name.clone(), value?))
    });
    let number = |name: &str| system(name).and_then(|text| text.parse::<i64>().ok());
    MessageRow {
        message_id: text(told, "MessageId").unwrap_or_default(),
        receipt: text(told, "ReceiptHandle").unwrap_or_default(),
        body: text(told, "Body").unwrap_or_default(),
        receive_count: number("ApproximateReceiveCount").map_or(0, i64::unsigned_abs),
        sent_ms: number("SentTimestamp").unwrap_or(0),
        group: system("MessageGroupId"),
        attributes: attributes.collect(),
    }
}

pub async fn receive(sqs: &Sqs, args: &ReceiveArgs, context: &Context) -> CliResult {
    let mut request = json!({
        "QueueUrl": sqs.url(&args.name),
        "MaxNumberOfMessages": args.count,
        "WaitTimeSeconds": args.wait,
        "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
    });
    if let Some(seconds) = args.visibility {
        request["VisibilityTimeout"] = seconds.into();
    }
    let answer = sqs.call("ReceiveMessage", &request).await?;
    let told = answer.get("Messages").and_then(Value::as_array);
    let messages = Messages(told.into_iter().flatten().map(message).collect());
    let receipts = messages.names();
    let is_empty = receipts.is_empty();
    context.print(&messages)?;
    if is_empty && context.person_on_stderr() {
        context.say("there is nothing to receive now");
    }
    match args.ack {
        true => acknowledge(sqs, &args.name, &receipts).await,
        false => Ok(()),
    }
}

pub async fn ack(sqs: &Sqs, args: &AckArgs, _: &Context) -> CliResult {
    acknowledge(sqs, &args.name, &given(&args.receipts)?).await
}

async fn acknowledge(sqs: &Sqs, queue: &str, receipts: &[String]) -> CliResult {
    let mut refused = Vec::new();
    for some in receipts.chunks(BATCH) {
        let entries: Vec<_> = some
            .iter()
            .enumerate()
            .map(|(at, receipt)| json!({"Id": at.to_string(), "ReceiptHandle": receipt}))
            .collect();
        let request = json!({"QueueUrl": sqs.url(queue), "Entries": entries});
        let answer = sqs.call("DeleteMessageBatch", &request).await?;
        let failed = answer.get("Failed").and_then(Value::as_array);
        refused.extend(failed.into_iter().flatten().map(|one| {
            let at = text(one, "Id").and_then(|id| id.parse::<usize>().ok());
            let receipt = at.and_then(|at| some.get(at)).map_or("", String::as_str);
            format!("{receipt}: {}", text(one, "Message").unwrap_or_default())
        }));
    }
    match refused.is_empty() {
        true => Ok(()),
        false => Err(CliError::Refused(refused.join("\n"))),
    }
}
