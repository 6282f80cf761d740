//! The load of `levada bench` for systems that do not speak Kafka's protocol: the same measuring
//! core (`levada-load`), the same kinds of load and the same arguments, with drivers that cost as
//! little: requests are encoded once, pipelined, and every reply is checked.
//!
//! A batch of 64 KiB is here as many records as fit, handed to the socket together in the way that
//! the system takes them, mostly one by one; its latency counts until the last of them is
//! acknowledged.
#![allow(clippy::disallowed_methods)]

mod amqp;
mod bookkeeper;
mod driver;
mod fields;
mod load;
mod nats;
mod queue;
mod rabbit;
mod redis;
mod wire;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use levada_load::{Asked, Figures};

#[derive(Parser)]
#[command(
    name = "levada-peers",
    about = "The load of `levada bench` for other protocols"
)]
struct Arguments {
    #[command(subcommand)]
    system: System,
}

#[derive(Subcommand)]
enum System {
    /// NATS JetStream: a stream in files for each topic
    Nats(LoadArgs),
    /// Redis: a stream for each topic
    Redis(LoadArgs),
    /// RabbitMQ: a stream for each topic, over the stream protocol
    Rabbit(LoadArgs),
    /// RabbitMQ: a quorum queue for each topic, over AMQP 0-9-1
    Amqp(LoadArgs),
    /// Apache BookKeeper: a ledger for each topic on one bookie
    Bookkeeper(LoadArgs),
    /// Messages of a queue: sent, received, acknowledged
    Queue(queue::Args),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Produce,
    Consume,
    Latency,
}

/// As those of `levada bench`.
#[derive(clap::Args, Clone)]
pub struct LoadArgs {
    #[arg(value_enum)]
    kind: Kind,
    /// host:port
    #[arg(long)]
    broker: String,
    #[arg(long)]
    topic: String,
    /// Bytes of each record's value
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1024 * 1024))]
    size: u32,
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Batches under way
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: u32,
    /// Records in a batch [default: what fits 64 KiB; one with --rate]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: Option<u32>,
    /// Records a second; as fast as possible if not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    rate: Option<u64>,
}

/// As in `levada bench`: what a busy producer sends, with each record's share of Kafka's framing.
const BATCH_BYTES_DEFAULT: u32 = 64 * 1024;
const RECORD_OVERHEAD_BYTES: u32 = 12;

impl LoadArgs {
    fn batch_records(&self) -> u32 {
        self.batch.unwrap_or_else(|| match self.rate {
            Some(_) => 1,
            None => (BATCH_BYTES_DEFAULT / (self.size + RECORD_OVERHEAD_BYTES)).max(1),
        })
    }
}

fn main() -> Result<()> {
    match Arguments::parse().system {
        System::Nats(load) => run::<nats::Nats>(&load),
        System::Redis(load) => run::<redis::Redis>(&load),
        System::Rabbit(load) => run::<rabbit::Rabbit>(&load),
        System::Bookkeeper(load) => run::<bookkeeper::BookKeeper>(&load),
        System::Amqp(load) => run::<amqp::Amqp>(&load),
        System::Queue(load) => queue::run(&load),
    }
}

/// Runs the load and prints its figures as JSON.
fn run<D: driver::Driver>(args: &LoadArgs) -> Result<()> {
    let mut figures = match args.kind {
        Kind::Produce => load::produce::<D>(args)?,
        Kind::Consume => load::consume::<D>(args)?,
        Kind::Latency => load::latency::<D>(args)?,
    };
    describe(&mut figures, args);
    println!("{}", serde_json::to_string(&figures)?);
    match &figures.first_error {
        _ if figures.verified => Ok(()),
        Some(first) => bail!("{} wrong answers, the first: {first}", figures.errors),
        None => bail!("not all records were done"),
    }
}

fn describe(figures: &mut Figures, args: &LoadArgs) {
    figures.describe(Asked {
        topic: args.topic.clone(),
        batch: args.batch_records(),
        partitions: 1,
        connections: 1,
        in_flight: args.in_flight,
        rate: args.rate,
    });
}
