//! `levada bench`: load over the raw protocol, each answer checked.
//!
//! One thread drives each connection (see `levada_client::raw`): the generator shares its machine
//! with the broker. With `--rate` the load is open loop: a request is due at its time whatever the
//! broker does, and its latency counts from then, so that a broker that stalls cannot hide it
//! (coordinated omission). Without, as many requests are under way as `--in-flight` allows.

mod consume;
mod latency;
mod load;
mod plan;
mod produce;
mod report;
mod scale;

use clap::Subcommand;

use crate::context::{BrokerArgs, Context};
use crate::error::CliResult;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write records as fast as the broker takes them, or at a rate
    Produce(LoadArgs),
    /// Read records, checking each batch's CRC and that no offset is missing
    Consume(LoadArgs),
    /// Measure the time from a record's due time to its arrival at a consumer, at a rate
    Latency(LoadArgs),
    /// Load over many topics, partitions and groups
    Scale(scale::ScaleArgs),
}

/// The load; what a kind of it does not use is ignored.
#[derive(clap::Args, Clone, Debug)]
pub struct LoadArgs {
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// Topic to use; created if it does not exist
    #[arg(long, default_value = "levada-bench")]
    pub topic: String,
    /// Bytes of each record's value
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(0..=64 * 1024 * 1024))]
    pub size: u32,
    /// Records in all [default: 1,000,000 to produce, what is there to consume, 10,000 for latency]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Partitions of the topic if it is created, else how many of them are used
    /// [default: one for each connection, or what is there]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: Option<u32>,
    /// Connections, each with a thread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub connections: u32,
    /// Requests under way on each connection
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub in_flight: u32,
    /// Records in a batch; each request carries one batch
    /// [default: what fits 64 KiB; one with --rate and for latency]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub batch: Option<u32>,
    /// Records a second, over all connections; as fast as possible if not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub rate: Option<u64>,
    /// Compression of the batches
    #[arg(long, default_value = "none")]
    pub compression: levada_records::Compression,
    /// Most bytes of one fetch
    #[arg(long, default_value_t = 1024 * 1024, value_parser = clap::value_parser!(i32).range(1..))]
    pub fetch_bytes: i32,
    /// Read only this partition, with one fetch under way
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["connections", "partitions"])]
    pub partition: Option<u32>,
}

/// Runs the command.
///
/// # Errors
/// See `CliError`.
pub async fn run(args: Args, context: Context) -> CliResult {
    match args.command {
        Command::Produce(load) => produce::run(load, context).await,
        Command::Consume(load) => consume::run(load, context).await,
        Command::Latency(load) => latency::run(load, context).await,
        Command::Scale(load) => scale::run(load, context).await,
    }
}
