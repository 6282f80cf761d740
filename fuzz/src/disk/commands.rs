//! Commands as the log holds them: decoded, encoded, and applied to a state.
//!
//! The input is a run of records, each with its length (two bytes) before it.

use bytes::Bytes;
use levada_catalog::{Command, CommandGroup, State, StateSettings, decode_group};

use crate::network::answers::next_answer;

/// Topics that would make one input take seconds: the rules allow a million partitions.
const PARTITIONS_MAX: u32 = 2000;
/// Rows that a slice of a snapshot holds: small, so that there are several.
const SLICE_ROWS: usize = 7;

pub fn check(input: &[u8]) {
    let mut rest = Bytes::copy_from_slice(input);
    let mut state = State::new(StateSettings::default());
    let mut effects = Vec::new();
    while let Some(record) = next_answer(&mut rest) {
        let Ok(group) = decode_group(&record) else {
            continue;
        };
        is_stable(&group);
        for command in group.commands.iter().filter(|command| is_small(command)) {
            state.apply(command, group.now_ms, &mut effects);
        }
        effects.clear();
    }
    comes_back(&mut state);
}

fn is_stable(group: &CommandGroup) {
    let written = group.encode();
    let read = decode_group(&written).expect("what we wrote can be read");
    assert_eq!(&read, group);
    assert_eq!(read.encode(), written);
}

fn is_small(command: &Command) -> bool {
    match command {
        Command::CreateTopic(create) => create.partitions <= PARTITIONS_MAX,
        Command::CreatePartitions { total, .. } => *total <= PARTITIONS_MAX,
        _ => true,
    }
}

/// A state that commands made can be stored and comes back the same.
pub fn comes_back(state: &mut State) {
    let stored = stored(state);
    let again = State::restore(state.settings(), &stored).expect("what we stored comes back");
    assert_eq!(again.digest(), state.digest());
}

/// The state's snapshot in one piece.
pub fn stored(state: &mut State) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.snapshot_begin();
    while let Some(slice) = state.snapshot_slice(SLICE_ROWS) {
        bytes.extend_from_slice(&slice);
    }
    bytes
}
