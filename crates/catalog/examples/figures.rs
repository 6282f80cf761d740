//! Prints what the catalog costs: memory of idle partitions, time of `apply`, stalls by snapshots.
//!
//! `cargo run --release -p levada-catalog --example figures [PARTITIONS [A TOPIC]]`
#![allow(clippy::disallowed_methods)]

use levada_catalog::command::{BatchProducer, Commit, CommitBatch, CreateTopic};
use levada_catalog::{Command, CommandGroup, State, StateSettings, decode_group};
use levada_model::{PartitionId, ProducerEpoch, ProducerId, SegmentId, Sequence, TopicId};

use std::time::Instant;

const BATCHES_PER_COMMIT: u64 = 1000;
const COMMITS: u64 = 2000;

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn ns_since(begun: Instant) -> u64 {
    begun.elapsed().as_nanos() as u64
}

/// Median, 99 % and worst, in microseconds; the last two tell of the machine's other work too.
fn summary(mut times_ns: Vec<u64>) -> String {
    times_ns.sort_unstable();
    let us = |ns: Option<&u64>| ns.copied().unwrap_or(0) as f64 / 1000.0;
    format!(
        "median {:.0}, p99 {:.0}, worst {:.0} us",
        us(times_ns.get(times_ns.len() / 2)),
        us(times_ns.get(times_ns.len() * 99 / 100)),
        us(times_ns.last())
    )
}

fn topics(count: u64, partitions_each: u32) -> State {
    let mut state = State::new(StateSettings::default());
    for number in 0..count {
        let mut id = [7; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        let create = CreateTopic {
            name: format!("topic-{number:07}"),
            id: TopicId(id),
            partitions: partitions_each,
            configs: Vec::new(),
        };
        state.apply(&Command::CreateTopic(create), 0, &mut Vec::new());
    }
    state
}

/// Scattered over all partitions; one producer for each hundred partitions.
fn commit(round: u64, next: &mut [u32], idempotent: bool) -> Commit {
    let partitions = next.len() as u64;
    let batch = |at: u64| {
        let number = (round * BATCHES_PER_COMMIT + at).wrapping_mul(0x9e37_79b9) % partitions;
        let sequence = &mut next[number as usize];
        *sequence += 10;
        CommitBatch {
            partition: PartitionId(number),
            position: at * 1000,
            length: 1000,
            offset_count: 10,
            max_timestamp_ms: 1,
            crc: at as u32,
            producer: idempotent.then_some(BatchProducer {
                id: ProducerId((number / 100) as i64),
                epoch: ProducerEpoch(0),
                first_sequence: Sequence(*sequence as i32 - 10),
            }),
        }
    };
    Commit {
        segment: SegmentId(round),
        batches: (0..BATCHES_PER_COMMIT).map(batch).collect(),
        queued: Vec::new(),
    }
}

fn time_commits(state: &mut State, partitions: u64, idempotent: bool) {
    let mut effects = Vec::new();
    let mut times = Vec::new();
    let mut next = vec![0; partitions as usize];
    for round in 0..COMMITS {
        let command = Command::Commit(commit(round, &mut next, idempotent));
        let begun = Instant::now();
        state.apply(&command, 1000, &mut effects);
        times.push(ns_since(begun));
        effects.clear();
    }
    let mean = times.iter().sum::<u64>() / (COMMITS * BATCHES_PER_COMMIT);
    println!(
        "  apply, idempotent {idempotent}: {mean} ns a batch; commits of 1000: {}",
        summary(times)
    );
}

fn time_snapshot(state: &mut State, rows_max: usize) {
    let mut times = Vec::new();
    let begun = Instant::now();
    state.snapshot_begin();
    times.push(ns_since(begun));
    let mut bytes = Vec::new();
    loop {
        let begun = Instant::now();
        let piece = state.snapshot_slice(rows_max);
        times.push(ns_since(begun));
        match piece {
            Some(piece) => bytes.extend_from_slice(&piece),
            None => break,
        }
    }
    let begun = Instant::now();
    State::restore(StateSettings::default(), &bytes).expect("a whole snapshot");
    let restored = ns_since(begun) / 1_000_000;
    println!(
        "  snapshot: {} bytes in {} slices of {rows_max} rows: {}",
        bytes.len(),
        times.len(),
        summary(times)
    );
    println!("  restore: {restored} ms");
}

fn time_encoding(partitions: u64) {
    let commands = vec![Command::Commit(commit(
        3,
        &mut vec![0; partitions as usize],
        true,
    ))];
    let group = CommandGroup {
        now_ms: 1000,
        commands,
    };
    let begun = Instant::now();
    let bytes = group.encode();
    let encoded = ns_since(begun);
    let begun = Instant::now();
    decode_group(&bytes).expect("what was just written");
    let decoded = ns_since(begun);
    println!(
        "stored commit: {:.1} bytes a batch, {} ns to write, {} ns to read",
        bytes.len() as f64 / BATCHES_PER_COMMIT as f64,
        encoded / BATCHES_PER_COMMIT,
        decoded / BATCHES_PER_COMMIT,
    );
}

fn main() {
    let number = |at, or| {
        let given = std::env::args().nth(at);
        given.and_then(|text| text.parse().ok()).unwrap_or(or)
    };
    let partitions: u64 = number(1, 1_000_000);
    let each = number(2, 100);
    let before = resident_bytes();
    let mut state = topics(partitions / each, each as u32);
    let idle = resident_bytes().saturating_sub(before) / partitions;
    println!("{partitions} idle partitions, {each} a topic: {idle} bytes each");
    time_commits(&mut state, partitions, false);
    time_commits(&mut state, partitions, true);
    time_snapshot(&mut state, 256);
    time_encoding(partitions);
}
