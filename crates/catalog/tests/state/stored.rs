//! The stored form of command groups.

use levada_catalog::command::{Commit, CommitBatch};
use levada_catalog::{Command, CommandGroup, State, StateSettings, decode_group};
use levada_model::{PartitionId, SegmentId};
use proptest::prelude::*;

use crate::driver::{Driver, any_ops};
use crate::support::{START_MS, batch, create, from_producer};

proptest! {
    #[test]
    fn any_commands_come_back(ops in any_ops(80)) {
        let mut state = State::new(StateSettings::default());
        let mut driver = Driver::new();
        let mut commands = Vec::new();
        for op in ops {
            let command = driver.command(&state, op);
            state.apply(&command, driver.now_ms, &mut Vec::new());
            commands.push(command);
        }
        let group = CommandGroup { now_ms: driver.now_ms, commands };
        prop_assert_eq!(decode_group(&group.encode()), Ok(group));
    }

    #[test]
    fn any_numbers_in_a_batch_come_back(
        numbers: [u64; 2],
        small: [u32; 3],
        times: [i64; 2],
        producer: Option<(i64, i16, i32)>,
    ) {
        let batch = CommitBatch {
            partition: PartitionId(numbers[0]),
            position: numbers[1],
            length: small[0],
            offset_count: small[1],
            max_timestamp_ms: times[0],
            crc: small[2],
            producer: None,
        };
        let batch = match producer {
            Some((id, epoch, first)) => from_producer(batch, id, epoch, first),
            None => batch,
        };
        let segment = SegmentId(numbers[0]);
        let commit = Commit { segment, batches: vec![batch, batch], queued: Vec::new() };
        let group = CommandGroup { now_ms: times[1], commands: vec![Command::Commit(commit)] };
        prop_assert_eq!(decode_group(&group.encode()), Ok(group));
    }

    #[test]
    fn random_bytes_never_panic(mut bytes: Vec<u8>) {
        let _ = decode_group(&bytes);
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        let _ = decode_group(&bytes);
    }

    #[test]
    fn a_cut_group_is_an_error(ops in any_ops(20), at: prop::sample::Index) {
        let state = State::new(StateSettings::default());
        let mut driver = Driver::new();
        let commands = ops.into_iter().map(|op| driver.command(&state, op)).collect();
        let bytes = CommandGroup { now_ms: START_MS, commands }.encode();
        prop_assert!(decode_group(&bytes[..at.index(bytes.len())]).is_err());
    }
}

#[test]
fn a_batch_takes_less_than_thirty_bytes() {
    let one = CommitBatch {
        length: 65_000,
        offset_count: 700,
        max_timestamp_ms: START_MS - 5_000,
        ..from_producer(
            batch(PartitionId(1_000_000), 1),
            3_000_000,
            2,
            2_000_000_000,
        )
    };
    let mut batches = vec![one; 100];
    for (at, batch) in batches.iter_mut().enumerate() {
        batch.position = at as u64 * 65_000;
    }
    let commit = Commit {
        segment: SegmentId(12_345),
        batches,
        queued: Vec::new(),
    };
    let group = CommandGroup {
        now_ms: START_MS,
        commands: vec![Command::Commit(commit)],
    };
    assert!(group.encode().len() < 30 * 100, "{}", group.encode().len());
}

/// Frozen: what this wrote once must read for ever.
#[test]
fn the_stored_form_is_what_it_was() {
    let one = CommitBatch {
        position: 7,
        ..from_producer(batch(PartitionId(3), 2), 5, 1, 9)
    };
    let commit = Commit {
        segment: SegmentId(1),
        batches: vec![one],
        queued: Vec::new(),
    };
    let group = CommandGroup {
        now_ms: START_MS,
        commands: vec![create(2, "t", 1, &[]), Command::Commit(commit)],
    };
    let hex: String = group
        .encode()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "0180a0abfef962020101740202020202020202020202020202020201000501010303\
         0ec8010200efbeedfe0a0212"
    );
}
