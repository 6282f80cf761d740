//! A correct history with one change is caught by the check that the change is for.

use std::collections::BTreeMap;

use levada_sim::history::check::check_all;

use crate::clients::{Picks, run};
use crate::mutations::{Edit, all};

const SEEDS: u64 = 24;
/// Each change must have found a place in so many histories: one that never fits tests nothing.
const APPLIED_MIN: u64 = 3;

#[test]
fn each_change_of_a_correct_history_is_caught_by_its_check() {
    let mut applied: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let history = run(Picks::of_seed(seed, 2000));
        for (name, check, mutate) in all() {
            let mut edit = Edit {
                history: history.clone(),
                picks: Picks::of_seed(seed, 8),
            };
            let count = applied.entry(name).or_default();
            if mutate(&mut edit).is_none() {
                continue;
            }
            *count += 1;
            let report = check_all(&edit.history);
            let is_caught = report
                .violations
                .iter()
                .any(|violation| violation.check == check);
            assert!(
                is_caught,
                "seed {seed}: {name}: {check} is silent\n{}\n{report}",
                edit.history
            );
        }
    }
    let rare: Vec<_> = applied
        .iter()
        .filter(|(_, count)| **count < APPLIED_MIN)
        .collect();
    assert!(rare.is_empty(), "these hardly ever found a place: {rare:?}");
}
