//! Creating, altering and deleting topics.

use levada_client::Client;
use levada_client::admin::{ConfigOperation, NewTopic};
use levada_wire_kafka::ErrorCode;
use serde::Serialize;

use super::{AlterArgs, CreateArgs, DeleteArgs};
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::output::{Report, Table};
use crate::remote::{confirm, suggest};

/// What was done to which topics.
#[derive(Serialize)]
struct Done {
    action: &'static str,
    dry_run: bool,
    topics: Vec<String>,
}

impl Report for Done {
    fn table(&self) -> Table {
        let mut table = Table::new(&["topic", "action"]);
        let dry = if self.dry_run {
            " (not done: dry run)"
        } else {
            ""
        };
        for topic in &self.topics {
            table.row([topic.clone(), format!("{}{dry}", self.action)]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        self.topics.clone()
    }
}

pub async fn create(client: &Client, args: &CreateArgs, context: &Context) -> CliResult {
    let mut done = Done {
        action: "created",
        dry_run: args.dry_run,
        topics: Vec::new(),
    };
    for name in &args.names {
        let topic = NewTopic {
            name: name.clone(),
            partitions: args.partitions,
            replication: args.replication,
            configs: args.configs.clone(),
        };
        match client.create_topic(&topic, args.dry_run).await {
            Err(error)
                if args.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) =>
            {
                context.say(format!("Topic '{name}' exists already."));
            }
            result => result?,
        }
        done.topics.push(name.clone());
    }
    context.print(&done)?;
    if let Some(name) = args.names.first().filter(|_| !args.dry_run) {
        suggest(context, &format!("levada produce {name}"));
    }
    Ok(())
}

pub async fn alter(client: &Client, args: &AlterArgs, context: &Context) -> CliResult {
    let set = args
        .configs
        .iter()
        .map(|(name, value)| (name.clone(), ConfigOperation::Set(value.clone())));
    let delete = args
        .deletes
        .iter()
        .map(|name| (name.clone(), ConfigOperation::Delete));
    let changes: Vec<_> = set.chain(delete).collect();
    if changes.is_empty() && args.partitions.is_none() {
        return Err(CliError::Usage(
            "nothing to change: give --partitions, --config or --delete-config".to_owned(),
        ));
    }
    if !changes.is_empty() {
        client
            .alter_topic_configs(&args.name, &changes, args.dry_run)
            .await?;
    }
    if let Some(partitions) = args.partitions {
        client
            .grow_topic(&args.name, partitions, args.dry_run)
            .await?;
        context.say(
            "Keys may go to other partitions from now on: what was written stays where it is.",
        );
    }
    context.print(&Done {
        action: "altered",
        dry_run: args.dry_run,
        topics: vec![args.name.clone()],
    })?;
    suggest(context, &format!("levada topic describe {}", args.name));
    Ok(())
}

pub async fn delete(client: &Client, args: &DeleteArgs, context: &Context) -> CliResult {
    let names = args.names.join("', '");
    confirm(
        context,
        args.yes,
        &format!("Delete '{names}' with all records? This cannot be undone."),
    )?;
    let mut done = Done {
        action: "deleted",
        dry_run: false,
        topics: Vec::new(),
    };
    for name in &args.names {
        client.delete_topic(name).await?;
        done.topics.push(name.clone());
    }
    context.print(&done)
}
