//! Loads on queues: send, receive and acknowledge in batches, over the SQS API (Levada, ElasticMQ,
//! moto) and, in the same shape, NATS work queues and RabbitMQ quorum queues. One thread drives all
//! connections; each has one request under way, as an SDK's has.

mod amqp;
mod bodies;
mod client;
mod http;
mod load;
mod nats;
mod sqs;

use anyhow::{Result, bail};
use clap::ValueEnum;
use levada_load::Figures;
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// AWS JSON 1.0 over HTTP/1.1
    Sqs,
    /// A JetStream stream with work-queue retention, pulled in batches
    Nats,
    /// A quorum queue, pushed with a prefetch of one batch
    Amqp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Send messages
    Send,
    /// Receive and acknowledge messages
    Receive,
    /// Send, receive and acknowledge, over and over, on each connection
    Cycle,
    /// Create queues with numbered names (SQS)
    Create,
    /// Send a batch to each hundredth of those queues and receive it (SQS)
    Touch,
}

#[derive(clap::Args, Clone)]
pub struct Args {
    #[arg(value_enum)]
    pub protocol: Protocol,
    #[arg(value_enum)]
    pub kind: Kind,
    /// host:port
    #[arg(long)]
    pub broker: String,
    #[arg(long)]
    pub queue: String,
    /// Bytes of a message's body
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(32..=64 * 1024))]
    pub size: u32,
    /// Messages; queues to create, or to choose from
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Messages that lie in the queue already, numbered from 0 on; those to come follow them
    #[arg(long, default_value_t = 0)]
    pub backlog: u64,
    /// Messages in a batch
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub batch: u32,
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub connections: u32,
    /// Messages a second; as fast as possible if not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub rate: Option<u64>,
    /// Count messages that come twice, instead of failing: a standard queue may, and some do
    #[arg(long)]
    pub may_repeat: bool,
    /// Message groups of a FIFO queue; a standard queue if not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub groups: Option<u64>,
}

/// The figures of a load, and each step of a cycle by itself, in microseconds.
#[derive(Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub figures: Figures,
    /// Messages that came again.
    pub repeated: u64,
    pub send_p50_us: f64,
    pub send_p99_us: f64,
    pub receive_p50_us: f64,
    pub receive_p99_us: f64,
    pub acknowledge_p50_us: f64,
    pub acknowledge_p99_us: f64,
}

/// Runs the load and prints its figures as JSON.
///
/// # Errors
/// When the server goes, nothing moves any more, or an answer was wrong.
pub fn run(args: &Args) -> Result<()> {
    let report = match args.protocol {
        Protocol::Sqs => load::run::<sqs::Sqs>(args)?,
        Protocol::Nats => load::run::<nats::WorkQueue>(args)?,
        Protocol::Amqp => load::run::<amqp::QuorumQueue>(args)?,
    };
    println!("{}", serde_json::to_string(&report)?);
    match &report.figures.first_error {
        _ if report.figures.verified => Ok(()),
        Some(first) => bail!(
            "{} wrong answers, the first: {first}",
            report.figures.errors
        ),
        None => bail!("not all messages were done"),
    }
}
