//! `levada group seek`.

use std::collections::BTreeMap;

use levada_client::Client;
use serde::Serialize;

use super::SeekArgs;
use super::lag::Spot;
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::output::{Report, Table};
use crate::places::{Edge, resolve};
use crate::remote::{choose_partitions, suggest};

#[derive(Serialize)]
struct Move {
    topic: String,
    partition: i32,
    /// Null if nothing was committed.
    before_offset: Option<i64>,
    after_offset: i64,
}

#[derive(Serialize)]
struct Moves {
    group: String,
    dry_run: bool,
    partitions: Vec<Move>,
}

impl Report for Moves {
    fn table(&self) -> Table {
        let mut table = Table::new(&["topic", ">partition", ">before", ">after", ">change"]);
        for row in &self.partitions {
            let change = row.before_offset.map(|before| row.after_offset - before);
            table.row([
                row.topic.clone(),
                row.partition.to_string(),
                row.before_offset
                    .map_or("-".to_owned(), |offset| offset.to_string()),
                row.after_offset.to_string(),
                change.map_or("-".to_owned(), |change| format!("{change:+}")),
            ]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        vec![self.group.clone()]
    }
}

pub async fn seek(client: &Client, args: &SeekArgs, context: &Context) -> CliResult {
    let group = client.describe_group(&args.name).await?;
    if !group.members.is_empty() {
        return Err(CliError::Refused(format!(
            "group '{}' has {} members, which would commit over the new offsets: stop them first",
            args.name,
            group.members.len()
        )));
    }
    let committed = client.committed_offsets(&args.name, None).await?;
    let committed: BTreeMap<Spot, i64> = committed
        .into_iter()
        .map(|(spot, committed)| (spot, committed.offset))
        .collect();
    let wanted = wanted_partitions(client, args, &committed).await?;
    let to = (args.to, Edge::Begin);
    let mut moves = Vec::new();
    let mut offsets = BTreeMap::new();
    for (topic, partitions) in &wanted {
        let after = resolve(client, context, topic, partitions, to).await?;
        for (partition, after_offset) in partitions.iter().zip(after) {
            let spot = (topic.clone(), *partition);
            moves.push(Move {
                topic: topic.clone(),
                partition: *partition,
                before_offset: committed.get(&spot).copied(),
                after_offset,
            });
            offsets.insert(spot, after_offset);
        }
    }
    if !args.dry_run {
        client.commit_offsets(&args.name, &offsets).await?;
    }
    context.print(&Moves {
        group: args.name.clone(),
        dry_run: args.dry_run,
        partitions: moves,
    })?;
    if args.dry_run {
        context.say("Nothing was changed: this was a dry run.");
    } else {
        suggest(context, &format!("levada group describe {}", args.name));
    }
    Ok(())
}

/// By topic: named topics whole, else what the group has offsets for.
async fn wanted_partitions(
    client: &Client,
    args: &SeekArgs,
    committed: &BTreeMap<Spot, i64>,
) -> CliResult<BTreeMap<String, Vec<i32>>> {
    let mut wanted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for name in &args.topics {
        let topic = client.topic(name, false).await?;
        wanted.insert(name.clone(), choose_partitions(&topic, &args.partitions)?);
    }
    if args.topics.is_empty() {
        for (topic, partition) in committed.keys() {
            if args.partitions.is_empty() || args.partitions.contains(partition) {
                wanted.entry(topic.clone()).or_default().push(*partition);
            }
        }
    }
    if wanted.is_empty() {
        return Err(CliError::Usage(format!(
            "group '{}' has no such offsets: name a topic with --topic",
            args.name
        )));
    }
    Ok(wanted)
}
