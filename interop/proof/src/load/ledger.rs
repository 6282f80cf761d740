//! What the broker has promised: kept by everybody who talks to it, checked after each restart.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::promises::Promises;

/// A topic's partition.
pub type Place = (String, i32);

/// What stands in a record's value: who wrote it, and its count by that writer from 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub writer: String,
    pub count: u64,
}

impl Mark {
    /// A value of about `bytes` that carries the mark.
    pub fn value(&self, bytes: usize) -> Vec<u8> {
        let mut value = format!("{}:{}:", self.writer, self.count).into_bytes();
        value.resize(value.len().max(bytes), b'.');
        value
    }

    /// The mark in a value.
    pub fn read(value: &[u8]) -> Option<Mark> {
        let text = std::str::from_utf8(value).ok()?;
        let (writer, rest) = text.split_once(':')?;
        let (count, _) = rest.split_once(':')?;
        Some(Mark {
            writer: writer.to_owned(),
            count: count.parse().ok()?,
        })
    }
}

/// Everything that was promised so far.
#[derive(Default)]
pub struct Ledger {
    /// Acknowledged or seen by a consumer: the record at this offset is this one.
    records: Mutex<BTreeMap<Place, Promises>>,
    /// The largest acknowledged commit by group and partition.
    committed: Mutex<BTreeMap<(String, Place), i64>>,
    violations: Mutex<Vec<String>>,
    acknowledged: AtomicU64,
    seen: AtomicU64,
    commits: AtomicU64,
    is_stopped: AtomicBool,
}

/// A lock that a panic elsewhere does not spoil: the test goes on and fails.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Ledger {
    /// A record was acknowledged at this offset.
    pub fn acknowledge(&self, place: &Place, offset: i64, mark: &Mark) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.promise(place, offset, mark, "acknowledged");
    }

    /// A consumer was given a record at this offset.
    pub fn see(&self, place: &Place, offset: i64, mark: &Mark) {
        self.seen.fetch_add(1, Ordering::Relaxed);
        self.promise(place, offset, mark, "given to a consumer");
    }

    fn promise(&self, place: &Place, offset: i64, mark: &Mark, how: &str) {
        let mut records = lock(&self.records);
        if !records.contains_key(place) {
            records.insert(place.clone(), Promises::default());
        }
        let before = records
            .get_mut(place)
            .and_then(|promises| promises.put(offset, mark));
        drop(records);
        if let Some(before) = before {
            self.violation(format!(
                "{place:?} offset {offset} is {before:?}, then {how} as {mark:?}"
            ));
        }
    }

    /// A commit was acknowledged.
    pub fn commit(&self, group: &str, place: &Place, offset: i64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        let mut committed = lock(&self.committed);
        let last = committed
            .entry((group.to_owned(), place.clone()))
            .or_default();
        *last = offset.max(*last);
    }

    /// The last offset of which something was promised.
    pub fn last(&self, place: &Place) -> Option<i64> {
        lock(&self.records).get(place)?.last()
    }

    /// What was promised of these offsets.
    pub fn promises(&self, place: &Place, offsets: std::ops::Range<i64>) -> Vec<(i64, Mark)> {
        let records = lock(&self.records);
        let mine = records.get(place);
        mine.map_or_else(Vec::new, |mine| mine.within(offsets))
    }

    /// Holds what was found against what was promised; gives what is not the same.
    pub fn differences(&self, place: &Place, found: &[(i64, Mark)]) -> Vec<(i64, Mark, Mark)> {
        let records = lock(&self.records);
        let Some(mine) = records.get(place) else {
            return Vec::new();
        };
        let differs = |(offset, mark): &(i64, Mark)| {
            let promised = mine.differs(*offset, mark)?;
            Some((*offset, promised, mark.clone()))
        };
        found.iter().filter_map(differs).collect()
    }

    /// Nothing below the offset is promised any more: retention took it.
    pub fn forget_below(&self, place: &Place, offset: i64) {
        if let Some(mine) = lock(&self.records).get_mut(place) {
            mine.forget_below(offset);
        }
    }

    /// Nothing of the topic is promised any more: it is being deleted.
    pub fn forget_topic(&self, topic: &str) {
        lock(&self.records).retain(|(name, _), _| name != topic);
    }

    /// Every partition of which something was promised.
    pub fn places(&self) -> Vec<Place> {
        lock(&self.records).keys().cloned().collect()
    }

    /// Every commit that was promised.
    pub fn committed(&self) -> BTreeMap<(String, Place), i64> {
        lock(&self.committed).clone()
    }

    /// A promise was broken.
    pub fn violation(&self, text: String) {
        println!("VIOLATION {text}");
        lock(&self.violations).push(text);
    }

    pub fn violations(&self) -> Vec<String> {
        lock(&self.violations).clone()
    }

    pub fn has_violations(&self) -> bool {
        !lock(&self.violations).is_empty()
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Records that consumers were given, and commits.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Tells the workers to end.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_from_its_value() {
        let mark = Mark {
            writer: "raw-1".into(),
            count: 42,
        };
        assert_eq!(Mark::read(&mark.value(100)), Some(mark));
        assert_eq!(Mark::read(b"something else"), None);
    }

    #[test]
    fn an_offset_promised_twice_with_different_records_is_a_violation() {
        let (ledger, place) = (Ledger::default(), ("t".to_owned(), 0));
        let mark = |count| Mark {
            writer: "w".into(),
            count,
        };
        ledger.acknowledge(&place, 7, &mark(1));
        ledger.see(&place, 7, &mark(1));
        assert!(!ledger.has_violations());
        ledger.see(&place, 7, &mark(2));
        assert!(ledger.has_violations());
    }

    #[test]
    fn what_is_found_is_held_against_what_was_promised() {
        let (ledger, place) = (Ledger::default(), ("t".to_owned(), 0));
        let mark = |count| Mark {
            writer: "w".into(),
            count,
        };
        ledger.acknowledge(&place, 1, &mark(1));
        assert!(
            ledger
                .differences(&place, &[(0, mark(0)), (1, mark(1))])
                .is_empty()
        );
        let found = ledger.differences(&place, &[(1, mark(2))]);
        assert_eq!(found, [(1, mark(1), mark(2))]);
    }
}
