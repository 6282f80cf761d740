//! What a look from outside says is lost.

use std::path::Path;

use bytes::Bytes;
use levada_engine::survey::{DamagedRecords, Stored, find_damaged};
use levada_env::{Env, fault::FaultFs};
use levada_model::{Extent, SegmentId};
use levada_sequencer::{command_log::wal::WalLog, rebuild};
use levada_wal::Survey;

use crate::{check::Lost, folder::DIR};

struct Log(Survey);

impl Log {
    fn hits(&self, segment: SegmentId, from: u64, to: u64) -> bool {
        let mut damage = self.0.damage.iter();
        damage.any(|d| d.segment == segment && d.offset < to && from < d.offset + d.bytes)
    }
}

impl Log {
    fn is_missing(&self, segment: SegmentId, end: u64) -> bool {
        let mut files = self.0.files.iter();
        !files.any(|(file, bytes)| *file == segment && end <= *bytes)
    }
}

impl Stored for Log {
    fn is_suspect(&self, extent: Extent) -> bool {
        let end = extent.position + u64::from(extent.length);
        self.is_missing(extent.segment, end) || self.hits(extent.segment, extent.position, end)
    }

    fn is_segment_suspect(&self, _: SegmentId) -> bool {
        true
    }

    fn read(&self, extent: Extent) -> Result<Bytes, String> {
        let read = self.0.read(extent.segment, extent.position, extent.length);
        read.map_err(|error| error.to_string())
    }
}

/// What a look at the folder found.
pub struct Looked {
    pub refused: Option<String>,
    pub lost: Lost,
}

/// # Errors
/// When the folder cannot be looked at, or the state not be rebuilt.
pub fn look(fs: &FaultFs) -> Result<Looked, String> {
    let env = Env::simulated(3, std::sync::Arc::new(fs.clone()));
    let survey = WalLog::survey(&env, Path::new(DIR), &mut |_, _| {});
    let survey = survey.map_err(|error| error.to_string())?;
    let rebuilt = rebuild(Default::default(), survey.found).map_err(|error| error.to_string())?;
    let log = Log(survey.wal);
    let mut lost = Lost::new();
    for records in find_damaged(&rebuilt.state, &log) {
        lost.extend(offsets(&records));
    }
    lost.sort_unstable();
    Ok(Looked {
        refused: log.0.refused,
        lost,
    })
}

fn offsets(records: &DamagedRecords) -> impl Iterator<Item = (&'static str, i32, i64)> {
    let held = crate::folder::HELD.into_iter();
    let topic = held.map(|(topic, _)| topic).find(|t| *t == records.topic);
    let topic = topic.expect("only topics that hold records can lose them");
    let partition = records.partition;
    (records.first.0..=records.last.0).map(move |offset| (topic, partition, offset))
}
