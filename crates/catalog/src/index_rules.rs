//! Rules for what is stored already: log starts, spilled runs, bytes that move.
//!
//! A run's batches lie in many segments. `apply` knows them when it spills, from the tail entries,
//! and keeps the sum by segment beside the run; whoever replaces runs later must name the sums.

use std::collections::BTreeMap;

use levada_model::{Offset, PartitionId, SegmentId};

use crate::command::{ExtentMove, IndexRun, ReplaceRuns, SegmentBytes, SpillIndex};
use crate::partitions::{Index, TailEntry};
use crate::reply::{Effect, IndexRefusal};
use crate::state::State;

impl State {
    /// Moves log starts forward; entries and runs wholly below go, one partly below stays whole.
    pub(crate) fn advance_log_starts(
        &mut self,
        moves: &[(PartitionId, Offset)],
        effects: &mut Vec<Effect>,
    ) -> Vec<Option<Offset>> {
        let mut starts = Vec::with_capacity(moves.len());
        for (id, to) in moves {
            starts.push(self.advance_log_start(*id, *to, effects));
        }
        starts
    }

    fn advance_log_start(
        &mut self,
        id: PartitionId,
        to: Offset,
        effects: &mut Vec<Effect>,
    ) -> Option<Offset> {
        let partition = self.partitions.get_mut(id)?;
        let to = to.0.min(partition.high_watermark);
        if to <= partition.log_start {
            return Some(partition.log_start());
        }
        partition.save(id, &mut self.saver);
        partition.log_start = to;
        let mut gone = 0;
        if let Some(index) = &mut partition.index {
            let runs = index.runs.partition_point(|run| run.end.0 <= to);
            for (run, segments) in index
                .runs
                .drain(..runs)
                .zip(index.run_segments.drain(..runs))
            {
                gone += run.data_bytes;
                self.segments
                    .release_run(&run, &segments, &mut self.saver, effects);
            }
            while let Some(entry) = index.tail.front().filter(|entry| entry.end() <= to) {
                gone += u64::from(entry.length);
                self.segments
                    .release_extent(entry.extent(), &mut self.saver, effects);
                index.tail.pop_front();
            }
            index.shrink();
            if index.is_empty() {
                partition.index = None;
            }
        }
        partition.live_bytes = partition.live_bytes.saturating_sub(gone);
        let to = Offset(to);
        effects.push(Effect::LogStart { partition: id, to });
        Some(to)
    }

    /// Removes a partition and gives back all that it holds.
    pub(crate) fn drop_partition(&mut self, id: PartitionId, effects: &mut Vec<Effect>) {
        if let Some(partition) = self.partitions.get_mut(id) {
            partition.save(id, &mut self.saver);
        }
        let Some(partition) = self.partitions.remove(id) else {
            return;
        };
        let Some(index) = partition.index else {
            return;
        };
        for (run, segments) in index.runs.iter().zip(&index.run_segments) {
            self.segments
                .release_run(run, segments, &mut self.saver, effects);
        }
        for entry in &index.tail {
            self.segments
                .release_extent(entry.extent(), &mut self.saver, effects);
        }
    }

    /// Replaces the oldest entries of the tail, exactly those that the run covers.
    pub(crate) fn spill_index(
        &mut self,
        spill: &SpillIndex,
        effects: &mut Vec<Effect>,
    ) -> Result<(), IndexRefusal> {
        let outcome = self.try_spill(spill);
        if outcome.is_err() {
            let named = [spill.run.extent.segment].into_iter();
            self.segments.report_unused(named, effects);
        }
        outcome
    }

    fn try_spill(&mut self, spill: &SpillIndex) -> Result<(), IndexRefusal> {
        let run = spill.run;
        let partition = self.partitions.get_mut(spill.partition);
        let partition = partition.ok_or(IndexRefusal::UnknownPartition)?;
        let index = partition.index.as_ref().ok_or(IndexRefusal::Changed)?;
        let (count, segments) = covered(index, &run).ok_or(IndexRefusal::Changed)?;
        partition.save(spill.partition, &mut self.saver);
        let index = partition.index_mut();
        index.tail.drain(..count);
        index.runs.push(run);
        index.run_segments.push(segments);
        index.shrink();
        self.segments.add_extent(run.extent, &mut self.saver);
        Ok(())
    }

    /// Replaces adjacent runs by one over the same offsets: merged, or with its batches elsewhere.
    pub(crate) fn replace_runs(
        &mut self,
        replace: &ReplaceRuns,
        effects: &mut Vec<Effect>,
    ) -> Result<(), IndexRefusal> {
        let outcome = self.try_replace(replace, effects);
        if outcome.is_err() {
            let named = replace.segments.iter().map(|row| row.segment);
            let named = named.chain([replace.run.extent.segment]);
            self.segments.report_unused(named, effects);
        }
        outcome
    }

    fn try_replace(
        &mut self,
        replace: &ReplaceRuns,
        effects: &mut Vec<Effect>,
    ) -> Result<(), IndexRefusal> {
        let run = replace.run;
        let partition = self.partitions.get_mut(replace.partition);
        let partition = partition.ok_or(IndexRefusal::UnknownPartition)?;
        let index = partition.index.as_ref().ok_or(IndexRefusal::Changed)?;
        let old = located(index, replace).ok_or(IndexRefusal::Changed)?;
        let segments = total_by_segment(replace, &index.runs[old.clone()])?;
        partition.save(replace.partition, &mut self.saver);
        let index = partition.index_mut();
        let gone: Vec<_> = index.runs.splice(old.clone(), [run]).collect();
        let held: Vec<_> = (index.run_segments)
            .splice(old, [segments.clone()])
            .collect();
        index.shrink();
        let held = held.iter().flatten().map(|row| (row.segment, row.bytes));
        self.exchange(&by_segment(held), &segments, effects);
        self.segments.add_extent(run.extent, &mut self.saver);
        for run in gone {
            self.segments
                .release_extent(run.extent, &mut self.saver, effects);
        }
        Ok(())
    }

    /// Counts what the new sums have more, then gives back what they have less.
    fn exchange(&mut self, old: &[SegmentBytes], new: &[SegmentBytes], effects: &mut Vec<Effect>) {
        let bytes_in = |rows: &[SegmentBytes], segment: SegmentId| {
            let at = rows.binary_search_by_key(&segment, |row| row.segment);
            at.ok()
                .and_then(|at| rows.get(at))
                .map_or(0, |row| row.bytes)
        };
        for row in new {
            let bytes = row.bytes.saturating_sub(bytes_in(old, row.segment));
            self.segments
                .add(row.segment, bytes, bytes, &mut self.saver);
        }
        for row in old {
            let bytes = row.bytes.saturating_sub(bytes_in(new, row.segment));
            self.segments
                .release(row.segment, bytes, &mut self.saver, effects);
        }
    }

    /// One answer a move: whether it was taken. A move that came too late changes nothing.
    pub(crate) fn move_extents(
        &mut self,
        moves: &[ExtentMove],
        effects: &mut Vec<Effect>,
    ) -> Vec<bool> {
        let mut taken = Vec::with_capacity(moves.len());
        for one in moves {
            taken.push(self.move_extent(one, effects));
        }
        let refused = moves.iter().zip(&taken).filter(|(_, taken)| !**taken);
        let named = refused.map(|(one, _)| one.to.segment);
        self.segments.report_unused(named, effects);
        taken
    }

    fn move_extent(&mut self, one: &ExtentMove, effects: &mut Vec<Effect>) -> bool {
        let Some(partition) = self.partitions.get_mut(one.partition) else {
            return false;
        };
        let place = (partition.index.as_ref()).and_then(|index| place_of(index, one));
        let Some(place) = place.filter(|_| one.from.length == one.to.length) else {
            return false;
        };
        partition.save(one.partition, &mut self.saver);
        let index = partition.index_mut();
        match place {
            Place::Tail(at) => {
                if let Some(entry) = index.tail.get_mut(at) {
                    entry.segment = one.to.segment.0;
                    entry.position = one.to.position;
                }
            }
            Place::Run(at) => {
                if let Some(run) = index.runs.get_mut(at) {
                    run.extent = one.to;
                }
            }
        }
        self.segments.add_extent(one.to, &mut self.saver);
        self.segments
            .release_extent(one.from, &mut self.saver, effects);
        true
    }
}

enum Place {
    Tail(usize),
    Run(usize),
}

/// The entry, or the run itself, that a move names: by its first offset and where it lies now.
fn place_of(index: &Index, one: &ExtentMove) -> Option<Place> {
    let at = index.tail.partition_point(|entry| entry.base < one.base.0);
    let named = |entry: &&TailEntry| entry.base == one.base.0 && entry.extent() == one.from;
    if index.tail.get(at).filter(named).is_some() {
        return Some(Place::Tail(at));
    }
    let at = index.runs.partition_point(|run| run.first < one.base);
    let named = |run: &&IndexRun| run.first == one.base && run.extent == one.from;
    index.runs.get(at).filter(named).map(|_| Place::Run(at))
}

/// How many of the oldest entries the run covers, and where their bytes lie; `None` unless the run
/// says of them exactly what is true.
fn covered(index: &Index, run: &IndexRun) -> Option<(usize, Box<[SegmentBytes]>)> {
    let count = index.tail.partition_point(|entry| entry.end() <= run.end.0);
    let entries = || index.tail.range(..count);
    let first = entries().next()?.base;
    let end = entries().next_back()?.end();
    let bytes: u64 = entries().map(|entry| u64::from(entry.length)).sum();
    let time = entries().map(|entry| entry.max_timestamp_ms).max()?;
    let exact = run.first.0 == first
        && run.end.0 == end
        && run.data_bytes == bytes
        && run.max_timestamp_ms == time;
    let parts = entries().map(|entry| (entry.extent().segment, u64::from(entry.length)));
    exact.then(|| (count, by_segment(parts)))
}

/// Sums by segment, in the order of the segments.
fn by_segment(parts: impl Iterator<Item = (SegmentId, u64)>) -> Box<[SegmentBytes]> {
    let mut sums = BTreeMap::<SegmentId, u64>::new();
    for (segment, bytes) in parts {
        *sums.entry(segment).or_default() += bytes;
    }
    let row = |(segment, bytes)| SegmentBytes { segment, bytes };
    sums.into_iter().map(row).collect()
}

/// Where the old runs stand, if they are all there and the new one covers the same offsets.
fn located(index: &Index, replace: &ReplaceRuns) -> Option<std::ops::Range<usize>> {
    let from = (index.runs).partition_point(|run| run.first < replace.run.first);
    let found = index.runs.get(from..from.checked_add(replace.old.len())?)?;
    let same = found
        .iter()
        .map(|run| run.extent)
        .eq(replace.old.iter().copied());
    let exact = same
        && found.first()?.first == replace.run.first
        && found.last()?.end == replace.run.end
        && found.iter().map(|run| run.max_timestamp_ms).max()? == replace.run.max_timestamp_ms;
    exact.then_some(from..from + found.len())
}

/// The sums that a replacement names, if they add up to the bytes that the old runs name.
fn total_by_segment(
    replace: &ReplaceRuns,
    old: &[IndexRun],
) -> Result<Box<[SegmentBytes]>, IndexRefusal> {
    let named = replace
        .segments
        .iter()
        .try_fold(0u64, |sum, row| sum.checked_add(row.bytes));
    let held = old.iter().map(|run| run.data_bytes).sum::<u64>();
    if named != Some(held) || replace.run.data_bytes != held {
        return Err(IndexRefusal::Changed);
    }
    let used = replace.segments.iter().filter(|row| row.bytes > 0);
    Ok(by_segment(used.map(|row| (row.segment, row.bytes))))
}
