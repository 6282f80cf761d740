//! Reads everything back and holds it against the ledger.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use levada_records::{Batch, Batches};
use levada_wire_kafka::messages::*;

use super::ledger::{Ledger, Mark, Place};
use crate::connection::Connection;

const FETCH_VERSION: i16 = 12;
const FETCH_BYTES: i32 = 4 << 20;
const OPENED_BYTES_MAX: usize = 64 << 20;
/// A broken partition breaks many promises; so many are told.
const TOLD_MAX: usize = 3;

/// How far a partition has been read, and what the next record of each writer must be.
#[derive(Clone, Default)]
struct Progress {
    next_offset: i64,
    next_counts: BTreeMap<String, u64>,
}

/// Reads what is new at each check, or all of it.
pub struct Verifier {
    address: String,
    progress: BTreeMap<Place, Progress>,
}

impl Verifier {
    pub fn new(address: &str) -> Verifier {
        Verifier {
            address: address.to_owned(),
            progress: BTreeMap::new(),
        }
    }

    /// Checks every promise in the ledger; what is broken is told there.
    pub fn check(&mut self, ledger: &Ledger, from_the_start: bool, when: &str) {
        if from_the_start {
            self.progress.clear();
        }
        for place in ledger.places() {
            if let Err(error) = self.check_place(ledger, &place, when) {
                ledger.violation(format!("{when}: {place:?} cannot be read: {error:#}"));
            }
        }
        if let Err(error) = self.check_commits(ledger, when) {
            ledger.violation(format!(
                "{when}: committed offsets cannot be read: {error:#}"
            ));
        }
    }

    fn check_place(&mut self, ledger: &Ledger, place: &Place, when: &str) -> Result<()> {
        let mut progress = self.progress.get(place).cloned().unwrap_or_default();
        // Taken first: what is promised from now on may not be there yet.
        let promises = ledger.promises(place, progress.next_offset);
        let Some((last, _)) = promises.last_key_value() else {
            return Ok(());
        };
        let mut connection = Connection::open(&self.address)?;
        let mut found = BTreeMap::new();
        while progress.next_offset <= *last {
            let before = progress.next_offset;
            read_some(&mut connection, place, &mut progress, &mut found)?;
            if progress.next_offset == before {
                break;
            }
        }
        let broken = promises
            .iter()
            .filter(|(offset, mark)| found.get(*offset) != Some(*mark));
        let broken: Vec<_> = broken.collect();
        for (offset, mark) in broken.iter().take(TOLD_MAX) {
            let instead = found.get(*offset);
            ledger.violation(format!(
                "{when}: {place:?} offset {offset}: {mark:?} was promised, {instead:?} is there"
            ));
        }
        if broken.len() > TOLD_MAX {
            ledger.violation(format!(
                "{when}: {place:?}: {} promises broken in all",
                broken.len()
            ));
        }
        self.progress.insert(place.clone(), progress);
        Ok(())
    }

    fn check_commits(&self, ledger: &Ledger, when: &str) -> Result<()> {
        let promised = ledger.committed();
        let mut connection = Connection::open(&self.address)?;
        for ((group, place), offset) in promised {
            let request = OffsetFetchRequest {
                group_id: group.as_str().into(),
                topics: Some(vec![OffsetFetchRequestTopic {
                    name: place.0.as_str().into(),
                    partition_indexes: vec![place.1],
                }]),
                ..OffsetFetchRequest::default()
            };
            let answer = connection.call(7, &request)?;
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let found = partitions
                .map(|partition| partition.committed_offset)
                .next();
            if found.is_none_or(|found| found < offset) {
                ledger.violation(format!(
                    "{when}: {group} at {place:?}: {offset} was committed, {found:?} is there"
                ));
            }
        }
        Ok(())
    }
}

/// Fetches once from where the progress stands.
fn read_some(
    connection: &mut Connection,
    place: &Place,
    progress: &mut Progress,
    found: &mut BTreeMap<i64, Mark>,
) -> Result<()> {
    let request = FetchRequest {
        max_wait_ms: 0,
        max_bytes: FETCH_BYTES,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: place.0.as_str().into(),
            partitions: vec![FetchPartition {
                partition: place.1,
                fetch_offset: progress.next_offset,
                partition_max_bytes: FETCH_BYTES,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let answer = connection.call(FETCH_VERSION, &request)?;
    let partitions = answer
        .responses
        .into_iter()
        .flat_map(|topic| topic.partitions);
    let partition = partitions.into_iter().next().context("an empty answer")?;
    if partition.error_code != 0 {
        bail!(
            "Fetch from {}: error {}",
            progress.next_offset,
            partition.error_code
        );
    }
    let run = partition.records.unwrap_or_default().into_bytes();
    for batch in Batches::new(run) {
        let (_, bytes) = batch?;
        let batch = Batch::verify(&bytes, OPENED_BYTES_MAX)?;
        for record in batch.records() {
            let record = record?;
            let offset = batch.offset(&record);
            if offset < progress.next_offset {
                continue;
            }
            let mark = record
                .value
                .as_deref()
                .and_then(Mark::read)
                .context("a value of nobody")?;
            advance(progress, offset, &mark)?;
            found.insert(offset, mark);
        }
    }
    Ok(())
}

/// Holds a record to its place: the next offset, and the next count of its writer.
fn advance(progress: &mut Progress, offset: i64, mark: &Mark) -> Result<()> {
    if offset != progress.next_offset {
        bail!("offset {offset} follows {}", progress.next_offset - 1);
    }
    progress.next_offset += 1;
    let next = progress.next_counts.entry(mark.writer.clone()).or_default();
    if mark.count != *next {
        bail!("offset {offset}: {mark:?} where {next} was due: lost or written twice");
    }
    *next += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_duplicates_are_found() {
        let mark = |count| Mark {
            writer: "w".into(),
            count,
        };
        let mut progress = Progress::default();
        assert!(advance(&mut progress, 0, &mark(0)).is_ok());
        assert!(advance(&mut progress.clone(), 2, &mark(1)).is_err());
        assert!(advance(&mut progress.clone(), 1, &mark(0)).is_err());
        assert!(advance(&mut progress.clone(), 1, &mark(2)).is_err());
        assert!(advance(&mut progress, 1, &mark(1)).is_ok());
    }
}
