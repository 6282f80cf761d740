//! `levada bench scale`: load that goes over many topics, partitions and groups, one each.
//!
//! Topics are called `scale-0000000` and so on, groups `scale-group-0000000`, so that a later run
//! finds what an earlier one has made.

mod kinds;
mod metadata;
mod pipeline;

use std::sync::Arc;

use clap::ValueEnum;
use levada_client::Lane;
use levada_load::{Asked, Figures};
use levada_wire_kafka::messages::{CreateTopicsRequest, OffsetCommitRequest, ProduceRequest};

use self::kinds::{CommitOffsets, CreateTopics, Spread};
use self::pipeline::{Load, drive};
use super::LoadArgs;
use super::plan;
use super::produce::finish;

use crate::context::{BrokerArgs, Context};
use crate::error::{CliError, CliResult};
use crate::remote::connect;

/// Greatest versions that name topics by name.
const PRODUCE_BY_NAME_MAX: i16 = 12;
const COMMIT_BY_NAME_MAX: i16 = 9;

/// Partitions that the default number of questions for one topic is answered with, at most.
const QUESTION_PARTITIONS: u64 = 1_000_000;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Create the topics; one unit is a topic
    Create,
    /// Write one batch of one record to each partition in turn; one unit is a batch
    Produce,
    /// Commit an offset in each group in turn; one unit is a group
    Groups,
    /// Ask for all topics, then for one at a time; one unit is an answer
    Metadata,
}

#[derive(clap::Args, Clone, Debug)]
pub struct ScaleArgs {
    #[command(flatten)]
    broker: BrokerArgs,
    /// What to do
    what: What,
    /// Topics that there are, or are to be created
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    topics: u32,
    /// Partitions of each topic
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    partitions: u32,
    /// Batches, groups or questions for one topic in all [default: one for each partition, 100,000
    /// groups, 10 to 1,000 questions]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Bytes of each record's value
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    size: u32,
    /// Connections, each with a thread
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: u32,
    /// Requests under way on each connection
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: u32,
}

impl ScaleArgs {
    fn partitions_all(&self) -> u64 {
        u64::from(self.topics) * u64::from(self.partitions)
    }
}

fn topic_name(number: u32) -> String {
    format!("scale-{number:07}")
}

/// Runs the command.
///
/// # Errors
/// See `CliError`; wrong answers too, after the figures.
pub async fn run(args: ScaleArgs, context: Context) -> CliResult {
    let client = connect(&args.broker, &context).await?;
    let control = client.controller().await?;
    let broker = client.brokers().into_iter().next();
    let broker = broker.ok_or_else(|| CliError::Failed("the cluster has no broker".to_owned()))?;
    let connection = client.node(broker.id, Lane::Control).await?;
    let address = broker.address();
    match args.what {
        What::Create => {
            let version = control.version::<CreateTopicsRequest>()?;
            let load = CreateTopics::new(args.topics, args.partitions);
            measure(&args, &context, &address, version, load).await
        }
        What::Produce => {
            let version = connection.version_up_to::<ProduceRequest>(PRODUCE_BY_NAME_MAX)?;
            let batch = plan::batch(&context, &batch_args(&args), 1)?;
            let count = args.count.unwrap_or(args.partitions_all());
            let load = Spread::new(args.topics, args.partitions, count, batch);
            measure(&args, &context, &address, version, load).await
        }
        What::Groups => {
            let version = connection.version_up_to::<OffsetCommitRequest>(COMMIT_BY_NAME_MAX)?;
            let load = CommitOffsets {
                groups: args.count.unwrap_or(100_000),
                topics: args.topics,
            };
            measure(&args, &context, &address, version, load).await
        }
        What::Metadata => {
            let version = connection
                .version::<levada_wire_kafka::messages::MetadataRequest>()?
                .min(metadata::VERSION_MAX);
            // An answer about one topic tells all its partitions.
            let default = (QUESTION_PARTITIONS / u64::from(args.partitions)).clamp(10, 1000);
            let questions = args.count.unwrap_or(default);
            metadata::run(&args, &context, &address, version, questions).await
        }
    }
}

/// What a batch is made of.
fn batch_args(args: &ScaleArgs) -> LoadArgs {
    LoadArgs {
        broker: args.broker.clone(),
        topic: String::new(),
        size: args.size,
        count: None,
        partitions: None,
        connections: args.connections,
        in_flight: args.in_flight,
        batch: Some(1),
        rate: None,
        compression: levada_records::Compression::None,
        fetch_bytes: 1,
        partition: None,
    }
}

async fn measure<L: Load>(
    args: &ScaleArgs,
    context: &Context,
    address: &str,
    version: i16,
    load: L,
) -> CliResult {
    let (kind, units) = (load.kind(), load.units());
    let load = Arc::new(load);
    let start = context.env.monotonic();
    let tally = drive(args, context, address, version, load).await?;
    let span = context.env.monotonic().saturating_sub(start);
    let mut figures = Figures::new(kind, &tally, span, args.size);
    figures.verified = tally.errors == 0 && tally.records == units;
    figures.describe(Asked {
        topic: topic_name(0),
        batch: 1,
        partitions: args.partitions,
        connections: args.connections,
        in_flight: args.in_flight,
        rate: None,
    });
    finish(context, &figures)
}
