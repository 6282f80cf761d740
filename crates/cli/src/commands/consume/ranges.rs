//! Reading from place to place, without a group.

use std::collections::BTreeMap;
use std::time::Duration;

use levada_client::{Client, Consumer, ConsumerOptions, ResetTo};

use super::Args;
use super::sink::Sink;
use crate::context::Context;
use crate::error::CliResult;
use crate::places::{Edge, resolve};
use crate::remote::{choose_partitions, suggest};
use crate::units::{show_count, show_counted};
use crate::when::Place;

const POLL: Duration = Duration::from_millis(500);

/// Where a partition's reading ends.
struct End {
    offset: Option<i64>,
    time_ms: Option<i64>,
}

/// Runs the command.
pub async fn consume(client: &Client, args: &Args, context: &Context) -> CliResult {
    let topic = client.topic(&args.topic, false).await?;
    let partitions = choose_partitions(&topic, &args.partitions)?;
    let from = args.from.unwrap_or(match args.follow {
        true => Place::Latest,
        false => Place::Earliest,
    });
    let begins = resolve(
        client,
        context,
        &topic.name,
        &partitions,
        (from, Edge::Begin),
    )
    .await?;
    let mut ends = find_ends(client, args, &partitions, context).await?;
    let assigned = partitions.iter().zip(&begins).filter(|(partition, begin)| {
        let end = ends.get(partition).and_then(|end| end.offset);
        end.is_none_or(|end| **begin < end)
    });
    let assigned: Vec<_> = assigned
        .map(|(partition, begin)| (topic.name.clone(), *partition, *begin))
        .collect();
    ends.retain(|partition, _| assigned.iter().any(|(_, open, _)| open == partition));
    let options = ConsumerOptions {
        reset: ResetTo::Earliest,
        ..ConsumerOptions::default()
    };
    let mut consumer = Consumer::new(client, options);
    consumer.assign(assigned);
    let mut sink = Sink::new(args, context)?;
    while !ends.is_empty() && !sink.is_full() {
        let Some(batch) = consumer.poll(POLL).await? else {
            sink.flush()?;
            finish_reached(&mut consumer, &mut ends);
            continue;
        };
        let Some(end) = ends.get(&batch.partition) else {
            continue;
        };
        let mut past = end.offset.is_some_and(|end| batch.next_offset() >= end);
        for record in batch.records()? {
            let record = record?;
            if end.offset.is_some_and(|end| record.offset >= end)
                || end.time_ms.is_some_and(|end| record.timestamp_ms >= end)
            {
                past = true;
                break;
            }
            sink.take(&batch.topic, batch.partition, &record)?;
        }
        if past {
            ends.remove(&batch.partition);
            consumer.unassign(&batch.topic, batch.partition);
        }
        if args.follow {
            sink.flush()?;
        }
    }
    sink.flush()?;
    tell(args, context, &sink);
    Ok(())
}

/// A range may end in what is no record (a transaction's marker, what compaction took).
fn finish_reached(consumer: &mut Consumer, ends: &mut BTreeMap<i32, End>) {
    let reached: Vec<(String, i32)> = consumer
        .positions()
        .filter(|(_, partition, position)| {
            let end = ends.get(partition).and_then(|end| end.offset);
            end.is_some_and(|end| *position >= end)
        })
        .map(|(topic, partition, _)| (topic.to_owned(), partition))
        .collect();
    for (topic, partition) in reached {
        ends.remove(&partition);
        consumer.unassign(&topic, partition);
    }
}

async fn find_ends(
    client: &Client,
    args: &Args,
    partitions: &[i32],
    context: &Context,
) -> CliResult<BTreeMap<i32, End>> {
    let to = args.to.unwrap_or(Place::Latest);
    let open = |time_ms| End {
        offset: None,
        time_ms,
    };
    // Who follows to a time or an offset that is not there yet waits for it.
    if args.follow {
        let end = |partition: &i32| match args.to {
            Some(Place::Offset(offset)) => (
                *partition,
                End {
                    offset: Some(offset),
                    time_ms: None,
                },
            ),
            Some(place) => (*partition, open(place.time_ms(context.env.now_ms()))),
            None => (*partition, open(None)),
        };
        return Ok(partitions.iter().map(end).collect());
    }
    let offsets = resolve(client, context, &args.topic, partitions, (to, Edge::End)).await?;
    let ends = partitions.iter().zip(offsets).map(|(partition, offset)| {
        let end = End {
            offset: Some(offset),
            time_ms: None,
        };
        (*partition, end)
    });
    Ok(ends.collect())
}

fn tell(args: &Args, context: &Context, sink: &Sink) {
    if !context.person_on_stderr() {
        return;
    }
    let seen = show_counted(sink.seen, "record");
    if sink.printed == sink.seen {
        context.say(format!("{seen}."));
    } else {
        context.say(format!("{} of {seen}.", show_count(sink.printed)));
    }
    if sink.seen == 0 {
        suggest(context, &format!("levada consume {} --follow", args.topic));
    }
}
