//! What runs now and then: retention, spilling of old index entries, release of dead segments.

use std::sync::{Arc, atomic::Ordering};

use futures_util::future::join_all;
use levada_catalog::{
    Command, INDEX_ENTRY_BYTES, IndexEntry, Partition, Reply, State, TopicConfig,
    command::{IndexRun, SpillIndex},
};
use levada_env::{Pace, port::Urgency};
use levada_model::{Offset, PartitionId};
use levada_sequencer::Proposal;

use crate::{
    AppendError, Engine, ReadError,
    engine::Inner,
    index_run,
    metrics::add,
    run_cache::RunEntries,
    walk::{self, Place},
};

/// Partitions whose log starts move in one command: it is applied in one go, and the producers'
/// commits wait for it.
const MOVES_MAX: usize = 128;
/// Partitions that spill at once and share their syncs.
const SPILLS_AT_ONCE: usize = 64;
/// Index entries that a partition keeps however short memory is: fewer would win nothing over the
/// run that names them.
const INDEX_TAIL_ENTRIES_MIN: usize = 64;
/// Index entries of one run, at most: a reader far behind takes it whole into memory.
const RUN_ENTRIES_MAX: usize = 8192;

pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        let pause = inner
            .env
            .timeout(inner.settings.maintenance_interval, inner.stop.notified());
        let _ = pause.await;
        if inner.is_closing() {
            return;
        }
        inner.maintain().await;
    }
}

/// What one look found to do.
#[derive(Default)]
struct Work {
    moves: Vec<(PartitionId, Offset)>,
    spills: Vec<PartitionId>,
    /// Index entries that stay in memory if nothing of it is done.
    entries: usize,
}

impl Engine {
    /// One round of retention, spilling and release, now instead of at the next interval.
    pub async fn maintain(&self) {
        self.inner.maintain().await;
    }
}

impl Inner {
    pub async fn maintain(&self) {
        while self.go_over_partitions().await {}
        let now_ms = self.env.now_ms();
        self.sequencer.read(|state| self.queues.tidy(state, now_ms));
        self.release_dead_segments().await;
    }

    /// Retention and spilling, once over all partitions. Whether it has to be done again at once,
    /// with less for each partition: all of them hold more of the index in memory than they may.
    async fn go_over_partitions(&self) -> bool {
        let mut place = Some(Place::default());
        let mut entries = 0;
        let mut spills = Vec::new();
        let tail_max = self.index_tail_max.load(Ordering::Relaxed);
        let mut pace = Pace::new(&self.env);
        while let Some(from) = place {
            let now_ms = self.env.now_ms();
            let look = |state: &State| look(state, &from, now_ms, tail_max);
            let (work, next) = self.sequencer.read(look);
            place = next;
            entries += work.entries;
            spills.extend(work.spills);
            self.advance(work.moves, &mut pace).await;
            if spills.len() >= SPILLS_AT_ONCE || place.is_none() {
                self.spill_all(std::mem::take(&mut spills), tail_max).await;
            }
            // Appends and readers go first between two slices.
            pace.rest().await;
            if self.is_closing() {
                return false;
            }
        }
        let (now, again) = self.settle_tail_max(tail_max, entries);
        self.index_tail_max.store(now, Ordering::Relaxed);
        self.index_entries.store(entries, Ordering::Relaxed);
        again && !self.is_closing()
    }

    /// What a partition may keep from now on, and whether to go over all once more for it.
    fn settle_tail_max(&self, tail_max: usize, entries: usize) -> (usize, bool) {
        let entries_max = self.settings.index_bytes_max / INDEX_ENTRY_BYTES;
        let tail_min = INDEX_TAIL_ENTRIES_MIN.min(self.settings.index_tail_entries_max);
        if entries > entries_max && tail_max > tail_min {
            return ((tail_max / 2).max(tail_min), true);
        }
        // With room to spare, so that it does not go to and fro.
        match entries < entries_max / 4 {
            true => (
                (tail_max * 2).min(self.settings.index_tail_entries_max),
                false,
            ),
            false => (tail_max, false),
        }
    }

    async fn spill_all(&self, partitions: Vec<PartitionId>, tail_max: usize) {
        for some in partitions.chunks(SPILLS_AT_ONCE) {
            let spilled = some.iter().map(|id| self.spill(*id, tail_max / 2));
            for (partition, outcome) in some.iter().zip(join_all(spilled).await) {
                if let Err(error) = outcome {
                    tracing::warn!(%error, %partition, "index entries were not spilled; tried again later");
                }
            }
        }
    }

    async fn advance(&self, moves: Vec<(PartitionId, Offset)>, pace: &mut Pace) {
        for moves in moves.chunks(MOVES_MAX) {
            let command = Command::AdvanceLogStart {
                moves: moves.to_vec(),
            };
            match self.sequencer.propose(command, Urgency::Reclaim).await {
                Ok(_) => add(&self.metrics.retention_moves, moves.len() as u64),
                Err(error) => {
                    tracing::warn!(%error, "retention could not move log starts; tried again later");
                }
            }
            // The wait for the log counts as work: applying is a part of it.
            pace.rest().await;
        }
    }

    /// Moves a partition's older index entries into stored runs, all but `keep`.
    async fn spill(&self, id: PartitionId, keep: usize) -> Result<(), AppendError> {
        while self.spill_run(id, keep).await? {}
        Ok(())
    }

    /// The oldest of them into one run. Whether there are more.
    async fn spill_run(&self, id: PartitionId, keep: usize) -> Result<bool, AppendError> {
        let (entries, left): (Vec<IndexEntry>, usize) = self.sequencer.read(|state| {
            let Some(partition) = state.partition(id) else {
                return (Vec::new(), 0);
            };
            let all = partition.tail_len().saturating_sub(keep);
            let count = all.min(RUN_ENTRIES_MAX);
            let from = partition
                .runs()
                .last()
                .map_or(partition.log_start(), |run| run.end);
            let entries = partition.entries_from(from).take(count).collect();
            (entries, all - count)
        });
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(false);
        };
        let bytes = bytes::Bytes::from(index_run::encode(&entries));
        let (extent, ticket) = self.stage(vec![bytes], Urgency::Reclaim, false)?;
        let run = IndexRun {
            first: first.base,
            end: last.end(),
            max_timestamp_ms: entries
                .iter()
                .map(|e| e.max_timestamp_ms)
                .max()
                .unwrap_or(-1),
            data_bytes: entries.iter().map(|e| u64::from(e.extent.length)).sum(),
            extent,
        };
        let answer = self.sequencer.submit(Proposal {
            command: Command::SpillIndex(SpillIndex { partition: id, run }),
            tickets: vec![ticket],
            urgency: Urgency::Reclaim,
        });
        let answer = answer.await;
        self.staged.settled(extent.segment);
        match answer? {
            // Refused: the partition was deleted or trimmed in between, the run is not needed.
            Reply::Index(outcome) => Ok(outcome.is_ok() && left > 0),
            other => unreachable!("a spill is answered as such, not by {other:?}"),
        }
    }

    /// The entries of a spilled run from the one that holds `from` on.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] when the run cannot be read.
    pub async fn run_entries(&self, run: &IndexRun, from: Offset) -> Result<RunEntries, ReadError> {
        if let Some(known) = self.runs.find(run.extent) {
            return Ok(RunEntries::of(known, from));
        }
        add(&self.metrics.journal_reads, 1);
        let bytes = self.journal.read(run.extent).await?;
        let entries = index_run::decode(&bytes).map_err(|e| ReadError::Corrupt(e.to_string()))?;
        let entries: Arc<[IndexEntry]> = entries.into();
        self.runs.keep(run.extent, Arc::clone(&entries));
        Ok(RunEntries::of(entries, from))
    }

    /// Deletes segments that nothing names. The newest is still being written, and one with staged
    /// bytes is about to be named: both stay.
    async fn release_dead_segments(&self) {
        let mut stored = match self.journal.list().await {
            Ok(stored) => stored,
            Err(error) => return tracing::warn!(%error, "segments could not be listed"),
        };
        stored.pop();
        self.rewrite(&stored).await;
        for segment in stored.into_iter().map(|stored| stored.segment) {
            let quiet = self.staged.is_quiet(segment);
            let named = self
                .sequencer
                .read(|state| state.segment(segment).is_some());
            if !quiet || named {
                continue;
            }
            match self.journal.delete(segment).await {
                Ok(()) => add(&self.metrics.segments_released, 1),
                Err(error) => {
                    tracing::warn!(%error, %segment, "a segment was not released; tried again later")
                }
            }
        }
        if self.sequencer.waits_for_a_command() {
            // On a full disk nothing else may come that begins the snapshot.
            let nothing = Command::AdvanceLogStart { moves: Vec::new() };
            if let Err(error) = self.sequencer.propose(nothing, Urgency::Reclaim).await {
                tracing::warn!(%error, "no snapshot that makes room; tried again later");
            }
        }
    }
}

/// Looks at a slice of the partitions; gives the work and where to go on.
fn look(state: &State, from: &Place, now_ms: i64, tail_max: usize) -> (Work, Option<Place>) {
    let mut work = Work::default();
    let next = walk::visit(state, from, |topic, id, partition| {
        let start = retained_from(partition, &topic.config, now_ms);
        if start > partition.log_start() {
            work.moves.push((id, start));
        } else if partition.tail_len() > tail_max {
            work.spills.push(id);
            work.entries += tail_max / 2;
        } else {
            work.entries += partition.tail_len();
        }
    });
    (work, next)
}

/// The oldest offset that retention by time and by size lets stay. Whole index entries go, so a
/// record stays a little longer than it must, never shorter.
fn retained_from(partition: &Partition, config: &TopicConfig, now_ms: i64) -> Offset {
    let mut start = partition.log_start();
    if !config.deletes {
        return start;
    }
    let mut bytes = partition.live_bytes();
    let goes = |time_ms: i64, bytes: u64, length: u64| {
        let old = config
            .retention_ms
            .is_some_and(|keep| time_ms >= 0 && now_ms.saturating_sub(time_ms) > keep);
        let over = config
            .retention_bytes
            .is_some_and(|keep| bytes.saturating_sub(length) >= keep);
        old || over
    };
    for run in partition.runs() {
        if !goes(run.max_timestamp_ms, bytes, run.data_bytes) {
            return start;
        }
        bytes = bytes.saturating_sub(run.data_bytes);
        start = run.end;
    }
    for entry in partition.entries_from(start) {
        let time_ms = entry.append_time_ms.unwrap_or(entry.max_timestamp_ms);
        let length = u64::from(entry.extent.length);
        if !goes(time_ms, bytes, length) {
            break;
        }
        bytes = bytes.saturating_sub(length);
        start = entry.end();
    }
    start
}
