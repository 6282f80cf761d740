//! Commits without producers: offsets, times, index entries, bytes of segments.

use levada_catalog::command::CommitBatch;
use levada_catalog::{BatchRefusal, BatchResult, Command, Effect, Found};
use levada_model::{Offset, PartitionId, SegmentId};

use crate::support::{Cell, START_MS, base_of, batch, extent, refusal, topic_id};

const P0: PartitionId = PartitionId(0);
const P1: PartitionId = PartitionId(1);

fn at_time(mut batch: CommitBatch, time_ms: i64) -> CommitBatch {
    batch.max_timestamp_ms = time_ms;
    batch
}

#[test]
fn offsets_are_contiguous_in_each_partition() {
    let mut cell = Cell::with_topic(2, &[]);
    let batches = vec![batch(P0, 3), batch(P1, 1), batch(P0, 2)];
    let bases: Vec<_> = cell.commit(batches).into_iter().map(base_of).collect();
    assert_eq!(bases, [0, 0, 3]);
    assert_eq!(base_of(cell.commit_one(batch(P0, 1))), 5);
    assert_eq!(cell.partition(P0).high_watermark(), Offset(6));
}

#[test]
fn a_commit_tells_each_partition_that_grew_once() {
    let mut cell = Cell::with_topic(2, &[]);
    cell.commit(vec![batch(P1, 1), batch(P0, 1), batch(P1, 1)]);
    let moved = |partition, to| Effect::HighWatermark {
        partition,
        to: Offset(to),
    };
    assert_eq!(cell.effects, [moved(P0, 1), moved(P1, 2)]);
}

#[test]
fn a_batch_of_an_unknown_partition_is_refused_and_the_others_are_taken() {
    let mut cell = Cell::with_topic(1, &[]);
    let results = cell.commit_at(3, 0, vec![batch(PartitionId(9), 1), batch(P0, 1)]);
    assert_eq!(refusal(results[0]), BatchRefusal::UnknownPartition);
    assert_eq!(base_of(results[1]), 0);
    let used = cell.state.segment(SegmentId(3)).unwrap();
    assert_eq!((used.live_bytes, used.written_bytes), (100, 200));
}

#[test]
fn a_segment_of_which_nothing_was_taken_is_reported_dead() {
    let mut cell = Cell::with_topic(1, &[]);
    cell.commit_at(3, 0, vec![batch(PartitionId(9), 1)]);
    assert_eq!(cell.effects, [Effect::SegmentDead(SegmentId(3))]);
    assert_eq!(cell.state.segments().count(), 0);
}

#[test]
fn adjacent_batches_of_one_commit_become_one_entry() {
    let mut cell = Cell::with_topic(2, &[]);
    let batches = vec![
        at_time(batch(P0, 1), 5),
        at_time(batch(P0, 2), 9),
        batch(P1, 1),
        batch(P0, 4),
    ];
    cell.commit_at(7, 1000, batches);
    let entries = cell.entries(P0);
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].extent, extent(7, 1000, 300));
    assert_eq!(entries[0].offset_count, 3);
    assert_eq!(entries[0].max_timestamp_ms, 9);
    assert_eq!(entries[1].base, Offset(3));
    assert_eq!(entries[1].extent, extent(7, 1400, 400));
}

#[test]
fn batches_of_two_commits_or_with_a_gap_stay_apart() {
    let mut cell = Cell::with_topic(1, &[]);
    cell.commit_at(7, 0, vec![batch(P0, 1)]);
    cell.commit_at(7, 100, vec![batch(P0, 1)]);
    let apart = |position| CommitBatch {
        position,
        ..batch(P0, 1)
    };
    cell.apply(&Command::Commit(levada_catalog::command::Commit {
        segment: SegmentId(7),
        batches: vec![apart(300), apart(500)],
        queued: Vec::new(),
    }));
    assert_eq!(cell.entries(P0).len(), 4);
}

#[test]
fn joined_entries_stay_under_a_mebibyte() {
    let mut cell = Cell::with_topic(1, &[]);
    let half = CommitBatch {
        length: 512 * 1024,
        ..batch(P0, 1)
    };
    cell.commit(vec![half, half, half]);
    let lengths: Vec<_> = (cell.entries(P0).iter())
        .map(|one| one.extent.length)
        .collect();
    assert_eq!(lengths, [1024 * 1024, 512 * 1024]);
}

#[test]
fn log_append_time_is_the_time_of_the_commit_from_the_alteration_on() {
    let mut cell = Cell::with_topic(1, &[("message.timestamp.type", "LogAppendTime")]);
    cell.now_ms = START_MS + 50;
    let result = cell.commit_one(at_time(batch(P0, 1), 3));
    let expected = BatchResult::Appended {
        base: Offset(0),
        log_start: Offset(0),
        append_time_ms: Some(START_MS + 50),
    };
    assert_eq!(result, expected);
    assert_eq!(cell.entries(P0)[0].append_time_ms, Some(START_MS + 50));
    assert_eq!(cell.entries(P0)[0].max_timestamp_ms, START_MS + 50);
    let changes = vec![("message.timestamp.type".to_owned(), None)];
    let topic = topic_id(1);
    cell.topic(&Command::AlterTopic { topic, changes }).unwrap();
    cell.commit_one(at_time(batch(P0, 1), 3));
    assert_eq!(cell.entries(P0)[1].append_time_ms, None);
    assert_eq!(cell.entries(P0)[1].max_timestamp_ms, 3);
}

#[test]
fn an_offset_is_found_in_the_entry_that_contains_it() {
    let mut cell = Cell::with_topic(1, &[]);
    cell.commit_at(1, 0, vec![batch(P0, 3)]);
    cell.commit_at(2, 0, vec![batch(P0, 2)]);
    let found = |cell: &Cell, offset| match cell.partition(P0).find(Offset(offset)) {
        Found::Entry(entry) => entry.base.0,
        other => panic!("{offset}: {other:?}"),
    };
    assert_eq!([0, 2, 3, 4].map(|at| found(&cell, at)), [0, 0, 3, 3]);
    assert_eq!(cell.partition(P0).find(Offset(5)), Found::End);
    assert_eq!(cell.partition(P0).find(Offset(-1)), Found::Below);
    let from: Vec<_> = cell.partition(P0).entries_from(Offset(4)).collect();
    assert_eq!(from.len(), 1);
    assert_eq!(from[0].base, Offset(3));
}

#[test]
fn times_are_found_in_the_oldest_entry_that_reaches_them() {
    let mut cell = Cell::with_topic(1, &[]);
    assert_eq!(cell.partition(P0).entry_with_max_timestamp(), Found::End);
    for (segment, time_ms) in [(1, 10), (2, 30), (3, 20), (4, 30)] {
        cell.commit_at(segment, 0, vec![at_time(batch(P0, 1), time_ms)]);
    }
    let base = |found| match found {
        Found::Entry(entry) => Some(entry.base.0),
        _ => None,
    };
    let partition = cell.partition(P0);
    let at = |time_ms| base(partition.entry_at_or_after_time(time_ms));
    assert_eq!(
        [5, 10, 11, 30, 31].map(at),
        [Some(0), Some(0), Some(1), Some(1), None]
    );
    assert_eq!(base(partition.entry_with_max_timestamp()), Some(1));
}

#[test]
fn producer_ids_are_given_once() {
    let mut cell = Cell::new();
    let first = cell.apply(&Command::AllocateProducer);
    assert_ne!(first, cell.apply(&Command::AllocateProducer));
}
