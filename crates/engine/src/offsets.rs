//! Offsets by position and by time (Kafka's ListOffsets and OffsetForLeaderEpoch).

use levada_catalog::{Found, IndexEntry, Partition};
use levada_model::{Epoch, Offset, PartitionId};

use crate::{
    Engine, ReadError, TopicRef,
    engine::Inner,
    read::{check_epoch, resolve},
    run_cache::RunEntries,
    slices::{BatchWalk, StoredBatch},
};

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log start.
    Earliest,
    /// The high watermark.
    Latest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record at or after this time, milliseconds since the Unix epoch.
    AtTime(i64),
}

/// -1 stands for "none" in each field, as in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub leader_epoch: i32,
}

impl FoundOffset {
    const NONE: FoundOffset = FoundOffset {
        offset: -1,
        timestamp_ms: -1,
        leader_epoch: -1,
    };

    fn at(offset: Offset, timestamp_ms: i64) -> Self {
        FoundOffset {
            offset: offset.0,
            timestamp_ms,
            leader_epoch: Epoch::ONLY.0,
        }
    }
}

impl Engine {
    /// Finds an offset of a partition.
    ///
    /// # Errors
    /// As of a read.
    pub async fn find_offset(
        &self,
        topic: &TopicRef,
        partition: i32,
        spec: OffsetSpec,
    ) -> Result<FoundOffset, ReadError> {
        let sequencer = &self.inner.sequencer;
        let id = sequencer.read(|state| resolve(state, topic, partition))?;
        let (start, end) = sequencer.read(|state| {
            let partition = state.partition(id).ok_or(ReadError::UnknownPartition)?;
            Ok::<_, ReadError>((partition.log_start(), partition.high_watermark()))
        })?;
        match spec {
            OffsetSpec::Earliest => Ok(FoundOffset::at(start, -1)),
            OffsetSpec::Latest => Ok(FoundOffset::at(end, -1)),
            OffsetSpec::MaxTimestamp => self.inner.find_newest(id).await,
            OffsetSpec::AtTime(time_ms) => self.inner.find_time(id, start, time_ms).await,
        }
    }

    /// The end offset of a leader epoch: there is one epoch, so the high watermark.
    ///
    /// # Errors
    /// As of a read; a wrong current epoch is fenced or unknown.
    pub fn epoch_end_offset(
        &self,
        topic: &TopicRef,
        partition: i32,
        current_epoch: i32,
        epoch: i32,
    ) -> Result<(i32, i64), ReadError> {
        let end = self.inner.sequencer.read(|state| {
            let id = resolve(state, topic, partition)?;
            let partition = state.partition(id).ok_or(ReadError::UnknownPartition)?;
            Ok::<_, ReadError>(partition.high_watermark())
        })?;
        check_epoch(current_epoch)?;
        match epoch == Epoch::ONLY.0 {
            true => Ok((epoch, end.0)),
            false => Ok((-1, -1)),
        }
    }
}

impl Inner {
    async fn find_time(
        &self,
        id: PartitionId,
        start: Offset,
        time_ms: i64,
    ) -> Result<FoundOffset, ReadError> {
        let mut found = self.sequencer.read(|state| {
            let partition = state.partition(id);
            partition.map_or(Found::End, |p| p.entry_at_or_after_time(time_ms))
        });
        loop {
            let entries = match found {
                Found::End | Found::Below => return Ok(FoundOffset::NONE),
                Found::Entry(entry) => RunEntries::one(entry),
                Found::Run(run) => self.run_entries(&run, start).await?,
            };
            let wanted = move |at: Offset, time: i64| at >= start && time >= time_ms;
            let Some(last) = entries.last() else {
                return Ok(FoundOffset::NONE);
            };
            for entry in entries.iter().filter(|entry| time_of(entry) >= time_ms) {
                if let Some(found) = self.find_record(entry, wanted).await? {
                    return Ok(found);
                }
            }
            // The late record lies before the log start: the next offset's home is asked.
            found = self.sequencer.read(|state| {
                let partition = state.partition(id);
                partition.map_or(Found::End, |p| p.find(last.end()))
            });
        }
    }

    async fn find_newest(&self, id: PartitionId) -> Result<FoundOffset, ReadError> {
        let found = self.sequencer.read(|state| {
            let partition = state.partition(id);
            partition.map_or(Found::End, Partition::entry_with_max_timestamp)
        });
        let entries = match found {
            Found::End | Found::Below => return Ok(FoundOffset::NONE),
            Found::Entry(entry) => RunEntries::one(entry),
            Found::Run(run) => self.run_entries(&run, run.first).await?,
        };
        let Some(newest) = entries.iter().map(time_of).max() else {
            return Ok(FoundOffset::NONE);
        };
        for entry in entries.iter().filter(|entry| time_of(entry) == newest) {
            if let Some(found) = self
                .find_record(entry, move |_, time| time >= newest)
                .await?
            {
                return Ok(found);
            }
        }
        Ok(FoundOffset::NONE)
    }

    /// The first record of an entry for which `wanted(offset, time)` holds.
    async fn find_record(
        &self,
        entry: &IndexEntry,
        wanted: impl Fn(Offset, i64) -> bool + Clone + Send + 'static,
    ) -> Result<Option<FoundOffset>, ReadError> {
        let fetched = self.entry_bytes(entry).await?;
        let batches: Vec<StoredBatch> =
            BatchWalk::new(entry, fetched.pieces).collect::<Result<_, _>>()?;
        for stored in batches {
            let wanted = wanted.clone();
            let found = self.opening(move || stored.find_time(wanted)).await?;
            if let Some((at, time)) = found {
                return Ok(Some(FoundOffset::at(at, time)));
            }
        }
        Ok(None)
    }
}

/// What look-ups by time compare: the append time where it rules, else the records' newest.
fn time_of(entry: &IndexEntry) -> i64 {
    entry.append_time_ms.unwrap_or(entry.max_timestamp_ms)
}
