//! Snapshots: the state at the begin, whatever happens until the end.

use levada_catalog::{Command, Effect, Reply, State, StateSettings};
use levada_model::PartitionId;
use proptest::prelude::*;

use crate::driver::{Driver, Op, any_ops};
use crate::properties::check;
use crate::support::{Cell, batch, create, from_producer, topic_id};

/// Applies steps; gives what would stand in the log, and the answers.
struct Run {
    state: State,
    driver: Driver,
    log: Vec<(Command, i64)>,
    answers: Vec<(Reply, Vec<Effect>)>,
}

impl Run {
    fn new() -> Run {
        Run {
            state: State::new(StateSettings::default()),
            driver: Driver::new(),
            log: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn step(&mut self, op: Op) {
        let command = self.driver.command(&self.state, op);
        let now_ms = self.driver.now_ms;
        let mut effects = Vec::new();
        let reply = self.state.apply(&command, now_ms, &mut effects);
        self.log.push((command, now_ms));
        self.answers.push((reply, effects));
    }
}

fn whole(state: &mut State, rows_max: usize) -> Vec<u8> {
    state.snapshot_begin();
    let mut bytes = Vec::new();
    while let Some(piece) = state.snapshot_slice(rows_max) {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

fn restore(bytes: &[u8]) -> State {
    State::restore(StateSettings::default(), bytes).expect("a whole snapshot")
}

/// The bytes with the checksum of each chunk set right.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    let mut mended = Vec::new();
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (payload, after) = tail.split_at(length.min(tail.len()));
        let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, payload);
        mended.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        mended.extend_from_slice(&sum.to_le_bytes());
        mended.extend_from_slice(payload);
        rest = after;
    }
    mended
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_snapshot_is_the_state_at_its_begin_and_replay_leads_on_from_it(
        before in any_ops(100),
        during in any_ops(60),
        rows_max in 1..9usize,
        every in 1..4usize,
    ) {
        let mut run = Run::new();
        before.into_iter().for_each(|op| run.step(op));
        let at_begin = run.state.digest();
        run.state.snapshot_begin();
        run.log.clear();
        run.answers.clear();
        let mut bytes = Vec::new();
        for (number, op) in during.into_iter().enumerate() {
            run.step(op);
            if number % every == 0 && let Some(piece) = run.state.snapshot_slice(rows_max) {
                bytes.extend_from_slice(&piece);
            }
        }
        while let Some(piece) = run.state.snapshot_slice(rows_max) {
            bytes.extend_from_slice(&piece);
        }
        let mut restored = restore(&bytes);
        check(&restored);
        prop_assert_eq!(restored.digest(), at_begin);
        for ((command, now_ms), (reply, effects)) in run.log.iter().zip(&run.answers) {
            let mut again = Vec::new();
            prop_assert_eq!(&restored.apply(command, *now_ms, &mut again), reply);
            prop_assert_eq!(&again, effects);
        }
        prop_assert_eq!(restored.digest(), run.state.digest());
    }

    #[test]
    fn damaged_snapshots_are_errors(ops in any_ops(60), at: prop::sample::Index, bit in 0..8u8) {
        let mut run = Run::new();
        ops.into_iter().for_each(|op| run.step(op));
        let mut bytes = whole(&mut run.state, 10);
        let cut = at.index(bytes.len());
        prop_assert!(State::restore(StateSettings::default(), &bytes[..cut]).is_err());
        bytes[cut] ^= 1 << bit;
        prop_assert!(State::restore(StateSettings::default(), &bytes).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        prop_assert!(State::restore(StateSettings::default(), &bytes).is_err());
    }

    #[test]
    fn malformed_rows_with_a_right_checksum_never_panic(
        ops in any_ops(60),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut run = Run::new();
        ops.into_iter().for_each(|op| run.step(op));
        let mut bytes = whole(&mut run.state, 1000);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(mut state) = State::restore(StateSettings::default(), &resealed(&bytes)) {
            whole(&mut state, 100);
        }
    }
}

/// A segment that counts fewer bytes than are named would be deleted under its records.
#[test]
fn a_snapshot_whose_segments_do_not_hold_what_its_partitions_name_is_refused() {
    let mut cell = Cell::with_topic(1, &[]);
    cell.commit_one(batch(PartitionId(0), 7));
    let bytes = whole(&mut cell.state, 100);
    // Table 4, segment 1, 700 live of 700 written bytes, as varints.
    let row = [4, 1, 0xbc, 5, 0xbc, 5];
    let at = bytes.windows(row.len()).position(|found| found == row);
    let at = at.expect("the segment's row");
    for live in [0, 0xbb] {
        let mut other = bytes.clone();
        other[at + 2] = live | 0x80;
        let restored = State::restore(StateSettings::default(), &resealed(&other));
        assert!(restored.is_err(), "{live:x}");
    }
    assert!(State::restore(StateSettings::default(), &resealed(&bytes)).is_ok());
}

#[test]
fn an_empty_state_comes_back() {
    let mut state = State::new(StateSettings::default());
    let bytes = whole(&mut state, 100);
    assert_eq!(restore(&bytes).digest(), state.digest());
}

#[test]
fn nothing_comes_without_a_begin_or_after_an_abort() {
    let mut cell = Cell::with_topic(3, &[]);
    assert_eq!(cell.state.snapshot_slice(10), None);
    cell.state.snapshot_begin();
    assert!(cell.state.snapshot_slice(1).is_some());
    cell.state.snapshot_abort();
    assert_eq!(cell.state.snapshot_slice(10), None);
    let bytes = whole(&mut cell.state, 1);
    assert_eq!(restore(&bytes).digest(), cell.state.digest());
}

#[test]
fn a_second_begin_starts_anew() {
    let mut cell = Cell::with_topic(3, &[]);
    cell.state.snapshot_begin();
    cell.commit_one(batch(PartitionId(0), 1));
    cell.state.snapshot_slice(2);
    cell.commit_one(batch(PartitionId(0), 1));
    let bytes = whole(&mut cell.state, 1);
    assert_eq!(restore(&bytes).digest(), cell.state.digest());
}

#[test]
fn a_topic_deleted_while_the_snapshot_runs_is_in_it() {
    let mut cell = Cell::with_topic(200, &[]);
    cell.commit_one(from_producer(batch(PartitionId(150), 1), 1, 0, 0));
    let at_begin = cell.state.digest();
    cell.state.snapshot_begin();
    let mut bytes = Vec::new();
    let mut pull = |cell: &mut Cell| {
        cell.state
            .snapshot_slice(10)
            .map(|piece| bytes.extend(piece))
    };
    pull(&mut cell);
    pull(&mut cell);
    cell.topic(&Command::DeleteTopic { topic: topic_id(1) })
        .unwrap();
    cell.topic(&create(1, "t", 5, &[])).unwrap();
    while pull(&mut cell).is_some() {}
    assert_eq!(restore(&bytes).digest(), at_begin);
}

#[test]
fn what_the_restored_state_acts_by_is_what_the_snapshot_says() {
    let mut cell = Cell::new();
    let small = StateSettings {
        producer_expiration_ms: 5,
        producer_state_bytes_max: 5000,
    };
    cell.apply(&Command::Configure(small));
    let bytes = whole(&mut cell.state, 10);
    let restored = restore(&bytes);
    assert_eq!(restored.settings(), small);
    let back = Command::Configure(StateSettings::default());
    assert_eq!(restored.settings_change(), Some(back));
}
