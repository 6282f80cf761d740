//! Idempotent producers: the window, fencing, wrap, expiry, the bound on memory.

use levada_catalog::command::CommitBatch;
use levada_catalog::{BatchRefusal, Command, StateSettings};
use levada_model::PartitionId;

use crate::support::{Cell, base_of, batch, duplicate_of, from_producer, refusal};

const P0: PartitionId = PartitionId(0);

/// A batch of producer 7, epoch 0.
fn sent(first: i32, count: u32) -> CommitBatch {
    from_producer(batch(P0, count), 7, 0, first)
}

#[test]
fn any_of_the_last_five_batches_sent_again_gets_its_old_offset() {
    let mut cell = Cell::with_topic(1, &[]);
    for first in [0, 2, 4, 6, 8] {
        cell.commit_one(sent(first, 2));
    }
    for first in [0, 2, 4, 6, 8] {
        assert_eq!(duplicate_of(cell.commit_one(sent(first, 2))), first.into());
    }
    assert_eq!(cell.partition(P0).high_watermark().0, 10);
    assert_eq!(base_of(cell.commit_one(sent(10, 1))), 10);
}

#[test]
fn a_repetition_older_than_the_window_is_named_as_such() {
    let mut cell = Cell::with_topic(1, &[]);
    for first in 100..106 {
        cell.commit_one(sent(first, 1));
    }
    let result = cell.commit_one(sent(100, 1));
    assert_eq!(refusal(result), BatchRefusal::DuplicateSequence);
    // Never taken by anybody, so it must not be called a repetition: that would lose it.
    let result = cell.commit_one(sent(99, 1));
    assert_eq!(refusal(result), BatchRefusal::OutOfOrderSequence);
    let result = cell.commit_one(sent(99, 2));
    assert_eq!(refusal(result), BatchRefusal::OutOfOrderSequence);
}

#[test]
fn a_gap_or_an_overlap_is_out_of_order() {
    let mut cell = Cell::with_topic(1, &[]);
    cell.commit_one(sent(0, 5));
    for (first, count) in [(6, 1), (4, 2), (0, 4), (1, 5), (-1, 1)] {
        let result = cell.commit_one(sent(first, count));
        assert_eq!(refusal(result), BatchRefusal::OutOfOrderSequence, "{first}");
    }
    assert_eq!(base_of(cell.commit_one(sent(5, 1))), 5);
}

#[test]
fn a_producer_without_state_may_begin_anywhere() {
    let mut cell = Cell::with_topic(2, &[]);
    assert_eq!(base_of(cell.commit_one(sent(4711, 1))), 0);
    assert_eq!(base_of(cell.commit_one(sent(4712, 1))), 1);
    let elsewhere = from_producer(batch(PartitionId(1), 1), 7, 0, 99);
    assert_eq!(base_of(cell.commit_one(elsewhere)), 0);
}

#[test]
fn a_lower_epoch_is_fenced_and_a_higher_one_begins_at_zero() {
    let mut cell = Cell::with_topic(1, &[]);
    let in_epoch = |epoch, first| from_producer(batch(P0, 1), 7, epoch, first);
    cell.commit_one(in_epoch(3, 0));
    let result = cell.commit_one(in_epoch(2, 1));
    assert_eq!(refusal(result), BatchRefusal::InvalidProducerEpoch);
    let result = cell.commit_one(in_epoch(4, 1));
    assert_eq!(refusal(result), BatchRefusal::OutOfOrderSequence);
    assert_eq!(base_of(cell.commit_one(in_epoch(4, 0))), 1);
    let result = cell.commit_one(in_epoch(3, 1));
    assert_eq!(refusal(result), BatchRefusal::InvalidProducerEpoch);
    assert_eq!(duplicate_of(cell.commit_one(in_epoch(4, 0))), 1);
}

#[test]
fn sequences_wrap_to_zero_and_duplicates_are_found_across_the_wrap() {
    let mut cell = Cell::with_topic(1, &[]);
    cell.commit_one(sent(i32::MAX - 1, 1));
    assert_eq!(base_of(cell.commit_one(sent(i32::MAX, 3))), 1);
    assert_eq!(base_of(cell.commit_one(sent(2, 1))), 4);
    assert_eq!(duplicate_of(cell.commit_one(sent(i32::MAX, 3))), 1);
    for first in 3..9 {
        cell.commit_one(sent(first, 1));
    }
    let result = cell.commit_one(sent(i32::MAX, 3));
    assert_eq!(refusal(result), BatchRefusal::DuplicateSequence);
}

#[test]
fn a_retry_within_one_commit_is_a_duplicate() {
    let mut cell = Cell::with_topic(1, &[]);
    let results = cell.commit(vec![sent(0, 2), sent(0, 2), sent(2, 1)]);
    assert_eq!(base_of(results[0]), 0);
    assert_eq!(duplicate_of(results[1]), 0);
    assert_eq!(base_of(results[2]), 2);
    // The duplicate's bytes lie between the two: they are not one entry.
    assert_eq!(cell.entries(P0).len(), 2);
    assert_eq!(cell.live_bytes(1), 300);
}

#[test]
fn a_duplicate_keeps_the_append_time_of_the_first() {
    let mut cell = Cell::with_topic(1, &[("message.timestamp.type", "LogAppendTime")]);
    let first = cell.commit_one(sent(0, 1));
    cell.now_ms += 1000;
    let again = cell.commit_one(sent(0, 1));
    let time = |result| match result {
        levada_catalog::BatchResult::Appended { append_time_ms, .. }
        | levada_catalog::BatchResult::Duplicate { append_time_ms, .. } => append_time_ms,
        other => panic!("{other:?}"),
    };
    assert_eq!(time(first), time(again));
    duplicate_of(again);
}

#[test]
fn a_window_expires_when_it_was_not_used_for_long() {
    let mut cell = Cell::with_topic(1, &[]);
    let lifetime_ms = StateSettings::default().producer_expiration_ms;
    cell.commit_one(sent(0, 1));
    cell.now_ms += lifetime_ms;
    duplicate_of(cell.commit_one(sent(0, 1)));
    cell.commit_one(sent(1, 1));
    cell.now_ms += lifetime_ms + 1;
    assert_eq!(base_of(cell.commit_one(sent(500, 1))), 2);
    assert_eq!(cell.state.producer_count(), 1);
}

#[test]
fn expired_windows_are_removed_by_those_who_append() {
    let mut cell = Cell::with_topic(1, &[]);
    for id in 0..100 {
        cell.commit_one(from_producer(batch(P0, 1), id, 0, 0));
    }
    cell.now_ms += StateSettings::default().producer_expiration_ms + 1;
    for id in 1000..1030 {
        cell.commit_one(from_producer(batch(P0, 1), id, 0, 0));
    }
    assert_eq!(cell.state.producer_count(), 30);
}

#[test]
fn the_least_recently_used_go_first_when_memory_is_short() {
    let mut cell = Cell::with_topic(1, &[]);
    cell.apply(&Command::Configure(StateSettings {
        producer_state_bytes_max: 3000,
        ..StateSettings::default()
    }));
    cell.commit_one(sent(0, 1));
    for id in 100..200 {
        cell.commit_one(from_producer(batch(P0, 1), id, 0, 0));
        let next = sent(i32::try_from(id - 99).unwrap(), 1);
        base_of(cell.commit_one(next));
    }
    duplicate_of(cell.commit_one(sent(100, 1)));
    assert!(cell.state.producer_state_bytes() <= 3000);
    assert!(cell.state.producer_count() > 10);
    // The evicted one has no state: whatever it sends is taken.
    base_of(cell.commit_one(from_producer(batch(P0, 1), 100, 0, 77)));
}

#[test]
fn settings_act_only_once_they_are_in_the_log() {
    let wanted = StateSettings {
        producer_expiration_ms: 1,
        producer_state_bytes_max: 1000,
    };
    let mut state = levada_catalog::State::new(wanted);
    assert_eq!(state.settings(), StateSettings::default());
    let change = state.settings_change().unwrap();
    state.apply(&change, 0, &mut Vec::new());
    assert_eq!(state.settings(), wanted);
    assert_eq!(state.settings_change(), None);
}
