//! How long a client waits for the metadata of all topics, and of one.

use std::time::Duration;

use bytes::Bytes;
use levada_client::raw::{RawConnection, Template};
use levada_load::Tally;
use levada_wire_kafka::messages::{MetadataRequest, MetadataRequestTopic};
use levada_wire_kafka::{KStr, Request};
use serde::Serialize;

use super::{ScaleArgs, topic_name};
use crate::commands::bench::load::{NAP, STALL_MAX};
use crate::commands::bench::produce::stalled;
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::output::{Report, Table};
use crate::units::{show_bytes, show_count};

/// What this file knows to read.
pub const VERSION_MAX: i16 = 13;
const CLIENT_ID: &str = "levada-bench";

#[derive(Serialize)]
struct Answers {
    topics: u64,
    partitions: u64,
    all_ms: f64,
    all_bytes: u64,
    one_p50_us: f64,
    one_p99_us: f64,
    /// As those of the other loads.
    errors: u64,
    verified: bool,
}

impl Report for Answers {
    fn table(&self) -> Table {
        let mut table = Table::new(&["figure", ">value"]);
        table.row(["topics", &show_count(self.topics)]);
        table.row(["partitions", &show_count(self.partitions)]);
        table.row(["all", &format!("{:.1} ms", self.all_ms)]);
        table.row(["answer to all", &show_bytes(self.all_bytes)]);
        table.row(["one, p50", &format!("{:.1} µs", self.one_p50_us)]);
        table.row(["one, p99", &format!("{:.1} µs", self.one_p99_us)]);
        table
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Asks for all topics once and for one `questions` times. There may be more topics than asked for.
///
/// # Errors
/// When the connection breaks or fewer topics or partitions are told than there must be.
pub async fn run(
    args: &ScaleArgs,
    context: &Context,
    address: &str,
    version: i16,
    questions: u64,
) -> CliResult {
    let mut asking = Asking {
        context,
        connection: RawConnection::open(address, Duration::from_secs(5))?,
        address,
        version,
    };
    let (frame, took) = asking.ask(None)?;
    let all_bytes = frame.len() as u64;
    let (_, answer) = asking
        .connection
        .decode::<MetadataRequest>(frame, version)?;
    let topics = answer.topics.len() as u64;
    let partitions = answer
        .topics
        .iter()
        .map(|t| t.partitions.len() as u64)
        .sum();
    if topics < u64::from(args.topics) || partitions < args.partitions_all() {
        return Err(CliError::Failed(format!(
            "the answer tells {topics} topics with {partitions} partitions"
        )));
    }
    drop(answer);
    let mut times = Tally::default();
    for number in 0..questions {
        let name = topic_name((number * 7919 % u64::from(args.topics)) as u32);
        let (frame, took) = asking.ask(Some(&name))?;
        times.note(took);
        let (_, answer) = asking
            .connection
            .decode::<MetadataRequest>(frame, version)?;
        let told = answer
            .topics
            .first()
            .map_or(0, |topic| topic.partitions.len());
        if told as u64 != u64::from(args.partitions) {
            return Err(CliError::Failed(format!("{name} has {told} partitions")));
        }
    }
    let us = |quantile| (times.latencies.value_at_quantile(quantile) as f64 / 100.0).round() / 10.0;
    context.print(&Answers {
        topics,
        partitions,
        all_ms: (took.as_secs_f64() * 1e4).round() / 10.0,
        all_bytes,
        one_p50_us: us(0.5),
        one_p99_us: us(0.99),
        errors: 0,
        verified: true,
    })
}

struct Asking<'a> {
    context: &'a Context,
    connection: RawConnection,
    address: &'a str,
    version: i16,
}

impl Asking<'_> {
    /// One question and its answer's frame, with the time from the first byte to the last.
    fn ask(&mut self, topic: Option<&str>) -> CliResult<(Bytes, Duration)> {
        let request = MetadataRequest {
            topics: topic.map(|name| {
                vec![MetadataRequestTopic {
                    name: Some(KStr::from(name)),
                    ..Default::default()
                }]
            }),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        self.send(&request)
    }

    fn send<R: Request>(&mut self, request: &R) -> CliResult<(Bytes, Duration)> {
        let env = &self.context.env;
        let template = Template::new(request, self.version, CLIENT_ID);
        let start = env.monotonic();
        self.connection.queue(&template, 1);
        loop {
            self.connection.write()?;
            if self.connection.read()? {
                if let Some(frame) = self.connection.next_frame()? {
                    return Ok((frame, env.monotonic().saturating_sub(start)));
                }
                continue;
            }
            if env.monotonic().saturating_sub(start) > STALL_MAX {
                return Err(stalled(self.address));
            }
            self.connection.wait(NAP)?;
        }
    }
}
