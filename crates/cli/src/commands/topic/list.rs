//! `levada topic list`.

use std::collections::BTreeMap;

use levada_client::Client;
use serde::Serialize;

use super::ListArgs;
use crate::context::Context;
use crate::error::CliResult;
use crate::output::{Report, Table};
use crate::remote::suggest;
use crate::units::show_bytes;

#[derive(Serialize)]
struct Row {
    name: String,
    partitions: usize,
    replication: usize,
    internal: bool,
    /// On all brokers together; null if the cluster does not tell.
    size_bytes: Option<u64>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Topics(Vec<Row>);

impl Report for Topics {
    fn table(&self) -> Table {
        let mut table = Table::new(&["topic", ">partitions", ">replication", ">size"]);
        for row in &self.0 {
            table.row([
                row.name.clone(),
                row.partitions.to_string(),
                row.replication.to_string(),
                row.size_bytes.map_or("-".to_owned(), show_bytes),
            ]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|row| row.name.clone()).collect()
    }
}

pub async fn list(client: &Client, args: &ListArgs, context: &Context) -> CliResult {
    let topics = client.topics().await?;
    // Who may not ask for sizes, or asks a broker that has no such request, gets the list still.
    let sizes = client.log_sizes(None).await.ok().map(|sizes| {
        let mut by_topic: BTreeMap<String, u64> = BTreeMap::new();
        for size in sizes {
            *by_topic.entry(size.topic).or_default() += size.bytes;
        }
        by_topic
    });
    let rows = topics
        .iter()
        .filter(|topic| args.internal || !topic.internal)
        .map(|topic| Row {
            name: topic.name.clone(),
            partitions: topic.partitions.len(),
            replication: topic
                .partitions
                .iter()
                .map(|p| p.replicas.len())
                .max()
                .unwrap_or(0),
            internal: topic.internal,
            size_bytes: sizes
                .as_ref()
                .map(|sizes| sizes.get(&topic.name).copied().unwrap_or(0)),
        });
    let rows = Topics(rows.collect());
    let empty = rows.0.is_empty();
    context.print(&rows)?;
    if empty {
        suggest(context, "levada topic create NAME");
    }
    Ok(())
}
