//! The way out: which extents hold the offsets asked for, the wait for more, the batches.

use std::time::Duration;

use levada_catalog::{Found, IndexEntry, State, command::IndexRun};
use levada_model::{Epoch, Extent, Offset, PartitionId};

use crate::{
    Engine, ReadError, ReadPartition, ReadRequest, ReadSlice, TopicRef,
    engine::Inner,
    metrics::add,
    read_ahead::ReadAhead,
    run_cache::RunEntries,
    slices::{BatchWalk, Overlay},
    source::Fetched,
};

/// Entries that one partition's read looks at, at most.
const ENTRIES_MAX: usize = 1024;

/// What one partition of a read will give.
struct Plan {
    partition: PartitionId,
    log_start: Offset,
    high_watermark: Offset,
    offset: Offset,
    bytes_max: usize,
    entries: Vec<IndexEntry>,
    /// The offset is older than what the state keeps: the entries stand in this run, not here.
    run: Option<IndexRun>,
}

impl Plan {
    /// An upper bound of the bytes that it gives.
    fn bytes(&self) -> usize {
        let entries: usize = self.entries.iter().map(|e| e.extent.length as usize).sum();
        let run = self.run.as_ref().map_or(0, |run| run.data_bytes as usize);
        (entries + run).min(self.bytes_max.max(1))
    }
}

type Plans = Vec<Result<Plan, ReadError>>;

impl Engine {
    /// Reads whole batches, one result a partition in the order asked. Answers as soon as
    /// `min_bytes` are there, something is wrong, or `max_wait` is over.
    pub async fn read(&self, request: ReadRequest) -> Vec<Result<ReadSlice, ReadError>> {
        self.inner.read(request).await
    }
}

fn is_enough(plans: &Plans, min_bytes: usize) -> bool {
    plans.is_empty()
        || plans.iter().any(Result::is_err)
        || plans.iter().flatten().map(Plan::bytes).sum::<usize>() >= min_bytes
}

/// Where the batches of a slice go, and how far.
struct Slicing<'a> {
    plan: &'a Plan,
    limit: usize,
    must: bool,
    slice: &'a mut ReadSlice,
    bytes: &'a mut usize,
}

impl Inner {
    /// As [`Engine::read`].
    pub async fn read(&self, request: ReadRequest) -> Vec<Result<ReadSlice, ReadError>> {
        let deadline = self.env.monotonic() + request.max_wait;
        let mut plans = self.plan(&request);
        while !is_enough(&plans, request.min_bytes) && !self.is_draining() {
            let left = deadline.saturating_sub(self.env.monotonic());
            if left.is_zero() {
                break;
            }
            plans = self.wait_for_more(&request, &plans, left).await;
        }
        self.fulfil(plans, request.max_bytes).await
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn plan(&self, request: &ReadRequest) -> Plans {
        self.sequencer.read(|state| {
            let mut left = request.max_bytes;
            let mut plans = Vec::with_capacity(request.partitions.len());
            for wanted in &request.partitions {
                let plan = plan_partition(state, wanted, left);
                if let Ok(plan) = &plan {
                    left = left.saturating_sub(plan.bytes());
                }
                plans.push(plan);
            }
            plans
        })
    }

    /// Waits until one of the partitions changes or the time is up, and plans again.
    async fn wait_for_more(&self, request: &ReadRequest, plans: &Plans, left: Duration) -> Plans {
        let partitions = plans.iter().flatten().map(|plan| plan.partition).collect();
        let watch = self.watchers.watch(partitions);
        // What came between the plan and the watch would wake nobody.
        let plans = self.plan(request);
        if is_enough(&plans, request.min_bytes) || self.is_draining() {
            return plans;
        }
        let _ = self.env.timeout(left, watch.changed()).await;
        self.plan(request)
    }

    async fn fulfil(&self, plans: Plans, bytes_max: usize) -> Vec<Result<ReadSlice, ReadError>> {
        let mut left = bytes_max;
        let mut first = true;
        let mut overlay = Overlay::default();
        let mut results = Vec::with_capacity(plans.len());
        for plan in plans {
            let slice = match plan {
                Ok(plan) => self.slice(&plan, left, first, &mut overlay).await,
                Err(error) => Err(error),
            };
            if let Ok(slice) = &slice {
                let bytes = slice.bytes();
                left = left.saturating_sub(bytes);
                first &= bytes == 0;
                add(&self.metrics.bytes_out, bytes as u64);
            }
            results.push(slice);
        }
        results
    }

    /// Batches of one partition. `must`: the first batch is given even when it is over the limit,
    /// so that a reader always gets on.
    async fn slice(
        &self,
        plan: &Plan,
        left: usize,
        must: bool,
        overlay: &mut Overlay,
    ) -> Result<ReadSlice, ReadError> {
        let mut slice = ReadSlice {
            high_watermark: plan.high_watermark,
            log_start: plan.log_start,
            pieces: Vec::new(),
            is_stored: true,
        };
        let limit = left.min(plan.bytes_max);
        let spilled = match &plan.run {
            Some(run) => match self.run_entries(run, plan.offset).await {
                Ok(entries) => entries,
                Err(error) => {
                    let error = self.reconsider(plan, plan.offset, None, error);
                    self.note_damage(plan, (run.first, run.end), run.extent, &error);
                    return Err(error);
                }
            },
            None => RunEntries::default(),
        };
        let entries: &[IndexEntry] = match plan.run {
            Some(_) => &spilled,
            None => &plan.entries,
        };
        let mut ahead = ReadAhead::new(self, entries, limit);
        let mut bytes = 0;
        for (at, entry) in entries.iter().enumerate() {
            if bytes >= limit && !(must && bytes == 0) {
                break;
            }
            let sliced = match ahead.entry_bytes(at, entry).await {
                Ok(fetched) => {
                    let mut out = Slicing {
                        plan,
                        limit,
                        must,
                        slice: &mut slice,
                        bytes: &mut bytes,
                    };
                    self.slice_entry(entry, fetched, overlay, &mut out)
                }
                Err(error) => Err(error),
            };
            match sliced {
                Ok(true) => {}
                Ok(false) => break,
                // What was read before the damage is good; the next read meets the damage first.
                Err(_) if bytes > 0 => break,
                Err(error) => {
                    let at = entry.base.max(plan.offset);
                    let error = self.reconsider(plan, at, Some(entry), error);
                    self.note_damage(plan, (entry.base, entry.end()), entry.extent, &error);
                    return Err(error);
                }
            }
        }
        Ok(slice)
    }

    /// An extent that cannot be read may be one that retention or rewriting has just let go: then
    /// that is the answer, and not damage.
    /// Without an entry it is the plan's run that could not be read.
    fn reconsider(
        &self,
        plan: &Plan,
        at: Offset,
        entry: Option<&IndexEntry>,
        error: ReadError,
    ) -> ReadError {
        self.sequencer.read(|state| {
            let Some(partition) = state.partition(plan.partition) else {
                return ReadError::UnknownPartition;
            };
            if plan.offset < partition.log_start() {
                return ReadError::OffsetOutOfRange {
                    log_start: partition.log_start(),
                    high_watermark: partition.high_watermark(),
                };
            }
            let run_extent = plan.run.map(|run| run.extent);
            match partition.find(at) {
                Found::Entry(now) if entry.is_some_and(|was| was.extent == now.extent) => error,
                Found::Run(now) if run_extent == Some(now.extent) => error,
                _ => ReadError::Storage("the records have just moved".into()),
            }
        })
    }

    /// Tells a person, once for each place: readers come back again and again.
    fn note_damage(&self, plan: &Plan, offsets: (Offset, Offset), at: Extent, error: &ReadError) {
        let ReadError::Corrupt(why) = error else {
            return;
        };
        if !self.damage.is_new(at) {
            return;
        }
        add(&self.metrics.places_damaged, 1);
        let (topic, partition) = self.sequencer.read(|state| {
            let partition = state.partition(plan.partition);
            let topic = partition.and_then(|partition| state.topic(partition.topic()));
            (
                topic
                    .map(|topic| topic.name.to_string())
                    .unwrap_or_default(),
                partition.map_or(-1, |partition| partition.index()),
            )
        });
        tracing::error!(
            topic,
            partition,
            first_offset = offsets.0.0,
            last_offset = offsets.1.0 - 1,
            segment = at.segment.0,
            position = at.position,
            why,
            "stored records are damaged and not served; `levada doctor --data DIR` on the stopped \
             service tells all, docs/restore.md what to do"
        );
    }

    /// Adds an entry's batches; `false` once the limit is reached.
    fn slice_entry(
        &self,
        entry: &IndexEntry,
        fetched: Fetched,
        overlay: &mut Overlay,
        out: &mut Slicing<'_>,
    ) -> Result<bool, ReadError> {
        for stored in BatchWalk::new(entry, fetched.pieces) {
            let stored = stored?;
            if stored.end() <= out.plan.offset {
                continue;
            }
            let over = *out.bytes + stored.bytes.len() > out.limit;
            if over && !(out.must && *out.bytes == 0) {
                return Ok(false);
            }
            out.slice.pieces.extend(overlay.pieces(&stored)?);
            *out.bytes += stored.bytes.len();
            if fetched.tail {
                out.slice.is_stored = false;
                add(&self.metrics.bytes_out_tail, stored.bytes.len() as u64);
            }
        }
        Ok(true)
    }
}

fn plan_partition(state: &State, wanted: &ReadPartition, left: usize) -> Result<Plan, ReadError> {
    let id = resolve(state, &wanted.topic, wanted.partition)?;
    check_epoch(wanted.leader_epoch)?;
    let partition = state.partition(id).ok_or(ReadError::UnknownPartition)?;
    let mut plan = Plan {
        partition: id,
        log_start: partition.log_start(),
        high_watermark: partition.high_watermark(),
        offset: wanted.offset,
        bytes_max: wanted.max_bytes,
        entries: Vec::new(),
        run: None,
    };
    let out_of_range = ReadError::OffsetOutOfRange {
        log_start: plan.log_start,
        high_watermark: plan.high_watermark,
    };
    if wanted.offset < plan.log_start || wanted.offset > plan.high_watermark {
        return Err(out_of_range);
    }
    match partition.find(wanted.offset) {
        Found::Below => return Err(out_of_range),
        Found::End => {}
        Found::Run(run) => plan.run = Some(run),
        Found::Entry(_) => {
            let mut bytes = 0;
            let limit = left.min(plan.bytes_max);
            for entry in partition.entries_from(wanted.offset).take(ENTRIES_MAX) {
                bytes += entry.extent.length as usize;
                plan.entries.push(entry);
                if bytes >= limit {
                    break;
                }
            }
        }
    }
    Ok(plan)
}

/// The leader epoch never changes, so a client either knows it or has it from elsewhere.
pub(crate) fn check_epoch(epoch: i32) -> Result<(), ReadError> {
    match epoch {
        -1 => Ok(()),
        known if known == Epoch::ONLY.0 => Ok(()),
        newer if newer > Epoch::ONLY.0 => Err(ReadError::UnknownEpoch),
        _ => Err(ReadError::FencedEpoch),
    }
}

pub(crate) fn resolve(
    state: &State,
    topic: &TopicRef,
    partition: i32,
) -> Result<PartitionId, ReadError> {
    let topic = match topic {
        TopicRef::Name(name) => state.topic_named(name).ok_or(ReadError::UnknownTopic)?,
        TopicRef::Id(id) => state.topic(*id).ok_or(ReadError::UnknownTopicId)?,
    };
    topic
        .partition(partition)
        .ok_or(ReadError::UnknownPartition)
}
