//! How far a group is behind: in records by offsets, in time by timestamps of records.

use std::collections::BTreeMap;
use std::time::Duration;

use levada_client::admin::OffsetAt;
use levada_client::{Client, Consumer, ConsumerOptions, ResetTo};

use crate::context::Context;
use crate::error::CliResult;
use crate::remote::ends;

/// How long is waited for the timestamps of unread records, all partitions together.
const SAMPLE_WAIT_MAX: Duration = Duration::from_secs(3);
/// Enough for one batch: a broker sends a larger one whole.
const SAMPLE_BYTES: i32 = 4 * 1024;

/// Topic and partition.
pub type Spot = (String, i32);

/// Where a group stands in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The next offset to be read; `None` if nothing is committed.
    pub committed: Option<i64>,
    pub start: i64,
    pub end: i64,
    /// Of the first record that is not read yet.
    pub unread_ms: Option<i64>,
    /// Of the newest record.
    pub newest_ms: Option<i64>,
}

impl Standing {
    /// Records that are not read yet; without a committed offset, all that are there.
    pub fn lag(&self) -> i64 {
        let from = self.committed.unwrap_or(self.start).max(self.start);
        (self.end - from).max(0)
    }

    /// How long the first unread record has been waiting, in milliseconds.
    pub fn waiting_ms(&self, now_ms: i64) -> Option<i64> {
        match self.lag() {
            0 => Some(0),
            _ => self.unread_ms.map(|unread| (now_ms - unread).max(0)),
        }
    }

    /// How much older the first unread record is than the newest one, in milliseconds.
    pub fn behind_ms(&self) -> Option<i64> {
        match self.lag() {
            0 => Some(0),
            _ => Some((self.newest_ms? - self.unread_ms?).max(0)),
        }
    }
}

/// Where the group stands in each of `spots`. Times are left out where they cannot be had.
///
/// # Errors
/// Those of the cluster; a topic that is gone is left out.
pub async fn standings(
    client: &Client,
    context: &Context,
    spots: &BTreeMap<Spot, Option<i64>>,
) -> CliResult<BTreeMap<Spot, Standing>> {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in spots.keys() {
        by_topic.entry(topic).or_default().push(*partition);
    }
    let mut standings = BTreeMap::new();
    for (topic, partitions) in by_topic {
        let Ok(known) = client.topic(topic, false).await else {
            context.say(format!(
                "Topic '{topic}' is gone; the group's offsets in it are left out."
            ));
            continue;
        };
        let partitions: Vec<i32> = partitions
            .into_iter()
            .filter(|partition| known.partition(*partition).is_ok())
            .collect();
        let ends = ends(client, topic, &partitions).await?;
        let newest: Vec<_> = partitions
            .iter()
            .map(|p| (*p, OffsetAt::MaxTimestamp))
            .collect();
        // Old brokers cannot tell the newest record's time.
        let newest = client
            .list_offsets(topic, &newest)
            .await
            .unwrap_or_default();
        for (index, (partition, (start, end))) in partitions.iter().zip(ends).enumerate() {
            let spot = (topic.to_owned(), *partition);
            let standing = Standing {
                committed: spots.get(&spot).copied().flatten(),
                start,
                end,
                unread_ms: None,
                newest_ms: newest
                    .get(index)
                    .copied()
                    .flatten()
                    .map(|found| found.timestamp_ms),
            };
            standings.insert(spot, standing);
        }
    }
    sample_times(client, context, &mut standings).await?;
    Ok(standings)
}

/// Reads the first unread record of each partition that lags.
async fn sample_times(
    client: &Client,
    context: &Context,
    standings: &mut BTreeMap<Spot, Standing>,
) -> CliResult {
    let lagging: Vec<(String, i32, i64)> = standings
        .iter()
        .filter(|(_, standing)| standing.lag() > 0)
        .map(|((topic, partition), standing)| {
            let from = standing
                .committed
                .unwrap_or(standing.start)
                .max(standing.start);
            (topic.clone(), *partition, from)
        })
        .collect();
    let mut missing = lagging.len();
    let options = ConsumerOptions {
        partition_bytes_max: SAMPLE_BYTES,
        reset: ResetTo::Earliest,
        ..ConsumerOptions::default()
    };
    let mut consumer = Consumer::new(client, options);
    consumer.assign(lagging);
    let deadline = context.env.monotonic() + SAMPLE_WAIT_MAX;
    while missing > 0 {
        let left = deadline.saturating_sub(context.env.monotonic());
        let Some(batch) = consumer.poll(left).await? else {
            return Ok(()); // What is missing is shown as unknown.
        };
        let Some(record) = batch.records()?.next().transpose()? else {
            continue; // A marker: the next batch has records.
        };
        let spot = (batch.topic.to_string(), batch.partition);
        if let Some(standing) = standings.get_mut(&spot) {
            standing.unread_ms = Some(record.timestamp_ms);
            missing -= 1;
        }
        consumer.unassign(&batch.topic, batch.partition);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_from_the_committed_offset_or_from_what_is_left() {
        let mut standing = Standing {
            committed: Some(40),
            start: 10,
            end: 100,
            unread_ms: Some(5_000),
            newest_ms: Some(9_000),
        };
        assert_eq!(standing.lag(), 60);
        assert_eq!(standing.waiting_ms(12_000), Some(7_000));
        assert_eq!(standing.behind_ms(), Some(4_000));
        standing.committed = None;
        assert_eq!(standing.lag(), 90);
        standing.committed = Some(5); // Retention has overtaken the group.
        assert_eq!(standing.lag(), 90);
        standing.committed = Some(100);
        assert_eq!(standing.lag(), 0);
        assert_eq!(standing.waiting_ms(12_000), Some(0));
        assert_eq!(standing.behind_ms(), Some(0));
    }
}
