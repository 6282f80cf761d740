//! `levada consume`: records become lines.

mod group;
mod ranges;
mod sink;
mod template;

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;

use crate::context::{BrokerArgs, Context};
use crate::error::{CliError, CliResult};
use crate::remote::{connect, interruptible, parse_pair, telling, through_outages};
use crate::when::{PLACE_HELP, Place};
use template::{TEMPLATE_HELP, Template};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Topic to read
    topic: String,
    #[arg(
        long,
        value_name = "PLACE",
        allow_hyphen_values = true,
        help = format!("Where to begin: {PLACE_HELP} [default: earliest; latest with --follow]")
    )]
    from: Option<Place>,
    /// Where to end, the same forms; what lies there is not printed [default: the end]
    #[arg(
        long,
        value_name = "PLACE",
        allow_hyphen_values = true,
        conflicts_with = "group"
    )]
    to: Option<Place>,
    /// Wait for more records at the end, over restarts of the broker too, until stopped
    #[arg(short, long)]
    follow: bool,
    /// Read as a member of this group: begin where it stands, commit what was printed
    #[arg(short, long, value_parser = NonEmptyStringValueParser::new())]
    group: Option<String>,
    /// Only this partition; may be repeated
    #[arg(short, long = "partition", conflicts_with = "group")]
    partitions: Vec<i32>,
    /// Stop after so many records
    #[arg(short = 'n', long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only records with this key
    #[arg(short, long)]
    key: Option<String>,
    /// Only records whose key or value contains this text
    #[arg(long, visible_alias = "filter", value_name = "TEXT")]
    grep: Option<String>,
    /// Only records with this header; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = parse_pair)]
    headers: Vec<(String, String)>,
    #[arg(
        short,
        long,
        value_name = "TEMPLATE",
        help = format!("How a record is printed [default: {{value}}]: {TEMPLATE_HELP}")
    )]
    template: Option<Template>,
}

/// Runs the command.
///
/// # Errors
/// See `CliError`.
pub async fn run(args: Args, context: Context) -> CliResult {
    if args.group.is_some() && !matches!(args.from, None | Some(Place::Earliest | Place::Latest)) {
        return Err(CliError::Usage(
            "with --group, --from says only where a group without offsets begins: earliest or \
             latest. Move a group with `levada group seek GROUP --to PLACE`."
                .to_owned(),
        ));
    }
    let client = connect(&args.broker, &context).await?;
    let client = if args.follow {
        through_outages(&client, &context, Duration::MAX, " until stopped")
    } else {
        telling(&client, &context, client.patience().clone(), "")
    };
    match &args.group {
        // A member that is interrupted commits and leaves first.
        Some(group) => group::consume(&client, &args, group, &context).await,
        None => interruptible(ranges::consume(&client, &args, &context)).await,
    }
}
