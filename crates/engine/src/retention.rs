//! What runs now and then: retention, spilling of old index entries, release of dead segments.

use std::sync::Arc;

use levada_catalog::{
    Command, IndexEntry, Partition, Reply, State, TopicConfig,
    command::{IndexRun, SpillIndex},
};
use levada_env::port::Urgency;
use levada_model::{Offset, PartitionId};
use levada_sequencer::Proposal;

use crate::{AppendError, Engine, ReadError, engine::Inner, index_run, metrics::add};

/// Partitions that one look under the state's lock covers.
const SLICE_PARTITIONS: usize = 512;
/// Partitions whose log starts move in one command.
const MOVES_MAX: usize = 1024;

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
}

impl Engine {
    /// One round of retention, spilling and release, now instead of at the next interval.
    pub async fn maintain(&self) {
        self.inner.maintain().await;
    }
}

impl Inner {
    pub async fn maintain(&self) {
        let mut after: Option<Arc<str>> = None;
        loop {
            let now_ms = self.env.now_ms();
            let tail_max = self.settings.index_tail_entries_max;
            let (work, next) = self
                .sequencer
                .read(|state| look(state, after.as_deref(), now_ms, tail_max));
            self.advance(work.moves).await;
            for partition in work.spills {
                if let Err(error) = self.spill(partition).await {
                    tracing::warn!(%error, %partition, "index entries were not spilled; tried again later");
                }
            }
            match next {
                Some(topic) => after = Some(topic),
                None => break,
            }
        }
        self.release_dead_segments().await;
    }

    async fn advance(&self, moves: Vec<(PartitionId, Offset)>) {
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
        }
    }

    /// Moves the older half of a partition's index entries into a stored run.
    async fn spill(&self, id: PartitionId) -> Result<(), AppendError> {
        let keep = self.settings.index_tail_entries_max / 2;
        let entries: Vec<IndexEntry> = self.sequencer.read(|state| {
            let Some(partition) = state.partition(id) else {
                return Vec::new();
            };
            let count = partition.tail_len().saturating_sub(keep);
            let from = partition
                .runs()
                .last()
                .map_or(partition.log_start(), |run| run.end);
            partition.entries_from(from).take(count).collect()
        });
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(());
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
            Reply::Index(_) => Ok(()),
            other => unreachable!("a spill is answered as such, not by {other:?}"),
        }
    }

    /// The entries of a spilled run from the one that holds `from` on.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] when the run cannot be read.
    pub async fn run_entries(
        &self,
        run: &IndexRun,
        from: Offset,
    ) -> Result<Vec<IndexEntry>, ReadError> {
        add(&self.metrics.journal_reads, 1);
        let bytes = self.journal.read(run.extent).await?;
        let mut entries =
            index_run::decode(&bytes).map_err(|e| ReadError::Corrupt(e.to_string()))?;
        entries.retain(|entry| entry.end() > from);
        Ok(entries)
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

/// Looks at the topics after `after`; gives the work and where to go on.
fn look(
    state: &State,
    after: Option<&str>,
    now_ms: i64,
    tail_max: usize,
) -> (Work, Option<Arc<str>>) {
    let mut work = Work::default();
    let mut seen = 0;
    for topic in state.topics_after(after) {
        for id in topic.partitions() {
            let Some(partition) = state.partition(id) else {
                continue;
            };
            let start = retained_from(partition, &topic.config, now_ms);
            if start > partition.log_start() {
                work.moves.push((id, start));
            } else if partition.tail_len() > tail_max {
                work.spills.push(id);
            }
            seen += 1;
        }
        if seen >= SLICE_PARTITIONS {
            return (work, Some(Arc::clone(&topic.name)));
        }
    }
    (work, None)
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
