//! `levada topic describe`.

use std::collections::BTreeMap;

use levada_client::{Client, Topic};
use serde::Serialize;

use super::DescribeArgs;
use super::queue_side::{self, QueueSide};
use crate::context::Context;
use crate::error::CliResult;
use crate::output::{Format, Report, Table};
use crate::remote::{choose_partitions, ends, suggest, write_stdout};
use crate::sqs::Sqs;
use crate::units::{show_bytes, show_count};

#[derive(Serialize)]
struct PartitionRow {
    partition: i32,
    leader: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    start_offset: i64,
    /// After the last record.
    end_offset: i64,
    /// Offsets in use; a compacted topic holds fewer records.
    records: i64,
    /// Of the largest copy; null if the cluster does not tell.
    size_bytes: Option<u64>,
}

#[derive(Serialize)]
struct ConfigRow {
    name: String,
    value: Option<String>,
    /// topic, broker, cluster, default or unknown.
    source: &'static str,
    read_only: bool,
}

#[derive(Serialize)]
struct Description {
    name: String,
    id: Option<String>,
    internal: bool,
    records: i64,
    size_bytes: Option<u64>,
    partitions: Vec<PartitionRow>,
    configs: Vec<ConfigRow>,
    /// Null for a topic that is no queue, and when the SQS listener does not answer.
    queue: Option<QueueSide>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Descriptions(Vec<Description>);

impl Report for Descriptions {
    /// Not used: a description is several tables.
    fn table(&self) -> Table {
        Table::default()
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|topic| topic.name.clone()).collect()
    }
}

pub async fn describe(client: &Client, args: &DescribeArgs, context: &Context) -> CliResult {
    let sqs = Sqs::new(&args.sqs, context);
    let mut all = Vec::with_capacity(args.names.len());
    for name in &args.names {
        let topic = client.topic(name, false).await?;
        let mut described = describe_topic(client, &topic).await?;
        if described.is_queue() {
            let asked = queue_side::ask(&sqs, name).await;
            described.queue = asked
                .inspect_err(|error| context.say(format!("{name} is a queue too, but {error}")))
                .ok();
        }
        all.push(described);
    }
    if context.format != Format::Table {
        return context.print(&Descriptions(all));
    }
    let texts: Vec<String> = all.iter().map(|topic| topic.text(args.all)).collect();
    write_stdout(&texts.join("\n"))?;
    if let Some(name) = args.names.first() {
        suggest(context, &format!("levada consume {name} --from -10"));
    }
    Ok(())
}

async fn describe_topic(client: &Client, topic: &Topic) -> CliResult<Description> {
    let indexes = choose_partitions(topic, &[])?;
    let ends = ends(client, &topic.name, &indexes).await?;
    let sizes = client.log_sizes(Some(topic)).await.ok().map(|sizes| {
        let mut by_partition: BTreeMap<i32, u64> = BTreeMap::new();
        for size in sizes.into_iter().filter(|size| size.topic == topic.name) {
            let known = by_partition.entry(size.partition).or_default();
            *known = size.bytes.max(*known);
        }
        by_partition
    });
    let rows = topic.partitions.iter().zip(ends);
    let partitions: Vec<PartitionRow> = rows
        .map(|(partition, (start_offset, end_offset))| PartitionRow {
            partition: partition.index,
            leader: partition.leader,
            replicas: partition.replicas.clone(),
            in_sync: partition.in_sync.clone(),
            start_offset,
            end_offset,
            records: end_offset.saturating_sub(start_offset),
            size_bytes: sizes
                .as_ref()
                .map(|sizes| sizes.get(&partition.index).copied().unwrap_or(0)),
        })
        .collect();
    let configs = client.topic_configs(&topic.name).await?;
    Ok(Description {
        name: topic.name.clone(),
        id: (!topic.id.is_zero()).then(|| topic.id.to_string()),
        internal: topic.internal,
        records: partitions.iter().map(|partition| partition.records).sum(),
        size_bytes: sizes.map(|sizes| sizes.values().sum()),
        partitions,
        configs: configs
            .into_iter()
            .map(|config| ConfigRow {
                name: config.name,
                value: config.value,
                source: config.source,
                read_only: config.read_only,
            })
            .collect(),
        queue: None,
    })
}

impl Description {
    fn is_queue(&self) -> bool {
        let mut configs = self.configs.iter();
        configs
            .any(|config| config.name == "queue.enabled" && config.value.as_deref() == Some("true"))
    }

    fn text(&self, all_configs: bool) -> String {
        let size = |bytes: Option<u64>| bytes.map_or("-".to_owned(), show_bytes);
        let count = |records: i64| show_count(u64::try_from(records).unwrap_or(0));
        let mut partitions = Table::new(&[
            ">partition",
            ">leader",
            ">start",
            ">end",
            ">records",
            ">size",
            "in sync",
        ]);
        for row in &self.partitions {
            partitions.row([
                row.partition.to_string(),
                row.leader.to_string(),
                row.start_offset.to_string(),
                row.end_offset.to_string(),
                count(row.records),
                size(row.size_bytes),
                format!("{} of {}", row.in_sync.len(), row.replicas.len()),
            ]);
        }
        let mut configs = Table::new(&["setting", "value", "source"]);
        let mut hidden = 0;
        for config in &self.configs {
            if !all_configs && config.source == "default" {
                hidden += 1;
                continue;
            }
            let value = config.value.clone().unwrap_or("(hidden)".to_owned());
            configs.row([config.name.clone(), value, config.source.to_owned()]);
        }
        let id = self
            .id
            .as_ref()
            .map_or(String::new(), |id| format!(", id {id}"));
        let mut text = format!(
            "Topic {}{id}: {} records, {}\n{}\n{}",
            self.name,
            count(self.records),
            size(self.size_bytes),
            self.queue.as_ref().map(QueueSide::text).unwrap_or_default(),
            partitions.render()
        );
        if hidden < self.configs.len() {
            text.push('\n');
            text.push_str(&configs.render());
        }
        if hidden > 0 {
            text.push_str(&format!(
                "\n{hidden} settings have their default (--all shows them).\n"
            ));
        }
        text
    }
}
