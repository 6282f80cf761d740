//! Which records cannot be read, told from a rebuilt state and stored bytes, without an engine.

use bytes::Bytes;
use levada_catalog::{IndexEntry, Partition, State};
use levada_model::{Extent, Offset, SegmentId};

use crate::{index_run, source::verify};

/// Records of a partition that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRecords {
    pub topic: String,
    pub partition: i32,
    /// The first and the last offset.
    pub first: Offset,
    pub last: Offset,
    /// Where they lie, or what leads to them.
    pub extent: Extent,
    /// What is wrong.
    pub why: String,
}

/// Stored bytes to a survey.
pub trait Stored {
    /// Whether the extent may be damaged: only then is it read.
    fn is_suspect(&self, extent: Extent) -> bool;

    /// Whether anything in the segment may be.
    fn is_segment_suspect(&self, segment: SegmentId) -> bool;

    /// # Errors
    /// Why it cannot be read.
    fn read(&self, extent: Extent) -> Result<Bytes, String>;
}

/// All records that a reader would be refused, in the order of topics, partitions and offsets.
///
pub fn find_damaged(state: &State, stored: &dyn Stored) -> Vec<DamagedRecords> {
    let mut found = Vec::new();
    for topic in state.topics() {
        for id in topic.partitions() {
            let Some(partition) = state.partition(id) else {
                continue;
            };
            let mut look = Look {
                topic: &topic.name,
                partition,
                stored,
                found: &mut found,
            };
            look.at_runs();
            for entry in partition.entries_from(partition.log_start()) {
                look.at_entry(&entry);
            }
        }
    }
    found
}

struct Look<'a> {
    topic: &'a str,
    partition: &'a Partition,
    stored: &'a dyn Stored,
    found: &'a mut Vec<DamagedRecords>,
}

impl Look<'_> {
    fn at_runs(&mut self) {
        for (run, segments) in self.partition.runs_with_segments() {
            let mut held = segments.iter();
            let suspect = self.stored.is_suspect(run.extent)
                || held.any(|held| self.stored.is_segment_suspect(held.segment));
            if !suspect {
                continue;
            }
            let bytes = self.stored.read(run.extent);
            let entries =
                bytes.and_then(|bytes| index_run::decode(&bytes).map_err(|e| e.to_string()));
            match entries {
                Ok(entries) => entries.iter().for_each(|entry| self.at_entry(entry)),
                Err(why) => {
                    let why = format!("the index run that leads to them: {why}");
                    self.lost(run.first, run.end, run.extent, why);
                }
            }
        }
    }

    fn at_entry(&mut self, entry: &IndexEntry) {
        if !self.stored.is_suspect(entry.extent) {
            return;
        }
        let read = self.stored.read(entry.extent);
        let checked =
            read.and_then(|bytes| verify(&bytes, entry.extent).map_err(|error| error.to_string()));
        if let Err(why) = checked {
            self.lost(entry.base, entry.end(), entry.extent, why);
        }
    }

    /// Notes `first..end`, as far as it is still kept.
    fn lost(&mut self, first: Offset, end: Offset, extent: Extent, why: String) {
        let first = first.max(self.partition.log_start());
        if first >= end {
            return;
        }
        self.found.push(DamagedRecords {
            topic: self.topic.to_owned(),
            partition: self.partition.index(),
            first,
            last: Offset(end.0 - 1),
            extent,
            why,
        });
    }
}
