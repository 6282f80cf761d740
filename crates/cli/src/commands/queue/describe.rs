//! `levada queue describe`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::NamesArgs;
use crate::context::Context;
use crate::error::CliResult;
use crate::output::{Report, Table};
use crate::sqs::Sqs;

#[derive(Serialize)]
struct Row {
    name: String,
    messages_visible: u64,
    messages_in_flight: u64,
    messages_delayed: u64,
    /// As the service tells them.
    attributes: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Queues(Vec<Row>);

impl Report for Queues {
    fn table(&self) -> Table {
        let headings = [
            "queue",
            ">visible",
            ">in flight",
            ">delayed",
            ">hidden for",
            "dead letters to",
        ];
        let mut table = Table::new(&headings);
        for row in &self.0 {
            let hidden = row.attributes.get("VisibilityTimeout");
            table.row([
                row.name.clone(),
                row.messages_visible.to_string(),
                row.messages_in_flight.to_string(),
                row.messages_delayed.to_string(),
                hidden.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s")),
                row.dead_letters_to(),
            ]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.name.clone()).collect()
    }
}

impl Row {
    /// The queue's name, out of its ARN.
    fn dead_letters_to(&self) -> String {
        let policy = self.attributes.get("RedrivePolicy");
        let policy: Option<Value> = policy.and_then(|text| serde_json::from_str(text).ok());
        let target = policy
            .as_ref()
            .and_then(|policy| policy.get("deadLetterTargetArn"));
        let name = target
            .and_then(Value::as_str)
            .and_then(|arn| arn.rsplit(':').next());
        name.unwrap_or("-").to_owned()
    }
}

pub async fn describe(sqs: &Sqs, args: &NamesArgs, context: &Context) -> CliResult {
    let mut rows = Vec::new();
    for name in &args.names {
        let told = sqs.attributes(name).await?;
        let attributes: BTreeMap<String, String> = serde_json::from_value(told).unwrap_or_default();
        let count = |which: &str| {
            let text = attributes.get(&format!("ApproximateNumberOfMessages{which}"));
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        rows.push(Row {
            name: name.clone(),
            messages_visible: count(""),
            messages_in_flight: count("NotVisible"),
            messages_delayed: count("Delayed"),
            attributes,
        });
    }
    context.print(&Queues(rows))
}
