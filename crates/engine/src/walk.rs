//! A walk over all partitions in slices: whoever waits for the state's lock waits for one slice.

use std::sync::Arc;

use levada_catalog::{Partition, State, Topic};
use levada_model::PartitionId;

/// Partitions that one slice visits; one that has many index entries counts for more.
const SLICE_PARTITIONS: usize = 256;
/// Index entries that take about as long as a partition.
const ENTRIES_A_PARTITION: usize = 32;

/// Where a walk goes on: at a partition of a topic. The default is the beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    topic: Option<Arc<str>>,
    number: u32,
}

/// Visits the partitions of one slice, by the names of their topics and their numbers. `None` once
/// all were visited.
pub(crate) fn visit(
    state: &State,
    from: &Place,
    mut each: impl FnMut(&Topic, PartitionId, &Partition),
) -> Option<Place> {
    let name = from.topic.as_deref();
    let paused = name.and_then(|name| state.topic_named(name));
    let paused = paused.map(|topic| (topic, from.number));
    let behind = state.topics_after(name).map(|topic| (topic, 0));
    let mut left = SLICE_PARTITIONS;
    for (topic, number) in paused.into_iter().chain(behind) {
        for (number, id) in (number..).zip(topic.partitions_from(number)) {
            if left == 0 {
                let topic = Some(Arc::clone(&topic.name));
                return Some(Place { topic, number });
            }
            let Some(partition) = state.partition(id) else {
                continue;
            };
            let cost = 1 + partition.tail_len() / ENTRIES_A_PARTITION;
            left = left.saturating_sub(cost);
            each(topic, id, partition);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use levada_catalog::command::CreateTopic;
    use levada_catalog::{Command, StateSettings};
    use levada_model::TopicId;

    use super::*;

    fn state(topics: &[(&str, u32)]) -> State {
        let mut state = State::new(StateSettings::default());
        for (number, (name, partitions)) in (1..).zip(topics) {
            let create = Command::CreateTopic(CreateTopic {
                name: (*name).to_owned(),
                id: TopicId([number; 16]),
                partitions: *partitions,
                configs: Vec::new(),
            });
            state.apply(&create, 0, &mut Vec::new());
        }
        state
    }

    #[test]
    fn every_partition_is_visited_once_and_no_slice_is_long() {
        let (many, few) = (SLICE_PARTITIONS as u32 * 3 + 7, 3);
        let state = state(&[("b", few), ("a", many), ("c", SLICE_PARTITIONS as u32)]);
        let mut seen = Vec::new();
        let mut place = Some(Place::default());
        while let Some(from) = place {
            let before = seen.len();
            place = visit(&state, &from, |topic, _, partition| {
                seen.push((topic.name.to_string(), partition.index()));
            });
            assert!(seen.len() - before <= SLICE_PARTITIONS);
        }
        let all = |name: &str, count: u32| {
            (0..count as i32)
                .map(move |n| (name.to_owned(), n))
                .collect::<Vec<_>>()
        };
        let expected = [
            all("a", many),
            all("b", few),
            all("c", SLICE_PARTITIONS as u32),
        ]
        .concat();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_topic_deleted_between_two_slices_is_passed_over() {
        let mut state = state(&[("a", SLICE_PARTITIONS as u32 * 2), ("b", 2)]);
        let place = visit(&state, &Place::default(), |_, _, _| {}).unwrap();
        let topic = TopicId([1; 16]);
        state.apply(&Command::DeleteTopic { topic }, 0, &mut Vec::new());
        let mut seen = Vec::new();
        let end = visit(&state, &place, |topic, _, _| {
            seen.push(topic.name.to_string())
        });
        assert!(end.is_none());
        assert_eq!(seen, ["b", "b"]);
    }
}
