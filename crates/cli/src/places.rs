//! From places as people name them to offsets. A place that is outside a partition becomes one of
//! its ends, and whoever named it is told.

use levada_client::Client;
use levada_client::admin::{FoundOffset, OffsetAt};

use crate::context::Context;
use crate::error::CliResult;
use crate::remote::ends;
use crate::when::{Place, show_time};

/// So many partitions are told one by one.
const TOLD_MAX: usize = 5;

/// Whether something begins at a place or ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    Begin,
    End,
}

/// Where `place` lies in each of several partitions: an offset between the partition's ends. Says
/// on stderr where that is not the place that was asked for.
///
/// # Errors
/// Those of the cluster.
pub async fn resolve(
    client: &Client,
    context: &Context,
    topic: &str,
    partitions: &[i32],
    (place, edge): (Place, Edge),
) -> CliResult<Vec<i64>> {
    let ends = ends(client, topic, partitions).await?;
    let time_ms = place.time_ms(context.env.now_ms());
    let found = match time_ms {
        Some(time_ms) => {
            let wanted: Vec<_> = partitions
                .iter()
                .map(|partition| (*partition, OffsetAt::Time(time_ms)))
                .collect();
            client.list_offsets(topic, &wanted).await?
        }
        None => vec![None; ends.len()],
    };
    let mut offsets = Vec::with_capacity(ends.len());
    let mut moved = Vec::new();
    for ((partition, &(first, end)), found) in partitions.iter().zip(&ends).zip(found) {
        let (offset, why) = match time_ms {
            Some(time_ms) => at_time(place, edge, time_ms, (first, end), found),
            None => at_offset(place, first, end),
        };
        offsets.push(offset);
        if let Some(why) = why {
            moved.push(format!("partition {partition} of '{topic}' {why}"));
        }
    }
    for line in moved.iter().take(TOLD_MAX) {
        context.say(line);
    }
    if moved.len() > TOLD_MAX {
        let more = moved.len() - TOLD_MAX;
        context.say(format!("and so for {more} other partitions of '{topic}'"));
    }
    Ok(offsets)
}

/// An offset, and why it is not the one that was asked for.
type Resolved = (i64, Option<String>);

fn at_offset(place: Place, first: i64, end: i64) -> Resolved {
    let end = end.max(first);
    match place {
        Place::Earliest => (first, None),
        Place::Offset(offset) if (first..=end).contains(&offset) => (offset, None),
        Place::Offset(offset) => {
            let used = offset.clamp(first, end);
            let holds = match end - first {
                0 => format!("holds no records, its next offset is {end}"),
                _ => format!("holds offsets {first} to {}", end - 1),
            };
            let why = format!("{holds}: {offset} is outside, {used} is used");
            (used, Some(why))
        }
        Place::Last(records) => (end.saturating_sub(records).max(first), None),
        _ => (end, None),
    }
}

fn at_time(
    place: Place,
    edge: Edge,
    time_ms: i64,
    (first, end): (i64, i64),
    found: Option<FoundOffset>,
) -> Resolved {
    let offset = found.map_or(end, |found| found.offset);
    // What ends at a time ends there wherever the records end, and "now" is meant to be the end.
    if edge == Edge::End || first == end || place == Place::Ago(0) {
        return (offset, None);
    }
    let asked = show_time(time_ms);
    let why = match found {
        None => Some(format!(
            "has no record as new as {asked}: its end, offset {end}, is used"
        )),
        Some(found) if found.offset == first && first > 0 && found.timestamp_ms > time_ms => {
            let begins = show_time(found.timestamp_ms);
            Some(format!(
                "begins after {asked}, its older records are gone: its first, offset {first} of \
                 {begins}, is used"
            ))
        }
        Some(_) => None,
    };
    (offset, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_outside_become_the_nearest_end_and_say_so() {
        for (offset, used) in [(9, 10), (21, 20), (i64::MAX, 20)] {
            let (at, why) = at_offset(Place::Offset(offset), 10, 20);
            assert_eq!(at, used);
            let why = why.unwrap();
            assert!(why.contains("10 to 19"), "{why}");
            assert!(why.contains(&format!("{offset} is outside, {used} is used")));
        }
        for offset in [10, 15, 20] {
            assert_eq!(at_offset(Place::Offset(offset), 10, 20), (offset, None));
        }
        assert_eq!(at_offset(Place::Last(100), 10, 20), (10, None));
        let (at, why) = at_offset(Place::Offset(3), 0, 0);
        assert_eq!(at, 0);
        assert!(why.unwrap().contains("no records"));
    }

    #[test]
    fn times_outside_are_told_where_something_begins() {
        let at =
            |edge, time_ms, found| at_time(Place::Time(time_ms), edge, time_ms, (10, 20), found);
        let record = |offset, timestamp_ms| {
            Some(FoundOffset {
                offset,
                timestamp_ms,
            })
        };
        let (offset, why) = at(Edge::Begin, 900, None);
        assert_eq!(offset, 20);
        assert!(why.unwrap().contains("offset 20, is used"));
        assert_eq!(at(Edge::End, 900, None), (20, None));
        assert_eq!(at(Edge::Begin, 500, record(12, 600)), (12, None));
        let (offset, why) = at(Edge::Begin, 100, record(10, 300));
        assert_eq!(offset, 10);
        assert!(why.unwrap().contains("older records are gone"));
        assert_eq!(at(Edge::Begin, 300, record(10, 300)), (10, None));
        assert_eq!(
            at_time(Place::Ago(0), Edge::Begin, 900, (10, 20), None),
            (20, None)
        );
    }
}
