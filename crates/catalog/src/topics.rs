//! Topics: names, settings, and which partitions they have.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use levada_model::codec::Encoder;
use levada_model::limits::{TOPIC_NAME_BYTES_MAX, TOPIC_PARTITIONS_MAX};
use levada_model::{PartitionId, TopicId};

use crate::reply::TopicError;
use crate::saver::{Mark, RowKind, Saver};
use crate::shared_settings::Overrides;
use crate::topic_config::TopicConfig;

/// Topics that a Kafka broker always has. Tools take them for internal ones, so nobody may make
/// them here: as on Kafka, they "exist already".
const KAFKAS_OWN_NAMES: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// Partition ids that were given together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRange {
    pub first: PartitionId,
    pub count: u32,
}

/// One topic.
pub struct Topic {
    pub id: TopicId,
    pub name: Arc<str>,
    /// What acts, from the overrides and the defaults.
    pub config: Arc<TopicConfig>,
    /// Settings that were set on this topic, as text.
    pub overrides: Arc<Overrides>,
    pub created_ms: i64,
    /// In the order of the partitions' numbers.
    pub ranges: Vec<PartitionRange>,
    pub(crate) mark: Mark,
}

impl Topic {
    pub fn partition_count(&self) -> u32 {
        self.ranges.iter().map(|range| range.count).sum()
    }

    /// The id of the partition with this number.
    pub fn partition(&self, number: i32) -> Option<PartitionId> {
        let mut rest = u32::try_from(number).ok()?;
        for range in &self.ranges {
            if rest < range.count {
                return Some(PartitionId(range.first.0 + u64::from(rest)));
            }
            rest -= range.count;
        }
        None
    }

    /// Adds partitions after the present ones.
    pub(crate) fn grow(&mut self, added: PartitionRange) {
        match self.ranges.last_mut() {
            Some(last) if last.first.0 + u64::from(last.count) == added.first.0 => {
                last.count += added.count;
            }
            _ => self.ranges.push(added),
        }
    }

    /// Writes the row, if the snapshot under way still lacks it.
    pub(crate) fn save(&mut self, saver: &mut Saver) {
        if saver.wants(self.mark) {
            self.mark = saver.mark();
            self.write_row(saver.row(RowKind::Topic));
        }
    }

    pub(crate) fn write_row(&self, out: &mut Encoder) {
        out.raw(&self.id.0);
        out.text(&self.name);
        out.signed(self.created_ms);
        out.list(self.overrides.iter(), |out, (name, value)| {
            out.text(name);
            out.text(value);
        });
        out.list(self.ranges.iter(), |out, range| {
            out.varint(range.first.0);
            out.varint(u64::from(range.count));
        });
    }

    /// Every partition's id, in the order of their numbers.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + '_ {
        self.partitions_from(0)
    }

    /// The ids of the partitions from this number on: a walk over many can pause.
    pub fn partitions_from(&self, number: u32) -> impl Iterator<Item = PartitionId> + '_ {
        let mut skip = number;
        let ids = move |range: &PartitionRange| {
            let passed = skip.min(range.count);
            skip -= passed;
            let end = range.first.0 + u64::from(range.count);
            range.first.0 + u64::from(passed)..end
        };
        self.ranges.iter().flat_map(ids).map(PartitionId)
    }
}

/// All topics, by id and by name.
pub struct TopicTable {
    /// Boxed, so that the table stays small where it is not full.
    rows: HashMap<TopicId, Box<Topic>, FixedState>,
    names: BTreeMap<Arc<str>, TopicId>,
    /// Names that hold '.' or '_', with '_' for both: two such names must not be the same.
    folded: HashMap<Box<str>, Arc<str>, FixedState>,
}

impl TopicTable {
    pub(crate) fn new() -> Self {
        TopicTable {
            rows: HashMap::with_hasher(FixedState::default()),
            names: BTreeMap::new(),
            folded: HashMap::with_hasher(FixedState::default()),
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn get(&self, id: TopicId) -> Option<&Topic> {
        self.rows.get(&id).map(|topic| &**topic)
    }

    pub fn named(&self, name: &str) -> Option<&Topic> {
        self.get(*self.names.get(name)?)
    }

    /// In name order.
    pub fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.names.values().filter_map(|id| self.get(*id))
    }

    /// In name order, those behind `name`; all for `None`.
    pub fn after(&self, name: Option<&str>) -> impl Iterator<Item = &Topic> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.names.range::<str, _>((from, Bound::Unbounded));
        range.filter_map(|(_, id)| self.get(*id))
    }

    pub(crate) fn get_mut(&mut self, id: TopicId) -> Option<&mut Topic> {
        self.rows.get_mut(&id).map(|topic| &mut **topic)
    }

    pub(crate) fn insert(&mut self, topic: Topic) {
        self.names.insert(topic.name.clone(), topic.id);
        if let Some(folded) = fold(&topic.name) {
            self.folded.insert(folded, topic.name.clone());
        }
        self.rows.insert(topic.id, Box::new(topic));
    }

    pub(crate) fn remove(&mut self, id: TopicId) -> Option<Topic> {
        let topic = self.rows.remove(&id)?;
        self.names.remove(&topic.name);
        if let Some(folded) = fold(&topic.name) {
            self.folded.remove(&folded);
        }
        Some(*topic)
    }

    /// Saves the next rows after the name `passed`; returns the rows visited, 0 at the end.
    pub(crate) fn save_slice(
        &mut self,
        passed: &mut Option<Arc<str>>,
        saver: &mut Saver,
        rows_max: usize,
    ) -> usize {
        let from = passed.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let mut visited = 0;
        for (name, id) in self.names.range((from, Bound::Unbounded)).take(rows_max) {
            if let Some(topic) = self.rows.get_mut(id) {
                topic.save(saver);
            }
            visited += 1;
            *passed = Some(name.clone());
        }
        visited
    }

    /// Whether a topic of this name and id may be made.
    pub(crate) fn check_new(&self, name: &str, id: TopicId) -> Result<(), TopicError> {
        check_name(name)?;
        let kept = KAFKAS_OWN_NAMES.contains(&name);
        if kept || self.names.contains_key(name) || self.rows.contains_key(&id) {
            return Err(TopicError::Exists(name.to_owned()));
        }
        if id.is_none() {
            let text = "a topic needs an id that is not all zero".to_owned();
            return Err(TopicError::InvalidName(text));
        }
        match fold(name).and_then(|folded| self.folded.get(&folded)) {
            None => Ok(()),
            Some(other) => Err(TopicError::InvalidName(format!(
                "topic name '{name}' collides with the existing topic '{other}': names may not \
                 differ only in '.' and '_'; choose another name"
            ))),
        }
    }
}

/// Kafka's rules for topic names.
pub fn check_name(name: &str) -> Result<(), TopicError> {
    let refuse = |why: &str| {
        Err(TopicError::InvalidName(format!(
            "topic name '{name}' is not allowed: {why}"
        )))
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name == "." || name == ".." {
        return refuse("it may not be '.' or '..'");
    }
    if name.len() > TOPIC_NAME_BYTES_MAX {
        return refuse(&format!(
            "it is longer than {TOPIC_NAME_BYTES_MAX} characters"
        ));
    }
    if !name.bytes().all(allowed) {
        return refuse("it may hold only ASCII letters, digits, '.', '_' and '-'");
    }
    Ok(())
}

/// Whether a topic may have `count` partitions, of which it has `present` already.
pub(crate) fn check_partitions(count: u32, present: u32) -> Result<(), TopicError> {
    let refuse = |text: String| Err(TopicError::InvalidPartitions(text));
    if count == 0 {
        return refuse("a topic needs at least 1 partition".to_owned());
    }
    if count > TOPIC_PARTITIONS_MAX {
        return refuse(format!(
            "a topic may have at most {TOPIC_PARTITIONS_MAX} partitions, not {count}"
        ));
    }
    if count < present {
        return refuse(format!(
            "the topic has {present} partitions, more than the {count} asked for; partitions \
             cannot be taken away"
        ));
    }
    if count == present {
        return refuse(format!("the topic has {present} partitions already"));
    }
    Ok(())
}

/// The name with '_' for '.', if it holds either.
fn fold(name: &str) -> Option<Box<str>> {
    name.contains(['.', '_'])
        .then(|| name.replace('.', "_").into_boxed_str())
}
