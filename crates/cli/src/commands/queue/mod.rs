//! `levada queue`: create, list, describe, send, receive, ack, purge, redrive, delete.

mod admin;
mod describe;
mod messages;
mod redrive;

use clap::Subcommand;

use crate::context::Context;
use crate::error::CliResult;
use crate::remote::{interruptible, parse_pair};
use crate::sqs::{Sqs, SqsArgs};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub sqs: SqsArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a queue
    Create(CreateArgs),
    /// List the queues
    List(ListArgs),
    /// Show what queues hold and how they are set
    Describe(NamesArgs),
    /// Send messages: the arguments, or each line of stdin
    Send(SendArgs),
    /// Receive messages; they are hidden from others until acknowledged or their time is over
    Receive(ReceiveArgs),
    /// Acknowledge messages: they are done and go
    Ack(AckArgs),
    /// Drop every message of a queue
    Purge(PurgeArgs),
    /// Move a dead-letter queue's messages back to where they failed, or elsewhere
    Redrive(RedriveArgs),
    /// Delete queues with their messages
    Delete(DeleteArgs),
}

#[derive(clap::Args)]
pub struct CreateArgs {
    /// Name of the queue; `.fifo` at its end makes it a FIFO queue
    #[arg(value_name = "QUEUE")]
    name: String,
    /// Seconds for which a received message is hidden from others
    #[arg(long, value_name = "SECONDS")]
    visibility: Option<u32>,
    /// Seconds before a message can be received
    #[arg(long, value_name = "SECONDS")]
    delay: Option<u32>,
    /// The queue that gets what failed too often
    #[arg(long, value_name = "QUEUE")]
    dead_letter: Option<String>,
    /// How often a message is received before it goes there
    #[arg(
        long,
        value_name = "TIMES",
        default_value_t = 10,
        requires = "dead_letter"
    )]
    attempts: u32,
    /// A tag; may be repeated
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = parse_pair)]
    tags: Vec<(String, String)>,
    /// Another attribute of SQS, such as MaximumMessageSize=65536; may be repeated
    #[arg(short, long = "attribute", value_name = "NAME=VALUE", value_parser = parse_pair)]
    attributes: Vec<(String, String)>,
}

#[derive(clap::Args)]
pub struct ListArgs {
    /// Only names that begin so
    #[arg(default_value = "", value_name = "PREFIX")]
    prefix: String,
}

#[derive(clap::Args)]
pub struct NamesArgs {
    /// Names of the queues
    #[arg(required = true, value_name = "QUEUE")]
    names: Vec<String>,
}

#[derive(clap::Args)]
pub struct SendArgs {
    /// Name of the queue
    #[arg(value_name = "QUEUE")]
    name: String,
    /// Bodies of the messages; each line of stdin without any
    #[arg(value_name = "BODY")]
    bodies: Vec<String>,
    /// Message group: a FIFO queue needs one
    #[arg(short, long)]
    group: Option<String>,
    /// Names the message: a second one with the same within five minutes is not delivered
    #[arg(long, value_name = "ID")]
    deduplication_id: Option<String>,
    /// Seconds before it can be received
    #[arg(long, value_name = "SECONDS")]
    delay: Option<u32>,
    /// A message attribute; may be repeated
    #[arg(short, long = "attribute", value_name = "NAME=VALUE", value_parser = parse_pair)]
    attributes: Vec<(String, String)>,
}

#[derive(clap::Args)]
pub struct ReceiveArgs {
    /// Name of the queue
    #[arg(value_name = "QUEUE")]
    name: String,
    /// At most so many messages
    #[arg(short = 'n', long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10))]
    count: u32,
    /// Seconds to wait for the first one
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=20))]
    wait: u32,
    /// Seconds for which they are hidden; the queue's own if not given
    #[arg(long, value_name = "SECONDS")]
    visibility: Option<u32>,
    /// Acknowledge them as soon as they are printed
    #[arg(long)]
    ack: bool,
}

#[derive(clap::Args)]
pub struct AckArgs {
    /// Name of the queue
    #[arg(value_name = "QUEUE")]
    name: String,
    /// Receipts, as `levada queue receive -o name` prints them; each line of stdin without any
    #[arg(value_name = "RECEIPT")]
    receipts: Vec<String>,
}

#[derive(clap::Args)]
pub struct PurgeArgs {
    /// Name of the queue
    #[arg(value_name = "QUEUE")]
    name: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(clap::Args)]
pub struct RedriveArgs {
    /// Name of the dead-letter queue
    #[arg(value_name = "QUEUE")]
    name: String,
    /// Where they go; without it each back to the queue that gave up on it
    #[arg(long, value_name = "QUEUE")]
    to: Option<String>,
    /// Messages a second, at most
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=500))]
    rate: Option<u32>,
}

#[derive(clap::Args)]
pub struct DeleteArgs {
    /// Names of the queues
    #[arg(required = true, value_name = "QUEUE")]
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
        let sqs = Sqs::new(&args.sqs, &context);
        match &args.command {
            Command::Create(args) => admin::create(&sqs, args, &context).await,
            Command::List(args) => admin::list(&sqs, args, &context).await,
            Command::Describe(args) => describe::describe(&sqs, args, &context).await,
            Command::Send(args) => messages::send(&sqs, args, &context).await,
            Command::Receive(args) => messages::receive(&sqs, args, &context).await,
            Command::Ack(args) => messages::ack(&sqs, args, &context).await,
            Command::Purge(args) => admin::purge(&sqs, args, &context).await,
            Command::Redrive(args) => redrive::redrive(&sqs, args, &context).await,
            Command::Delete(args) => admin::delete(&sqs, args, &context).await,
        }
    })
    .await
}
