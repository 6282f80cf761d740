//! The state's snapshot.
//!
//! The first byte chooses: 0 the bytes as they are, else the checksums of its chunks are set right
//! first, so that what stands in them is read.

use crc_fast::{CrcAlgorithm, checksum};
use levada_catalog::{Command, State, StateSettings};

use super::commands::{comes_back, stored};

const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = LENGTH_BYTES + 8;

pub fn check(input: &[u8]) {
    let Some((&choice, bytes)) = input.split_first() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if choice != 0 {
        seal(&mut bytes);
    }
    let Ok(mut state) = State::restore(StateSettings::default(), &bytes) else {
        return;
    };
    use_it(&mut state);
    comes_back(&mut state);
}

/// Sets the checksum of each chunk right; a last chunk that is cut short gets its real length.
pub fn seal(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + HEAD_BYTES) {
        let told = head.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        let left = bytes.len() - at - HEAD_BYTES;
        let length = (told as usize).min(left);
        let from = at + HEAD_BYTES;
        let sum = checksum(CrcAlgorithm::Crc64Nvme, &bytes[from..from + length]);
        bytes[at..at + LENGTH_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
        bytes[at + LENGTH_BYTES..from].copy_from_slice(&sum.to_le_bytes());
        at = from + length;
    }
}

/// What a service does with every state it starts from.
fn use_it(state: &mut State) {
    let (topics, partitions) = (state.topic_count(), state.partition_count());
    assert_eq!(state.topics().count(), topics);
    let rows = state
        .topics()
        .map(|topic| topic.partitions().count() as u64);
    assert_eq!(rows.sum::<u64>(), partitions);
    for topic in state.topics() {
        for id in topic.partitions() {
            let partition = state.partition(id).expect("each partition has its row");
            assert!(partition.log_start() <= partition.high_watermark());
            let _ = partition.find(partition.log_start());
        }
    }
    let mut effects = Vec::new();
    state.apply(&Command::AllocateProducer, 1, &mut effects);
    let ids: Vec<_> = state.topics().map(|topic| topic.id).collect();
    let _ = stored(state);
    for topic in ids {
        state.apply(&Command::DeleteTopic { topic }, 2, &mut effects);
    }
    assert_eq!(state.partition_count(), 0);
}
