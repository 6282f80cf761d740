//! What holds after any sequence of commands.

use std::collections::{BTreeMap, BTreeSet};

use levada_catalog::{BatchResult, Command, Effect, Found, Partition, Reply, State, StateSettings};
use levada_model::{Offset, PartitionId, SegmentId};
use proptest::prelude::*;

use crate::driver::{Driver, any_ops};

/// Every partition's index is whole, and the segments' live bytes are the sum over all of them.
pub fn check(state: &State) {
    let mut live = BTreeMap::<SegmentId, u64>::new();
    let mut partitions = 0;
    for topic in state.topics() {
        assert_eq!(state.topic_named(&topic.name).unwrap().id, topic.id);
        for (number, id) in topic.partitions().enumerate() {
            let partition = state.partition(id).unwrap();
            assert_eq!(partition.topic(), topic.id);
            assert_eq!(partition.index(), i32::try_from(number).unwrap());
            check_partition(partition, &mut live);
            partitions += 1;
        }
    }
    assert_eq!(state.partition_count(), partitions);
    let counted: BTreeMap<_, _> = (state.segments())
        .map(|(id, used)| {
            assert!(used.written_bytes >= used.live_bytes);
            (id, used.live_bytes)
        })
        .collect();
    assert_eq!(counted, live);
}

fn check_partition(partition: &Partition, live: &mut BTreeMap<SegmentId, u64>) {
    let entries: Vec<_> = partition.entries_from(Offset::ZERO).collect();
    assert_eq!(entries.len(), partition.tail_len());
    let runs = partition.runs().iter().map(|run| (run.first, run.end));
    let pieces: Vec<_> = runs
        .chain(entries.iter().map(|one| (one.base, one.end())))
        .collect();
    for pair in pieces.windows(2) {
        assert_eq!(pair[0].1, pair[1].0, "a gap");
    }
    let (start, end) = (partition.log_start(), partition.high_watermark());
    assert_eq!(pieces.last().map_or(start, |last| last.1), end);
    assert!(
        pieces
            .first()
            .is_none_or(|first| first.0 <= start && first.1 > start)
    );
    for offset in start.0..end.0 {
        let holds = match partition.find(Offset(offset)) {
            Found::Entry(entry) => entry.base.0..entry.end().0,
            Found::Run(run) => run.first.0..run.end.0,
            other => panic!("{offset}: {other:?}"),
        };
        assert!(holds.contains(&offset));
    }
    assert_eq!(partition.find(end), Found::End);
    let mut bytes = 0;
    for entry in &entries {
        let length = u64::from(entry.extent.length);
        *live.entry(entry.extent.segment).or_default() += length;
        bytes += length;
    }
    for (run, segments) in partition.runs_with_segments() {
        *live.entry(run.extent.segment).or_default() += u64::from(run.extent.length);
        for row in segments {
            *live.entry(row.segment).or_default() += row.bytes;
        }
        bytes += run.data_bytes;
    }
    assert_eq!(partition.live_bytes(), bytes);
}

/// What producers and readers may rely on, noted from the outside.
#[derive(Default)]
struct Observer {
    ends: BTreeMap<PartitionId, i64>,
    taken: BTreeSet<(PartitionId, i64, i16, i32)>,
    /// Digests that came with messages of queues.
    digests: BTreeSet<(PartitionId, [u8; 16])>,
}

impl Observer {
    fn see(&mut self, command: &Command, reply: &Reply, effects: &[Effect]) {
        let (Command::Commit(commit), Reply::Committed(results)) = (command, reply) else {
            return;
        };
        let mut grown = BTreeSet::new();
        for (at, (batch, result)) in commit.batches.iter().zip(results).enumerate() {
            let rule = commit.queued.iter().find(|rule| rule.batch as usize == at);
            let digest = rule.and_then(|rule| rule.deduplication);
            let digest = digest.map(|digest| (batch.partition, digest));
            let end = self.ends.entry(batch.partition).or_default();
            let producer = batch.producer.map(|one| {
                let first = one.first_sequence.0;
                (batch.partition, one.id.0, one.epoch.0, first)
            });
            match result {
                BatchResult::Appended { base, .. } => {
                    assert_eq!(base.0, *end, "offsets are contiguous");
                    *end += i64::from(batch.offset_count);
                    grown.insert(batch.partition);
                    self.digests.extend(digest);
                    if let Some(key) = producer {
                        assert!(self.taken.insert(key), "taken twice: {key:?}");
                    }
                }
                BatchResult::Duplicate { base, .. } => {
                    assert!(base.0 < *end);
                    let is_retry = producer.is_some_and(|key| self.taken.contains(&key));
                    assert!(is_retry || self.digests.contains(&digest.unwrap()));
                }
                BatchResult::Refused(_) => {}
            }
        }
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::HighWatermark { partition, to } => {
                assert_eq!(to.0, self.ends[partition]);
                Some(*partition)
            }
            _ => None,
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            grown.into_iter().collect::<Vec<_>>()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_commands_leave_a_whole_state(ops in any_ops(120)) {
        let mut state = State::new(StateSettings::default());
        let mut driver = Driver::new();
        for op in ops {
            let command = driver.command(&state, op);
            state.apply(&command, driver.now_ms, &mut Vec::new());
            check(&state);
        }
    }

    #[test]
    fn offsets_are_contiguous_and_no_retry_is_taken_twice(ops in any_ops(200)) {
        let mut state = State::new(StateSettings::default());
        let mut driver = Driver::new();
        let mut observer = Observer::default();
        // Evictions are what Configure is for here: without it no window is ever forgotten.
        for op in ops.into_iter().filter(|op| op.kind != 6) {
            let command = driver.command(&state, op);
            let mut effects = Vec::new();
            let reply = state.apply(&command, driver.now_ms, &mut effects);
            observer.see(&command, &reply, &effects);
        }
    }

    #[test]
    fn the_same_commands_give_the_same_state(ops in any_ops(100)) {
        let mut one = State::new(StateSettings::default());
        let mut other = State::new(StateSettings::default());
        let mut driver = Driver::new();
        for op in ops {
            let command = driver.command(&one, op);
            let (mut left, mut right) = (Vec::new(), Vec::new());
            let reply = one.apply(&command, driver.now_ms, &mut left);
            prop_assert_eq!(other.apply(&command, driver.now_ms, &mut right), reply);
            prop_assert_eq!(left, right);
        }
        prop_assert_eq!(one.digest(), other.digest());
    }
}
