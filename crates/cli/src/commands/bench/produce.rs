//! `levada bench produce`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use levada_client::raw::{RawConnection, Template, wait_precisely};
use levada_client::{Client, ClientResult, Lane, Topic};
use levada_env::Env;
use levada_load::{Asked, Figures, Pace, Tally};
use levada_wire_kafka::messages::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use levada_wire_kafka::{ErrorCode, KStr, Records};

use super::load::{NAP, STALL_MAX, Shared, run_threads};
use super::{LoadArgs, plan};
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::remote::connect;

const COUNT_DEFAULT: u64 = 1_000_000;
const REQUEST_TIMEOUT_MS: i32 = 30_000;
const CLIENT_ID: &str = "levada-bench";
/// Greatest version of Produce that names topics by name.
const PRODUCE_BY_NAME_MAX: i16 = 12;

/// Runs the command.
///
/// # Errors
/// See `CliError`; wrong answers too, after the figures.
pub async fn run(args: LoadArgs, context: Context) -> CliResult {
    let client = connect(&args.broker, &context).await?;
    let create_with = args.partitions.unwrap_or(args.connections);
    let (topic, partitions) = plan::topic(&client, &args, Some(create_with)).await?;
    let count = args.count.unwrap_or(COUNT_DEFAULT);
    let before = plan::ends(&client, &args.topic, partitions).await?;
    let batch = plan::batch_records(&args).min(u32::try_from(count).unwrap_or(u32::MAX));
    let prepared = prepare(&client, &context, &args, &topic, partitions, batch, count).await?;
    let shared = Arc::new(Shared::default());
    let start = context.env.monotonic();
    let pace = Arc::new(Pace::new(args.rate, batch, count, start));
    let shares = plan::shares(&client, &topic, partitions, args.connections)?;
    let work = shares.into_iter().map(|share| {
        let mut worker = Worker {
            env: context.env.clone(),
            share,
            prepared: prepared.clone(),
            pace: pace.clone(),
            shared: shared.clone(),
            in_flight_max: args.in_flight as usize,
        };
        move || worker.run()
    });
    let done = run_threads(&context, &shared, Some(count), work.collect()).await?;
    let span = context.env.monotonic().saturating_sub(start);
    let mut tally = Tally::default();
    let mut written: BTreeMap<i32, Written> = BTreeMap::new();
    for (part, places) in &done {
        tally.add(part);
        for (partition, place) in places {
            written.entry(*partition).or_default().add(place);
        }
    }
    let after = plan::ends(&client, &args.topic, partitions).await?;
    check_places(&context, &before, &after, &written, &mut tally);
    let mut figures = Figures::new("produce", &tally, span, args.size);
    figures.verified = tally.errors == 0 && tally.records == count;
    describe(&mut figures, &args, batch, partitions);
    finish(&context, &figures)
}

/// Adds what was asked for to the figures.
pub fn describe(figures: &mut Figures, args: &LoadArgs, batch: u32, partitions: u32) {
    figures.describe(Asked {
        topic: args.topic.clone(),
        batch,
        partitions,
        connections: args.connections,
        in_flight: args.in_flight,
        rate: args.rate,
    });
}

/// Prints the figures; wrong answers make the command fail after that.
pub fn finish(context: &Context, figures: &Figures) -> CliResult {
    context.print(figures)?;
    match &figures.first_error {
        _ if figures.verified => Ok(()),
        Some(first) => Err(CliError::Failed(format!(
            "{} wrong answers, the first: {first}",
            figures.errors
        ))),
        None => Err(CliError::Failed("not all records were done".to_owned())),
    }
}

/// Requests that are ready to be sent.
pub struct Prepared {
    version: i16,
    /// By partition: a full batch, and the last one, which may be smaller.
    full: Vec<Template>,
    last: Vec<Template>,
    batch: u32,
    last_batch: u32,
    batch_bytes: u64,
}

/// Encodes each partition's requests once; their batch is the same bytes for all.
pub async fn prepare(
    client: &Client,
    context: &Context,
    args: &LoadArgs,
    topic: &Topic,
    partitions: u32,
    batch: u32,
    count: u64,
) -> CliResult<Arc<Prepared>> {
    let leader = topic.partition(0)?.leader;
    let connection = client.node(leader, Lane::Control).await?;
    let most = if topic.id.is_zero() {
        PRODUCE_BY_NAME_MAX
    } else {
        i16::MAX
    };
    let version = connection.version_up_to::<ProduceRequest>(most)?;
    let rest = u32::try_from(count % u64::from(batch)).unwrap_or(0);
    let last_batch = if rest == 0 { batch } else { rest };
    let full_bytes = plan::batch(context, args, batch)?;
    let last_bytes = plan::batch(context, args, last_batch)?;
    let template = |partition: u32, records: &bytes::Bytes| {
        let request = ProduceRequest {
            transactional_id: None,
            acks: -1,
            timeout_ms: REQUEST_TIMEOUT_MS,
            topic_data: vec![TopicProduceData {
                name: KStr::from(topic.name.as_str()),
                topic_id: topic.id,
                partition_data: vec![PartitionProduceData {
                    index: partition as i32,
                    records: Some(Records::from(records.clone())),
                }],
            }],
        };
        Template::new(&request, version, CLIENT_ID)
    };
    Ok(Arc::new(Prepared {
        version,
        full: (0..partitions).map(|p| template(p, &full_bytes)).collect(),
        last: (0..partitions).map(|p| template(p, &last_bytes)).collect(),
        batch,
        last_batch,
        batch_bytes: full_bytes.len() as u64,
    }))
}

/// What was written to a partition: enough to tell that the batches lie one after the other.
#[derive(Clone, Debug, Default)]
pub struct Written {
    records: u64,
    first: Option<i64>,
    /// One past the last offset.
    end: i64,
    /// Sum of all offsets.
    sum: u128,
}

impl Written {
    fn note(&mut self, base: i64, records: u32) {
        let count = u128::from(records);
        let base_sum = u128::try_from(base).unwrap_or(0);
        self.records += u64::from(records);
        self.first = Some(self.first.map_or(base, |first| first.min(base)));
        self.end = self.end.max(base.saturating_add(i64::from(records)));
        self.sum += base_sum * count + count * count.saturating_sub(1) / 2;
    }

    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.first = match (self.first, other.first) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.end = self.end.max(other.end);
        self.sum += other.sum;
    }

    /// Whether it is every offset from its first to its last, each once: their number and their
    /// sum leave nothing else, since each connection saw its own grow.
    fn is_contiguous(&self) -> bool {
        let Some(first) = self.first.and_then(|first| u128::try_from(first).ok()) else {
            return self.records == 0;
        };
        let count = u128::from(self.records);
        let span = u128::try_from(self.end).unwrap_or(0).saturating_sub(first);
        span == count && self.sum == first * count + count * count.saturating_sub(1) / 2
    }
}

/// Holds the offsets that were acknowledged against the partitions' ends.
fn check_places(
    context: &Context,
    before: &[(i64, i64)],
    after: &[(i64, i64)],
    written: &BTreeMap<i32, Written>,
    tally: &mut Tally,
) {
    let mut others = false;
    for (partition, ((_, before), (_, after))) in (0..).zip(before.iter().zip(after)) {
        let nothing = Written::default();
        let written = written.get(&partition).unwrap_or(&nothing);
        let grown = u64::try_from(after - before).unwrap_or(0);
        if grown < written.records {
            let acknowledged = written.records;
            tally.wrong(|| {
                format!(
                    "partition {partition} grew by {grown} records, \
                     but {acknowledged} were acknowledged"
                )
            });
        } else if grown > written.records {
            others = true;
        } else if !written.is_contiguous() {
            tally.wrong(|| format!("partition {partition}: acknowledged offsets overlap"));
        }
    }
    if others {
        context.say("Others wrote to the topic too: only this run's own answers were checked.");
    }
}

/// A request without an answer yet.
struct Sent {
    correlation_id: i32,
    partition: i32,
    records: u32,
    since: Duration,
}

/// One connection's thread.
pub struct Worker {
    pub env: Env,
    pub share: plan::Share,
    pub prepared: Arc<Prepared>,
    pub pace: Arc<Pace>,
    pub shared: Arc<Shared>,
    pub in_flight_max: usize,
}

/// What a worker has done: figures, and places by partition.
pub type Done = (Tally, BTreeMap<i32, Written>);

impl Worker {
    /// Sends until nothing is left to send, and waits for the answers.
    ///
    /// # Errors
    /// When the connection breaks or nothing moves any more.
    pub fn run(&mut self) -> CliResult<Done> {
        wait_precisely();
        let mut connection = RawConnection::open(&self.share.address, Duration::from_secs(5))?;
        let mut done = (Tally::default(), BTreeMap::new());
        let mut under_way: VecDeque<Sent> = VecDeque::new();
        let mut next = self.pace.take();
        let mut number = 0i32;
        let mut place = 0usize;
        let mut moved = self.env.monotonic();
        while (next.is_some() || !under_way.is_empty()) && !self.shared.stopped() {
            let now = self.env.monotonic();
            while let Some(this) = next {
                if under_way.len() >= self.in_flight_max || this.due.is_some_and(|due| due > now) {
                    break;
                }
                number = number.wrapping_add(1) & i32::MAX;
                let partition = self.share.partitions.get(place).copied().unwrap_or(0);
                place = (place + 1) % self.share.partitions.len().max(1);
                under_way.push_back(self.queue(
                    &mut connection,
                    number,
                    partition,
                    this.is_last,
                    this.due.unwrap_or(now),
                ));
                next = self.pace.take();
                moved = now;
            }
            connection.write()?;
            if connection.read()? {
                self.take_answers(&mut connection, &mut under_way, &mut done)?;
                moved = self.env.monotonic();
                continue;
            }
            let now = self.env.monotonic();
            if !under_way.is_empty() && now.saturating_sub(moved) > STALL_MAX {
                return Err(stalled(&self.share.address));
            }
            let full = under_way.len() >= self.in_flight_max;
            let until = next.and_then(|turn| turn.due).filter(|_| !full);
            let pause = until.map_or(NAP, |due| due.saturating_sub(now).min(NAP));
            connection.wait(pause)?;
        }
        Ok(done)
    }

    fn queue(
        &self,
        connection: &mut RawConnection,
        correlation_id: i32,
        partition: i32,
        last: bool,
        since: Duration,
    ) -> Sent {
        let prepared = &self.prepared;
        let (templates, records) = match last {
            true => (&prepared.last, prepared.last_batch),
            false => (&prepared.full, prepared.batch),
        };
        if let Some(template) = usize::try_from(partition)
            .ok()
            .and_then(|p| templates.get(p))
        {
            connection.queue(template, correlation_id);
        }
        Sent {
            correlation_id,
            partition,
            records,
            since,
        }
    }

    fn take_answers(
        &self,
        connection: &mut RawConnection,
        under_way: &mut VecDeque<Sent>,
        (tally, places): &mut Done,
    ) -> ClientResult<()> {
        while let Some(frame) = connection.next_frame()? {
            let (id, answer) = connection.decode::<ProduceRequest>(frame, self.prepared.version)?;
            let now = self.env.monotonic();
            let Some(sent) = under_way.pop_front() else {
                tally.wrong(|| format!("answer {id} to no request"));
                continue;
            };
            tally.note(now.saturating_sub(sent.since));
            tally.requests += 1;
            if id != sent.correlation_id {
                tally.wrong(|| format!("answer {id} where {} was due", sent.correlation_id));
            }
            let place = places.entry(sent.partition).or_default();
            match offset_of(&answer, sent.partition) {
                Ok(base) if base >= place.end => {
                    place.note(base, sent.records);
                    tally.records += u64::from(sent.records);
                    tally.bytes += self.prepared.batch_bytes * u64::from(sent.records)
                        / u64::from(self.prepared.batch.max(1));
                    self.shared
                        .done
                        .fetch_add(u64::from(sent.records), Ordering::Relaxed);
                }
                Ok(base) => tally.wrong(|| {
                    format!(
                        "partition {} went back from {} to {base}",
                        sent.partition, place.end
                    )
                }),
                Err(code) => tally.wrong(|| format!("partition {}: {code}", sent.partition)),
            }
        }
        Ok(())
    }
}

/// The error of a broker that does not answer any more.
pub fn stalled(address: &str) -> CliError {
    CliError::Failed(format!(
        "{address} has not answered for {} s",
        STALL_MAX.as_secs()
    ))
}

fn offset_of(answer: &ProduceResponse, partition: i32) -> Result<i64, String> {
    let found = answer
        .responses
        .first()
        .and_then(|topic| topic.partition_responses.first());
    match found {
        Some(found) if found.index != partition => {
            Err(format!("the answer is for partition {}", found.index))
        }
        Some(found) if found.error_code == 0 => Ok(found.base_offset),
        Some(found) => Err(ErrorCode::try_from(found.error_code).map_or_else(
            |code| format!("error code {code}"),
            |code| code.name().to_owned(),
        )),
        None => Err("the answer is empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_that_overlap_or_leave_a_gap_are_found() {
        let written = |batches: &[(i64, u32)]| {
            let mut written = Written::default();
            batches
                .iter()
                .for_each(|(base, records)| written.note(*base, *records));
            written.is_contiguous()
        };
        assert!(written(&[]));
        assert!(written(&[(100, 5), (110, 3), (105, 5)]));
        assert!(!written(&[(100, 5), (106, 5)]));
        assert!(!written(&[(100, 5), (104, 5), (110, 1)]));
        assert!(!written(&[(0, 5), (0, 5)]));
    }
}
