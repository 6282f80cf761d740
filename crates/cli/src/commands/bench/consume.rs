//! `levada bench consume`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use levada_client::raw::{RawConnection, Template, wait_precisely};
use levada_client::{Client, Lane, Topic};
use levada_env::Env;
use levada_load::{Figures, Pace, Tally};
use levada_model::batch;
use levada_records::Batches;
use levada_wire_kafka::messages::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use levada_wire_kafka::{ErrorCode, KStr};

use super::LoadArgs;
use super::load::{NAP, STALL_MAX, Shared, run_threads};
use super::plan;
use super::produce::{describe, finish, stalled};
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::remote::connect;

const WAIT_MS: i32 = 500;
/// Most bytes of one answer, whatever the number of partitions in it.
const ANSWER_BYTES_MAX: i32 = 64 * 1024 * 1024;
const CLIENT_ID: &str = "levada-bench";
/// Greatest version of Fetch that names topics by name.
const FETCH_BY_NAME_MAX: i16 = 12;

/// Runs the command.
///
/// # Errors
/// See `CliError`; damage and gaps too, after the figures.
pub async fn run(args: LoadArgs, context: Context) -> CliResult {
    let client = connect(&args.broker, &context).await?;
    let (topic, partitions) = plan::topic(&client, &args, None).await?;
    let ends = plan::ends(&client, &args.topic, partitions).await?;
    let is_wanted = |partition: i32| {
        let wanted = args.partition.map(i64::from);
        wanted.is_none_or(|wanted| wanted == i64::from(partition))
    };
    let wanted = (0..)
        .zip(&ends)
        .filter(|(partition, _)| is_wanted(*partition));
    let there: i64 = wanted.map(|(_, (first, end))| end - first).sum();
    if there == 0 && args.count.is_none() {
        return Err(CliError::Failed(format!(
            "topic '{}' is empty: fill it with `levada bench produce --topic {}`",
            args.topic, args.topic
        )));
    }
    let version = fetch_version(&client, &topic).await?;
    let shared = Arc::new(Shared::default());
    let shares = plan::shares(
        &client,
        &topic,
        partitions,
        args.connections.min(partitions),
    )?;
    let start = context.env.monotonic();
    let work = shares.into_iter().map(|share| {
        let wanted = share
            .partitions
            .iter()
            .filter(|partition| is_wanted(**partition));
        let reading = wanted.filter_map(|partition| {
            let (first, end) = ends.get(usize::try_from(*partition).ok()?)?;
            Some(Reading {
                partition: *partition,
                next: *first,
                end: args.count.is_none().then_some(*end),
            })
        });
        let mut reader = FetchWorker {
            env: context.env.clone(),
            address: share.address,
            topic: topic.clone(),
            version,
            lanes: lanes(reading.collect(), args.in_flight as usize),
            count: args.count,
            fetch_bytes: args.fetch_bytes,
            shared: shared.clone(),
            due: None,
        };
        move || reader.run()
    });
    let total = args.count.or(u64::try_from(there).ok());
    let done = run_threads(&context, &shared, total, work.collect()).await?;
    let span = context.env.monotonic().saturating_sub(start);
    let mut tally = Tally::default();
    done.iter().for_each(|part| tally.add(part));
    let mut figures = Figures::new("consume", &tally, span, args.size);
    figures.verified = tally.errors == 0 && total.is_some_and(|total| tally.records >= total);
    describe(&mut figures, &args, args.batch.unwrap_or(0), partitions);
    // What a record's value takes is not known here: the wire tells.
    figures.mb_per_s = (tally.bytes as f64 / span.as_secs_f64().max(1e-9) / 1e4).round() / 1e2;
    finish(&context, &figures)
}

/// The version of Fetch that the topic's first leader and we have in common.
pub async fn fetch_version(client: &Client, topic: &Topic) -> CliResult<i16> {
    let leader = topic.partition(0)?.leader;
    let connection = client.node(leader, Lane::Control).await?;
    let most = if topic.id.is_zero() {
        FETCH_BY_NAME_MAX
    } else {
        i16::MAX
    };
    Ok(connection.version_up_to::<FetchRequest>(most)?)
}

/// A partition that is read.
#[derive(Clone, Debug)]
pub struct Reading {
    pub partition: i32,
    pub next: i64,
    /// Where to stop; `None` if a count of records ends the run.
    pub end: Option<i64>,
}

/// Deals partitions out to as many fetches as may be under way.
pub fn lanes(reading: Vec<Reading>, in_flight: usize) -> Vec<Vec<Reading>> {
    let count = in_flight.min(reading.len()).max(1);
    let mut lanes = vec![Vec::new(); count];
    for (index, reading) in reading.into_iter().enumerate() {
        if let Some(lane) = lanes.get_mut(index % count) {
            lane.push(reading);
        }
    }
    lanes
}

/// One connection's thread: each lane has one fetch under way.
pub struct FetchWorker {
    pub env: Env,
    pub address: String,
    pub topic: Arc<Topic>,
    pub version: i16,
    pub lanes: Vec<Vec<Reading>>,
    pub count: Option<u64>,
    pub fetch_bytes: i32,
    pub shared: Arc<Shared>,
    /// When records were due, and the first one's offset: latency then counts from there.
    pub due: Option<(Arc<Pace>, i64, u32)>,
}

struct Asked {
    correlation_id: i32,
    lane: usize,
    since: Duration,
}

impl FetchWorker {
    /// Reads until its partitions' ends, or until all threads together have the count.
    ///
    /// # Errors
    /// When the connection breaks or nothing comes any more.
    pub fn run(&mut self) -> CliResult<Tally> {
        wait_precisely();
        let mut connection = RawConnection::open(&self.address, Duration::from_secs(5))?;
        let mut tally = Tally::default();
        let mut under_way: VecDeque<Asked> = VecDeque::new();
        let mut idle: Vec<usize> = (0..self.lanes.len()).collect();
        let mut number = 0i32;
        let mut moved = self.env.monotonic();
        while !self.shared.stopped() && !self.has_all() {
            for lane in idle.drain(..) {
                let Some(template) = self.request(lane) else {
                    continue; // Read to its end.
                };
                number = number.wrapping_add(1) & i32::MAX;
                connection.queue(&template, number);
                under_way.push_back(Asked {
                    correlation_id: number,
                    lane,
                    since: self.env.monotonic(),
                });
            }
            if under_way.is_empty() {
                break;
            }
            connection.write()?;
            if !connection.read()? {
                if self.env.monotonic().saturating_sub(moved) > STALL_MAX {
                    return Err(stalled(&self.address));
                }
                connection.wait(NAP)?;
                continue;
            }
            while let Some(frame) = connection.next_frame()? {
                let (id, answer) = connection.decode::<FetchRequest>(frame, self.version)?;
                let now = self.env.monotonic();
                let Some(asked) = under_way.pop_front() else {
                    tally.wrong(|| format!("answer {id} to no request"));
                    continue;
                };
                if id != asked.correlation_id {
                    tally.wrong(|| format!("answer {id} where {} was due", asked.correlation_id));
                }
                if answer.error_code != 0 {
                    tally.wrong(|| format!("fetch: {}", code_name(answer.error_code)));
                }
                tally.requests += 1;
                let before = tally.records;
                for data in answer.responses.iter().flat_map(|topic| &topic.partitions) {
                    self.take(asked.lane, data, now, &mut tally);
                }
                if tally.records > before {
                    moved = now;
                    if self.due.is_none() {
                        tally.note(now.saturating_sub(asked.since));
                    }
                    let records = tally.records - before;
                    self.shared.done.fetch_add(records, Ordering::Relaxed);
                }
                idle.push(asked.lane);
            }
            if tally.errors > 0 {
                break;
            }
        }
        Ok(tally)
    }

    fn has_all(&self) -> bool {
        let done = self.shared.done.load(Ordering::Relaxed);
        self.count.is_some_and(|count| done >= count)
    }

    /// The next fetch of a lane; `None` when it is at its end.
    fn request(&self, lane: usize) -> Option<Template> {
        let open = |reading: &&Reading| reading.end.is_none_or(|end| reading.next < end);
        let partitions: Vec<FetchPartition> = self
            .lanes
            .get(lane)?
            .iter()
            .filter(open)
            .map(|reading| FetchPartition {
                partition: reading.partition,
                fetch_offset: reading.next,
                partition_max_bytes: self.fetch_bytes,
                ..Default::default()
            })
            .collect();
        if partitions.is_empty() {
            return None;
        }
        let request = FetchRequest {
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: ANSWER_BYTES_MAX,
            topics: vec![FetchTopic {
                topic: KStr::from(self.topic.name.as_str()),
                topic_id: self.topic.id,
                partitions,
            }],
            ..Default::default()
        };
        Some(Template::new(&request, self.version, CLIENT_ID))
    }

    /// Checks each batch of a partition: whole, CRC right, at the next offset.
    fn take(&mut self, lane: usize, data: &PartitionData, now: Duration, tally: &mut Tally) {
        let partition = data.partition_index;
        let mut own = self.lanes.get_mut(lane).into_iter().flatten();
        let Some(reading) = own.find(|reading| reading.partition == partition) else {
            return tally.wrong(|| format!("partition {partition} was not asked for"));
        };
        if data.error_code != 0 {
            return tally.wrong(|| {
                format!(
                    "partition {partition} at {}: {}",
                    reading.next,
                    code_name(data.error_code)
                )
            });
        }
        let run = data.records.clone().unwrap_or_default().into_bytes();
        for found in Batches::new(run) {
            let checked = found.and_then(|(header, bytes)| {
                batch::check(&bytes)?;
                Ok((header, bytes.len()))
            });
            let (header, bytes) = match checked {
                Ok(checked) => checked,
                Err(error) => {
                    return tally
                        .wrong(|| format!("partition {partition} at {}: {error}", reading.next));
                }
            };
            if header.base_offset != reading.next {
                let base = header.base_offset;
                tally.wrong(|| {
                    format!(
                        "partition {partition}: offset {base} where {} was due",
                        reading.next
                    )
                });
            }
            let records = header.offset_count();
            if let Some((pace, first, batch)) = &self.due {
                let nth = u64::try_from(header.base_offset - first).unwrap_or(0);
                if let Some(due) = pace.due(nth / u64::from((*batch).max(1))) {
                    tally.note(now.saturating_sub(due));
                }
            }
            reading.next = header.base_offset + i64::from(records);
            tally.records += u64::from(records);
            tally.bytes += bytes as u64;
        }
    }
}

fn code_name(code: i16) -> String {
    ErrorCode::try_from(code).map_or_else(
        |code| format!("error code {code}"),
        |code| code.name().to_owned(),
    )
}
