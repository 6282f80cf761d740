//! `levada group`: list, describe, seek, delete.

mod delete;
mod describe;
mod lag;
mod list;
mod seek;

use clap::Subcommand;

use crate::context::{BrokerArgs, Context};
use crate::error::CliResult;
use crate::remote::{connect, interruptible};
use crate::when::{PLACE_HELP, Place};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub broker: BrokerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the groups
    List,
    /// Show a group's members and how far it is behind, in records and in seconds
    Describe(DescribeArgs),
    /// Move a group that has no members to another place
    Seek(SeekArgs),
    /// Delete groups with their offsets
    Delete(DeleteArgs),
}

#[derive(clap::Args)]
pub struct DescribeArgs {
    /// Names of the groups
    #[arg(required = true, value_name = "GROUP")]
    names: Vec<String>,
}

#[derive(clap::Args)]
pub struct SeekArgs {
    /// Name of the group
    #[arg(value_name = "GROUP")]
    name: String,
    #[arg(
        long,
        value_name = "PLACE",
        allow_hyphen_values = true,
        help = format!("Where to: {PLACE_HELP}")
    )]
    to: Place,
    /// Only this topic, all partitions of it; may be repeated
    /// [default: what the group has offsets for]
    #[arg(short, long = "topic")]
    topics: Vec<String>,
    /// Only this partition; may be repeated
    #[arg(short, long = "partition")]
    partitions: Vec<i32>,
    /// Only show what would change, or why it would be refused
    #[arg(long)]
    dry_run: bool,
}

#[derive(clap::Args)]
pub struct DeleteArgs {
    /// Names of the groups
    #[arg(required = true, value_name = "GROUP")]
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
            Command::List => list::list(&client, &context).await,
            Command::Describe(args) => describe::describe(&client, args, &context).await,
            Command::Seek(args) => seek::seek(&client, args, &context).await,
            Command::Delete(args) => delete::delete(&client, args, &context).await,
        }
    })
    .await
}
