//! `levada bench latency`: from the time at which a record is due to be sent until a consumer that
//! long polls has it, checked.

use std::sync::Arc;
use std::time::Duration;

use levada_load::{Figures, Pace, Tally};

use super::consume::{FetchWorker, Reading, fetch_version, lanes};
use super::load::{Shared, run_threads};
use super::produce::{Worker, describe, finish, prepare};
use super::{LoadArgs, plan};
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::remote::connect;

const COUNT_DEFAULT: u64 = 10_000;
const RATE_DEFAULT: u64 = 1000;
/// Time for the consumers to be waiting before the first record is due.
const HEAD_START: Duration = Duration::from_millis(300);

/// A thread's work: whether it reads, and its figures.
type Work = Box<dyn FnOnce() -> CliResult<(bool, Tally)> + Send>;

/// Runs the command. Each connection writes to a partition of its own, which a second connection
/// reads.
///
/// # Errors
/// See `CliError`; wrong answers too, after the figures.
pub async fn run(mut args: LoadArgs, context: Context) -> CliResult {
    let rate = *args.rate.get_or_insert(RATE_DEFAULT);
    args.partitions = Some(args.connections);
    let client = connect(&args.broker, &context).await?;
    let (topic, partitions) = plan::topic(&client, &args, Some(args.connections)).await?;
    let version = fetch_version(&client, &topic).await?;
    let batch = plan::batch_records(&args);
    let each = args
        .count
        .unwrap_or(COUNT_DEFAULT)
        .div_ceil(u64::from(partitions));
    let prepared = prepare(&client, &context, &args, &topic, partitions, batch, each).await?;
    let ends = plan::ends(&client, &args.topic, partitions).await?;
    let shared = Arc::new(Shared::default());
    let read = Arc::new(Shared::default());
    let own_rate = Some(rate.div_ceil(u64::from(partitions)));
    let start = context.env.monotonic() + HEAD_START;
    let stagger = Duration::from_nanos(1_000_000_000 * u64::from(batch) / rate);
    let mut work: Vec<Work> = Vec::new();
    for share in plan::shares(&client, &topic, partitions, args.connections)? {
        let partition = share.partitions.first().copied().unwrap_or(0);
        let first = ends.get(partition as usize).map_or(0, |(_, end)| *end);
        let pace = Arc::new(Pace::new(
            own_rate,
            batch,
            each,
            start + stagger * partition as u32,
        ));
        let mut reader = FetchWorker {
            env: context.env.clone(),
            address: share.address.clone(),
            topic: topic.clone(),
            version,
            lanes: lanes(
                vec![Reading {
                    partition,
                    next: first,
                    end: Some(first + i64::try_from(each).unwrap_or(i64::MAX)),
                }],
                1,
            ),
            count: None,
            fetch_bytes: args.fetch_bytes,
            shared: read.clone(),
            due: Some((pace.clone(), first, batch)),
        };
        work.push(Box::new(move || Ok((true, reader.run()?))));
        let mut writer = Worker {
            env: context.env.clone(),
            share,
            prepared: prepared.clone(),
            pace,
            shared: shared.clone(),
            in_flight_max: args.in_flight as usize,
        };
        work.push(Box::new(move || Ok((false, writer.run()?.0))));
    }
    let total = each * u64::from(partitions);
    let done = run_threads(&context, &shared, Some(total), work).await?;
    let span = context.env.monotonic().saturating_sub(start);
    report(&context, &args, &done, span, (batch, partitions, total))
}

fn report(
    context: &Context,
    args: &LoadArgs,
    done: &[(bool, Tally)],
    span: Duration,
    (batch, partitions, total): (u32, u32, u64),
) -> CliResult {
    let (mut received, mut sent) = (Tally::default(), Tally::default());
    for (reads, part) in done {
        if *reads {
            received.add(part)
        } else {
            sent.add(part)
        }
    }
    let acknowledged = Figures::new("latency", &sent, span, args.size);
    context.say(format!(
        "Acknowledged after p50 {} µs, p99 {} µs, p99.9 {} µs.",
        acknowledged.p50_us, acknowledged.p99_us, acknowledged.p999_us
    ));
    let mut figures = Figures::new("latency", &received, span, args.size);
    figures.errors += sent.errors;
    figures.first_error = figures.first_error.or(sent.first_error);
    figures.verified = figures.errors == 0 && received.records == total && sent.records == total;
    describe(&mut figures, args, batch, partitions);
    if received.latencies.is_empty() {
        return Err(CliError::Failed("no record has come back".to_owned()));
    }
    finish(context, &figures)
}
