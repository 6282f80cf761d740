//! `levada topic`: create, list, describe, alter, delete.

mod change;
mod describe;
mod list;
mod queue_side;

use clap::Subcommand;

use crate::context::{BrokerArgs, Context};
use crate::error::CliResult;
use crate::remote::{connect, interruptible, parse_pair};
use crate::sqs::SqsArgs;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub broker: BrokerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a topic
    Create(CreateArgs),
    /// List the topics
    List(ListArgs),
    /// Show a topic's partitions, offsets, size and settings
    Describe(DescribeArgs),
    /// Change a topic's settings or grow it
    Alter(AlterArgs),
    /// Delete topics with their records
    Delete(DeleteArgs),
}

#[derive(clap::Args)]
pub struct CreateArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// Partitions; the broker's default if not given
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Copies of each partition; the broker's default if not given
    #[arg(long, value_parser = clap::value_parser!(i16).range(1..))]
    replication: Option<i16>,
    /// A setting, such as retention.ms=3600000; may be repeated
    #[arg(short, long = "config", value_name = "NAME=VALUE", value_parser = parse_pair)]
    configs: Vec<(String, String)>,
    /// A topic that exists is fine
    #[arg(long)]
    if_not_exists: bool,
    /// Only ask whether it could be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
pub struct ListArgs {
    /// Show the cluster's own topics too
    #[arg(long)]
    internal: bool,
}

#[derive(clap::Args)]
pub struct DescribeArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// Show settings that have their default too (JSON always has them)
    #[arg(long)]
    all: bool,
    /// Who is asked for the messages of a topic that is a queue too
    #[command(flatten)]
    sqs: SqsArgs,
}

#[derive(clap::Args)]
pub struct AlterArgs {
    /// Name of the topic
    #[arg(value_name = "TOPIC")]
    name: String,
    /// Grow to so many partitions
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// A setting to change; may be repeated
    #[arg(short, long = "config", value_name = "NAME=VALUE", value_parser = parse_pair)]
    configs: Vec<(String, String)>,
    /// A setting to put back to its default; may be repeated
    #[arg(long = "delete-config", value_name = "NAME")]
    deletes: Vec<String>,
    /// Only ask whether it could be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
pub struct DeleteArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Runs the command.
///
/// # Errors
/// See `CliError`.
pub async fn run(args: Args, context: Context) -> CliResult {
    interruptible(async {
        let client = connect(&args.broker, &context).await?;
        match &args.command {
            Command::Create(args) => change::create(&client, args, &context).await,
            Command::List(args) => list::list(&client, args, &context).await,
            Command::Describe(args) => describe::describe(&client, args, &context).await,
            Command::Alter(args) => change::alter(&client, args, &context).await,
            Command::Delete(args) => change::delete(&client, args, &context).await,
        }
    })
    .await
}
