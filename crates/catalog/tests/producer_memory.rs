//! Ten million producers that each wrote one batch leave little: alone in its process, since it
//! looks at the memory of the whole process.
#![allow(clippy::disallowed_methods)]

use levada_catalog::command::{BatchProducer, Commit, CommitBatch, CreateTopic};
use levada_catalog::{Command, State, StateSettings};
use levada_model::{Offset, PartitionId, ProducerEpoch, ProducerId, SegmentId, Sequence, TopicId};

const PRODUCERS: i64 = 10_000_000;
const BATCHES_PER_COMMIT: i64 = 1000;

fn batch(producer: i64) -> CommitBatch {
    CommitBatch {
        partition: PartitionId(0),
        position: 0,
        length: 100,
        offset_count: 1,
        max_timestamp_ms: 0,
        crc: 0,
        producer: Some(BatchProducer {
            id: ProducerId(producer),
            epoch: ProducerEpoch(0),
            first_sequence: Sequence(0),
        }),
    }
}

/// Resident memory of this process in bytes; `None` where there is no /proc.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[test]
fn ten_million_dead_producers_leave_under_64_mib() {
    let mut state = State::new(StateSettings::default());
    let mut effects = Vec::new();
    let create = CreateTopic {
        name: "t".to_owned(),
        id: TopicId([1; 16]),
        partitions: 1,
        configs: Vec::new(),
    };
    state.apply(&Command::CreateTopic(create), 0, &mut effects);
    let before = resident_bytes();
    for first in (0..PRODUCERS).step_by(BATCHES_PER_COMMIT as usize) {
        let batches = (first..first + BATCHES_PER_COMMIT).map(batch).collect();
        let segment = SegmentId(1);
        state.apply(
            &Command::Commit(Commit {
                segment,
                batches,
                queued: Vec::new(),
            }),
            first,
            &mut effects,
        );
        // The records go by retention: what is measured is what their producers leave.
        let moves = vec![(PartitionId(0), Offset(first))];
        state.apply(&Command::AdvanceLogStart { moves }, first, &mut effects);
        effects.clear();
    }
    let kept = state.producer_state_bytes();
    assert!(kept <= StateSettings::default().producer_state_bytes_max);
    assert!(
        state.producer_count() > 100_000,
        "{}",
        state.producer_count()
    );
    let (Some(before), Some(after)) = (before, resident_bytes()) else {
        println!("no /proc: {kept} bytes by our own count only");
        return;
    };
    let grown = after.saturating_sub(before);
    println!(
        "{} windows, {kept} bytes counted, {grown} bytes resident",
        state.producer_count()
    );
    assert!(grown < 64 << 20, "{grown} bytes");
}
