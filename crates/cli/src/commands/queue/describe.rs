//! `levada queue describe`.

use serde::Serialize;

use super::NamesArgs;
use crate::context::Context;
use crate::error::CliResult;
use crate::output::{Report, Table};
use crate::sqs::{Attributes, Sqs};

#[derive(Serialize)]
struct Row {
    name: String,
    messages_visible: u64,
    messages_in_flight: u64,
    messages_delayed: u64,
    attributes: Attributes,
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
            let target = row.attributes.dead_letters_to();
            table.row([
                row.name.clone(),
                row.messages_visible.to_string(),
                row.messages_in_flight.to_string(),
                row.messages_delayed.to_string(),
                hidden.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s")),
                target.map_or_else(|| "-".to_owned(), |(name, _)| name),
            ]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.name.clone()).collect()
    }
}

pub async fn describe(sqs: &Sqs, args: &NamesArgs, context: &Context) -> CliResult {
    let mut rows = Vec::new();
    for name in &args.names {
        let attributes = sqs.attributes(name).await?;
        rows.push(Row {
            name: name.clone(),
            messages_visible: attributes.visible(),
            messages_in_flight: attributes.in_flight(),
            messages_delayed: attributes.delayed(),
            attributes,
        });
    }
    context.print(&Queues(rows))
}
