//! `levada group describe`.

use std::collections::BTreeMap;
use std::time::Duration;

use levada_client::Client;
use levada_client::admin::GroupDescription;
use serde::Serialize;

use super::DescribeArgs;
use super::lag::{Spot, Standing, standings};
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::output::{Format, Report, Table};
use crate::remote::{suggest, write_stdout};
use crate::units::{show_count, show_duration};

#[derive(Serialize)]
struct PartitionRow {
    topic: String,
    partition: i32,
    /// The next offset to be read; null if nothing is committed.
    committed_offset: Option<i64>,
    end_offset: i64,
    lag_records: i64,
    /// How long the first unread record has been waiting; null if not known.
    lag_seconds: Option<f64>,
    /// How much older that record is than the newest one; null if not known.
    behind_newest_seconds: Option<f64>,
    member_id: Option<String>,
}

#[derive(Serialize)]
struct MemberRow {
    member_id: String,
    instance_id: Option<String>,
    client_id: String,
    host: String,
    partitions: usize,
}

#[derive(Serialize)]
struct Description {
    group: String,
    state: String,
    protocol: String,
    coordinator: i32,
    lag_records: i64,
    /// The longest of all partitions.
    lag_seconds: Option<f64>,
    behind_newest_seconds: Option<f64>,
    members: Vec<MemberRow>,
    partitions: Vec<PartitionRow>,
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
        self.0.iter().map(|group| group.group.clone()).collect()
    }
}

pub async fn describe(client: &Client, args: &DescribeArgs, context: &Context) -> CliResult {
    let mut all = Vec::with_capacity(args.names.len());
    for name in &args.names {
        all.push(describe_group(client, context, name).await?);
    }
    if context.format != Format::Table {
        return context.print(&Descriptions(all));
    }
    let texts: Vec<String> = all.iter().map(Description::text).collect();
    write_stdout(&texts.join("\n"))?;
    if let Some(group) = all.first().filter(|group| group.members.is_empty()) {
        let command = format!("levada group seek {} --to latest --dry-run", group.group);
        suggest(context, &command);
    }
    Ok(())
}

async fn describe_group(client: &Client, context: &Context, name: &str) -> CliResult<Description> {
    let group = client.describe_group(name).await?;
    let committed = client.committed_offsets(name, None).await?;
    if group.state == "Dead" && committed.is_empty() {
        return Err(CliError::Refused(format!(
            "there is no group '{name}': see `levada group list`"
        )));
    }
    let mut spots: BTreeMap<Spot, Option<i64>> = committed
        .into_iter()
        .map(|(spot, committed)| (spot, Some(committed.offset)))
        .collect();
    for spot in group.members.iter().flat_map(|member| &member.assigned) {
        spots.entry(spot.clone()).or_default();
    }
    let standings = standings(client, context, &spots).await?;
    Ok(put_together(group, standings, context.env.now_ms()))
}

fn seconds(ms: Option<i64>) -> Option<f64> {
    ms.map(|ms| ms as f64 / 1000.0)
}

fn put_together(
    group: GroupDescription,
    standings: BTreeMap<Spot, Standing>,
    now_ms: i64,
) -> Description {
    let owner = |spot: &Spot| {
        let holds = |member: &&levada_client::admin::GroupMember| member.assigned.contains(spot);
        group
            .members
            .iter()
            .find(holds)
            .map(|member| member.id.clone())
    };
    let partitions: Vec<PartitionRow> = standings
        .iter()
        .map(|(spot, standing)| PartitionRow {
            topic: spot.0.clone(),
            partition: spot.1,
            committed_offset: standing.committed,
            end_offset: standing.end,
            lag_records: standing.lag(),
            lag_seconds: seconds(standing.waiting_ms(now_ms)),
            behind_newest_seconds: seconds(standing.behind_ms()),
            member_id: owner(spot),
        })
        .collect();
    let worst =
        |of: fn(&PartitionRow) -> Option<f64>| partitions.iter().filter_map(of).reduce(f64::max);
    Description {
        lag_records: partitions.iter().map(|row| row.lag_records).sum(),
        lag_seconds: worst(|row| row.lag_seconds),
        behind_newest_seconds: worst(|row| row.behind_newest_seconds),
        members: group
            .members
            .iter()
            .map(|member| MemberRow {
                member_id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                host: member.host.clone(),
                partitions: member.assigned.len(),
            })
            .collect(),
        group: group.id,
        state: group.state,
        protocol: group.protocol,
        coordinator: group.coordinator,
        partitions,
    }
}

fn show_span(seconds: Option<f64>) -> String {
    match seconds {
        Some(0.0) => "0 s".to_owned(),
        Some(seconds) => show_duration(Duration::from_secs_f64(seconds.max(0.0))),
        None => "?".to_owned(),
    }
}

impl Description {
    fn text(&self) -> String {
        let count = |records: i64| show_count(u64::try_from(records).unwrap_or(0));
        let mut partitions = Table::new(&[
            "topic",
            ">partition",
            ">committed",
            ">end",
            ">lag",
            ">waiting",
            ">behind newest",
            "member",
        ]);
        for row in &self.partitions {
            partitions.row([
                row.topic.clone(),
                row.partition.to_string(),
                row.committed_offset
                    .map_or("-".to_owned(), |offset| offset.to_string()),
                row.end_offset.to_string(),
                count(row.lag_records),
                show_span(row.lag_seconds),
                show_span(row.behind_newest_seconds),
                row.member_id.clone().unwrap_or("-".to_owned()),
            ]);
        }
        let mut members = Table::new(&["member", "client", "host", ">partitions"]);
        for row in &self.members {
            members.row([
                row.member_id.clone(),
                row.client_id.clone(),
                row.host.clone(),
                row.partitions.to_string(),
            ]);
        }
        let mut text = format!(
            "Group {}: {}, {} members; {} records behind, the oldest unread one waits {}\n",
            self.group,
            self.state,
            self.members.len(),
            count(self.lag_records),
            show_span(self.lag_seconds),
        );
        for (table, rows) in [
            (partitions, self.partitions.len()),
            (members, self.members.len()),
        ] {
            if rows > 0 {
                text.push('\n');
                text.push_str(&table.render());
            }
        }
        text
    }
}
