//! Log starts, spilled runs, moved bytes, and what each leaves of the segments.

use levada_catalog::command::{IndexRun, ReplaceRuns, SegmentBytes};
use levada_catalog::{Command, Effect, Found, IndexRefusal, Partition, Reply};
use levada_model::{Offset, PartitionId, SegmentId};

use crate::support::{Cell, batch, create, extent, run_over, topic_id};

const P0: PartitionId = PartitionId(0);
const TAKEN: Reply = Reply::Index(Ok(()));
const CHANGED: Reply = Reply::Index(Err(IndexRefusal::Changed));

/// Partition 0 with six entries of two offsets, 200 bytes each, two in each of segments 1, 2, 3.
fn six_entries() -> Cell {
    let mut cell = Cell::with_topic(1, &[]);
    for at in 0..6 {
        cell.commit_at(1 + at / 2, at % 2 * 500, vec![batch(P0, 2)]);
    }
    cell.take_effects();
    cell
}

/// The same with its first `count` entries in a run that lies in segment 9.
fn spilled(count: usize) -> (Cell, IndexRun) {
    let mut cell = six_entries();
    let run = run_over(cell.partition(P0), count, extent(9, 0, 64));
    assert_eq!(cell.spill(P0, run), TAKEN);
    (cell, run)
}

/// Where the batches of the first run lie.
fn run_segments(partition: &Partition) -> &[SegmentBytes] {
    partition.runs_with_segments().next().expect("a run").1
}

fn dead(segment: u64) -> Effect {
    Effect::SegmentDead(SegmentId(segment))
}

fn log_start(to: i64) -> Effect {
    Effect::LogStart {
        partition: P0,
        to: Offset(to),
    }
}

#[test]
fn entries_wholly_below_the_log_start_go_and_a_partly_covered_one_stays() {
    let mut cell = six_entries();
    assert_eq!(cell.advance(P0, 5), Some(Offset(5)));
    assert_eq!(cell.effects, [dead(1), log_start(5)]);
    assert_eq!(cell.partition(P0).log_start(), Offset(5));
    assert_eq!(cell.entries(P0).len(), 4);
    assert_eq!(cell.partition(P0).find(Offset(4)), Found::Below);
    assert!(matches!(cell.partition(P0).find(Offset(5)), Found::Entry(entry) if entry.base.0 == 4));
    assert_eq!(cell.partition(P0).live_bytes(), 800);
}

#[test]
fn a_log_start_is_held_between_the_old_one_and_the_high_watermark() {
    let mut cell = six_entries();
    assert_eq!(cell.advance(P0, 99), Some(Offset(12)));
    assert_eq!(cell.effects, [dead(1), dead(2), dead(3), log_start(12)]);
    cell.take_effects();
    assert_eq!(cell.advance(P0, 3), Some(Offset(12)));
    assert_eq!(cell.advance(P0, -1), Some(Offset(12)));
    assert_eq!(cell.advance(PartitionId(8), 1), None);
    assert!(cell.effects.is_empty());
    assert_eq!(cell.partition(P0).live_bytes(), 0);
    assert_eq!(cell.partition(P0).tail_len(), 0);
    // Offsets go on where they were.
    let result = cell.commit_one(batch(P0, 1));
    assert_eq!(crate::support::base_of(result), 12);
}

#[test]
fn a_spilled_run_takes_the_place_of_the_oldest_entries() {
    let (cell, run) = spilled(3);
    let partition = cell.partition(P0);
    assert_eq!(partition.runs(), [run]);
    assert_eq!(partition.tail_len(), 3);
    assert_eq!(partition.find(Offset(5)), Found::Run(run));
    assert!(matches!(partition.find(Offset(6)), Found::Entry(entry) if entry.base.0 == 6));
    assert_eq!(partition.entry_at_or_after_time(0), Found::Run(run));
    let bytes = |segment, bytes| SegmentBytes {
        segment: SegmentId(segment),
        bytes,
    };
    assert_eq!(run_segments(partition), [bytes(1, 400), bytes(2, 200)]);
    assert_eq!(partition.live_bytes(), 1200);
    assert_eq!(
        [1, 2, 3, 9].map(|at| cell.live_bytes(at)),
        [400, 400, 400, 64]
    );
}

#[test]
fn a_run_that_does_not_say_exactly_what_stands_there_is_refused() {
    let mut cell = six_entries();
    let run = run_over(cell.partition(P0), 3, extent(9, 0, 64));
    let wrong = [
        IndexRun {
            end: Offset(5),
            ..run
        },
        IndexRun {
            end: Offset(7),
            ..run
        },
        IndexRun {
            first: Offset(2),
            ..run
        },
        IndexRun {
            data_bytes: 599,
            ..run
        },
        IndexRun {
            max_timestamp_ms: 1,
            ..run
        },
    ];
    for run in wrong {
        assert_eq!(cell.spill(P0, run), CHANGED);
    }
    assert_eq!(cell.take_effects(), [9; 5].map(dead));
    let unknown = Reply::Index(Err(IndexRefusal::UnknownPartition));
    assert_eq!(cell.spill(PartitionId(5), run), unknown);
    assert_eq!(cell.spill(P0, run), TAKEN);
    assert_eq!(cell.spill(P0, run), CHANGED, "a second time");
}

#[test]
fn a_run_stays_until_the_log_start_has_passed_it() {
    let (mut cell, _) = spilled(4);
    cell.advance(P0, 7);
    assert_eq!(cell.partition(P0).runs().len(), 1);
    assert_eq!(cell.take_effects(), [log_start(7)]);
    cell.advance(P0, 8);
    assert!(cell.partition(P0).runs().is_empty());
    let effects = cell.take_effects();
    assert_eq!(effects, [dead(9), dead(1), dead(2), log_start(8)]);
    assert_eq!(cell.partition(P0).live_bytes(), 400);
}

#[test]
fn a_deleted_topic_gives_back_its_runs() {
    let (mut cell, _) = spilled(4);
    cell.topic(&Command::DeleteTopic { topic: topic_id(1) })
        .unwrap();
    assert_eq!(cell.state.segments().count(), 0);
}

#[test]
fn moved_bytes_are_read_from_their_new_place() {
    let mut cell = six_entries();
    let (from, to) = (extent(1, 500, 200), extent(8, 40, 200));
    assert!(cell.move_one(P0, 2, [from, to]));
    assert_eq!(cell.entries(P0)[1].extent, to);
    assert_eq!([1, 8].map(|at| cell.live_bytes(at)), [200, 200]);
    assert!(cell.move_one(P0, 0, [extent(1, 0, 200), extent(8, 240, 200)]));
    assert_eq!(cell.take_effects(), [dead(1)]);
    assert_eq!(cell.partition(P0).live_bytes(), 1200);
}

#[test]
fn a_move_that_came_too_late_changes_nothing() {
    let mut cell = six_entries();
    cell.topic(&create(2, "u", 1, &[])).unwrap();
    cell.advance(P0, 2);
    let before = cell.state.digest();
    let from = extent(1, 500, 200);
    let to = extent(8, 0, 200);
    assert!(!cell.move_one(P0, 0, [extent(1, 0, 200), to]), "gone");
    assert!(
        !cell.move_one(P0, 2, [extent(1, 501, 200), to]),
        "moved before"
    );
    assert!(
        !cell.move_one(P0, 3, [from, to]),
        "not an entry's first offset"
    );
    assert!(
        !cell.move_one(P0, 2, [from, extent(8, 0, 100)]),
        "other bytes"
    );
    assert!(
        !cell.move_one(PartitionId(1), 0, [from, to]),
        "empty partition"
    );
    assert!(
        !cell.move_one(PartitionId(7), 0, [from, to]),
        "no partition"
    );
    assert_eq!(cell.state.digest(), before);
    assert_eq!(
        cell.effects.iter().filter(|one| **one == dead(8)).count(),
        6
    );
}

#[test]
fn a_run_itself_is_moved_by_its_first_offset() {
    let (mut cell, run) = spilled(2);
    let to = extent(10, 0, 64);
    assert!(cell.move_one(P0, 0, [run.extent, to]));
    assert_eq!(cell.partition(P0).runs()[0].extent, to);
    assert_eq!(cell.take_effects(), [dead(9)]);
}

#[test]
fn runs_are_replaced_by_one_with_its_bytes_elsewhere() {
    let (mut cell, first) = spilled(2);
    let second = run_over(cell.partition(P0), 2, extent(9, 64, 64));
    assert_eq!(cell.spill(P0, second), TAKEN);
    let rows = |rows: &[(u64, u64)]| -> Vec<SegmentBytes> {
        let row = |(segment, bytes): &(u64, u64)| SegmentBytes {
            segment: SegmentId(*segment),
            bytes: *bytes,
        };
        rows.iter().map(row).collect()
    };
    let merged = IndexRun {
        end: second.end,
        data_bytes: 800,
        extent: extent(11, 0, 100),
        ..first
    };
    let replace = |old: &[IndexRun], segments: &[(u64, u64)]| {
        Command::ReplaceRuns(ReplaceRuns {
            partition: P0,
            old: old.iter().map(|run| run.extent).collect(),
            run: merged,
            segments: rows(segments),
        })
    };
    assert_eq!(
        cell.apply(&replace(&[first], &[(2, 400), (12, 400)])),
        CHANGED
    );
    assert_eq!(cell.apply(&replace(&[first, second], &[(2, 400)])), CHANGED);
    assert_eq!(cell.apply(&replace(&[second, first], &[(2, 800)])), CHANGED);
    cell.take_effects();
    // Segment 1's batches were rewritten to 12; those of 2 stay.
    let taken = replace(&[first, second], &[(12, 400), (2, 400)]);
    assert_eq!(cell.apply(&taken), TAKEN);
    assert_eq!(cell.take_effects(), [dead(1), dead(9)]);
    assert_eq!(cell.partition(P0).runs(), [merged]);
    assert_eq!(
        run_segments(cell.partition(P0)),
        rows(&[(2, 400), (12, 400)])
    );
    assert_eq!([2, 11, 12].map(|at| cell.live_bytes(at)), [400, 100, 400]);
    assert_eq!(cell.partition(P0).live_bytes(), 1200);
}
