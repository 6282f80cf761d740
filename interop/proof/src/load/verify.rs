//! Reads everything back and holds it against the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Context, Result, bail};
use levada_records::{Batch, Batches};
use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::*;

use super::admin::log_start;
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
    /// Records were passed over, rightly: counts may have grown unseen since the last one read.
    skipped: BTreeSet<String>,
    /// The same before any of a writer was read.
    skipped_start: bool,
}

/// What is no broken promise here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// Records below the log start: retention takes them.
    pub trimmed: bool,
    /// Records whose reading fails with CORRUPT_MESSAGE: the disk was damaged on purpose.
    pub damaged: bool,
    /// Records and commits at the end that are not there: the broker has said that it cut them off.
    pub cut: bool,
}

/// Reads what is new at each check, or all of it.
pub struct Verifier {
    address: String,
    progress: BTreeMap<Place, Progress>,
    pub allowance: Allowance,
    /// Offsets that could not be read, where that was allowed.
    pub damaged: Vec<(Place, Range<i64>)>,
    /// How many promised records and commits were cut off, where that was allowed.
    pub cut: u64,
    /// How many records were read.
    pub read: u64,
}

/// What one fetch brought.
enum Step {
    Records(Vec<(i64, Mark)>),
    Damaged,
    Trimmed(i64),
}

impl Verifier {
    pub fn new(address: &str) -> Verifier {
        Verifier {
            address: address.to_owned(),
            progress: BTreeMap::new(),
            allowance: Allowance::default(),
            damaged: Vec::new(),
            cut: 0,
            read: 0,
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

    /// The topic is gone, and rightly.
    pub fn forget_topic(&mut self, topic: &str) {
        self.progress.retain(|(name, _), _| name != topic);
    }

    fn check_place(&mut self, ledger: &Ledger, place: &Place, when: &str) -> Result<()> {
        let mut progress = self.progress.get(place).cloned().unwrap_or_default();
        // Taken first: what is promised from now on may not be there yet.
        let Some(last) = ledger.last(place) else {
            return Ok(());
        };
        let mut broken = Vec::new();
        let mut connection = Connection::open(&self.address)?;
        while progress.next_offset <= last {
            let before = progress.next_offset;
            match read_some(&mut connection, place, &mut progress)? {
                Step::Records(found) => {
                    self.read += found.len() as u64;
                    let differing = ledger.differences(place, &found).into_iter();
                    broken.extend(differing.map(|(at, due, is)| (at, due, Some(is))));
                }
                Step::Damaged if self.allowance.damaged => self.pass(place, &mut progress),
                Step::Damaged => bail!("Fetch from {before}: CORRUPT_MESSAGE"),
                Step::Trimmed(start) if self.allowance.trimmed && start > before => {
                    ledger.forget_below(place, start);
                    progress.skip_to(start);
                }
                Step::Trimmed(start) => {
                    bail!("Fetch from {before}: OFFSET_OUT_OF_RANGE, it begins at {start}")
                }
            }
            if progress.next_offset == before {
                break;
            }
        }
        let missing = ledger.promises(place, progress.next_offset..last + 1);
        if self.allowance.cut {
            self.cut += missing.len() as u64;
        } else {
            broken.extend(missing.into_iter().map(|(at, due)| (at, due, None)));
        }
        tell(ledger, place, when, &broken);
        self.progress.insert(place.clone(), progress);
        Ok(())
    }

    /// Passes over an offset that cannot be read.
    fn pass(&mut self, place: &Place, progress: &mut Progress) {
        let offset = progress.next_offset;
        progress.skip_to(offset + 1);
        match self.damaged.last_mut() {
            Some((last, range)) if last == place && range.end == offset => range.end += 1,
            _ => self.damaged.push((place.clone(), offset..offset + 1)),
        }
    }

    fn check_commits(&mut self, ledger: &Ledger, when: &str) -> Result<()> {
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
            let is_less = found.is_none_or(|found| found < offset);
            if is_less && self.allowance.cut {
                self.cut += 1;
            } else if is_less {
                ledger.violation(format!(
                    "{when}: {group} at {place:?}: {offset} was committed, {found:?} is there"
                ));
            }
        }
        Ok(())
    }
}

fn tell(ledger: &Ledger, place: &Place, when: &str, broken: &[(i64, Mark, Option<Mark>)]) {
    for (offset, due, instead) in broken.iter().take(TOLD_MAX) {
        ledger.violation(format!(
            "{when}: {place:?} offset {offset}: {due:?} was promised, {instead:?} is there"
        ));
    }
    if broken.len() > TOLD_MAX {
        ledger.violation(format!(
            "{when}: {place:?}: {} promises broken in all",
            broken.len()
        ));
    }
}

/// Fetches once from where the progress stands.
fn read_some(connection: &mut Connection, place: &Place, progress: &mut Progress) -> Result<Step> {
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
    match ErrorCode::try_from(partition.error_code) {
        Ok(ErrorCode::None) => {}
        Ok(ErrorCode::CorruptMessage) => return Ok(Step::Damaged),
        Ok(ErrorCode::OffsetOutOfRange) => {
            let start = log_start(connection, place)?;
            return Ok(Step::Trimmed(start));
        }
        other => bail!("Fetch from {}: {other:?}", progress.next_offset),
    }
    let run = partition.records.unwrap_or_default().into_bytes();
    let mut found = Vec::new();
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
            progress.advance(offset, &mark)?;
            found.push((offset, mark));
        }
    }
    Ok(Step::Records(found))
}

impl Progress {
    /// Goes on at a later offset: what lies between is not there, and need not be.
    fn skip_to(&mut self, offset: i64) {
        self.next_offset = offset;
        self.skipped = self.next_counts.keys().cloned().collect();
        self.skipped_start = true;
    }

    /// Holds a record to its place: the next offset, and the next count of its writer.
    fn advance(&mut self, offset: i64, mark: &Mark) -> Result<()> {
        if offset != self.next_offset {
            bail!("offset {offset} follows {}", self.next_offset - 1);
        }
        self.next_offset += 1;
        let Some(next) = self.next_counts.get_mut(&mark.writer) else {
            if mark.count != 0 && !self.skipped_start {
                bail!("offset {offset}: {mark:?} where 0 was due: lost or written twice");
            }
            self.next_counts.insert(mark.writer.clone(), mark.count + 1);
            return Ok(());
        };
        let was_skipped = !self.skipped.is_empty() && self.skipped.remove(&mark.writer);
        if mark.count != *next && !(was_skipped && mark.count > *next) {
            bail!("offset {offset}: {mark:?} where {next} was due: lost or written twice");
        }
        *next = mark.count + 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(count: u64) -> Mark {
        Mark {
            writer: "w".into(),
            count,
        }
    }

    #[test]
    fn gaps_and_duplicates_are_found() {
        let mut progress = Progress::default();
        assert!(progress.clone().advance(0, &mark(1)).is_err());
        assert!(progress.advance(0, &mark(0)).is_ok());
        assert!(progress.clone().advance(2, &mark(1)).is_err());
        assert!(progress.clone().advance(1, &mark(0)).is_err());
        assert!(progress.clone().advance(1, &mark(2)).is_err());
        assert!(progress.advance(1, &mark(1)).is_ok());
    }

    #[test]
    fn what_was_rightly_skipped_is_no_gap_but_a_duplicate_after_it_is_one() {
        let mut progress = Progress::default();
        assert!(progress.advance(0, &mark(0)).is_ok());
        progress.skip_to(5);
        assert!(progress.clone().advance(4, &mark(9)).is_err());
        assert!(progress.clone().advance(5, &mark(0)).is_err());
        assert!(progress.advance(5, &mark(9)).is_ok());
        assert!(progress.clone().advance(6, &mark(12)).is_err());
        assert!(progress.advance(6, &mark(10)).is_ok());
    }
}
