//! `levada queue create`, `list`, `purge`, `delete`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{CreateArgs, DeleteArgs, ListArgs, PurgeArgs};
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::output::{Report, Table};
use crate::remote::{confirm, suggest};
use crate::sqs::Sqs;

/// Names that one page of a list has.
const PAGE: u32 = 1000;

#[derive(Serialize)]
struct Row {
    name: String,
    url: String,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Queues(Vec<Row>);

impl Report for Queues {
    fn table(&self) -> Table {
        let mut table = Table::new(&["queue", "url"]);
        for row in &self.0 {
            table.row([row.name.clone(), row.url.clone()]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.name.clone()).collect()
    }
}

fn row(url: &str) -> Row {
    Row {
        name: url.rsplit('/').next().unwrap_or(url).to_owned(),
        url: url.to_owned(),
    }
}

pub async fn create(sqs: &Sqs, args: &CreateArgs, context: &Context) -> CliResult {
    let mut attributes = Map::new();
    let mut set = |name: &str, value: String| attributes.insert(name.to_owned(), value.into());
    if args.name.ends_with(".fifo") {
        set("FifoQueue", "true".into());
    }
    if let Some(seconds) = args.visibility {
        set("VisibilityTimeout", seconds.to_string());
    }
    if let Some(seconds) = args.delay {
        set("DelaySeconds", seconds.to_string());
    }
    if let Some(target) = &args.dead_letter {
        let told = sqs.attributes(target).await?;
        let arn = told.get("QueueArn");
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": args.attempts});
        set("RedrivePolicy", policy.to_string());
    }
    for (name, value) in &args.attributes {
        set(name, value.clone());
    }
    let tags: Map<String, Value> = args
        .tags
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    let request = json!({"QueueName": args.name, "Attributes": attributes, "tags": tags});
    let made = sqs.call("CreateQueue", &request).await?;
    let url = made.get("QueueUrl").and_then(Value::as_str);
    context.print(&Queues(url.map(row).into_iter().collect()))?;
    suggest(context, &format!("levada queue send {} hello", args.name));
    Ok(())
}

pub async fn list(sqs: &Sqs, args: &ListArgs, context: &Context) -> CliResult {
    let mut rows = Vec::new();
    let mut token = Value::Null;
    loop {
        let mut request = json!({"QueueNamePrefix": args.prefix, "MaxResults": PAGE});
        if !token.is_null() {
            request["NextToken"] = token;
        }
        let mut page = sqs.call("ListQueues", &request).await?;
        let urls = page.get("QueueUrls").and_then(Value::as_array);
        rows.extend(
            urls.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(row),
        );
        token = page["NextToken"].take();
        if token.is_null() {
            break;
        }
    }
    let is_empty = rows.is_empty();
    context.print(&Queues(rows))?;
    if is_empty {
        suggest(context, "levada queue create NAME");
    }
    Ok(())
}

pub async fn purge(sqs: &Sqs, args: &PurgeArgs, context: &Context) -> CliResult {
    let question = format!("Drop every message of '{}'?", args.name);
    confirm(context, args.yes, &question)?;
    let request = json!({"QueueUrl": sqs.url(&args.name)});
    sqs.call("PurgeQueue", &request).await?;
    Ok(())
}

pub async fn delete(sqs: &Sqs, args: &DeleteArgs, context: &Context) -> CliResult {
    let question = format!("Delete {} with all messages?", args.names.join(", "));
    confirm(context, args.yes, &question)?;
    let mut refused = Vec::new();
    for name in &args.names {
        let request = json!({"QueueUrl": sqs.url(name)});
        match sqs.call("DeleteQueue", &request).await {
            Err(CliError::Refused(why)) => refused.push(format!("{name}: {why}")),
            other => drop(other?),
        }
    }
    match refused.is_empty() {
        true => Ok(()),
        false => Err(CliError::Refused(refused.join("\n"))),
    }
}
