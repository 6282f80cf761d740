//! Correct histories pass every check, and give every check something to look at.

use std::collections::BTreeMap;

use levada_sim::history::check::check_all;
use proptest::prelude::*;

use crate::clients::{Picks, run};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_correct_history_passes_every_check(numbers in prop::collection::vec(0_u32..1 << 20, 0..1500)) {
        let history = run(Picks::new(numbers));
        let report = check_all(&history);
        prop_assert!(report.violations.is_empty(), "{history}\n{report}");
        prop_assert_eq!(report.undecided, 0);
    }
}

#[test]
fn correct_histories_give_every_check_something_to_look_at() {
    let mut looked: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..50 {
        let history = run(Picks::of_seed(seed, 2500));
        let report = check_all(&history);
        assert!(
            report.violations.is_empty(),
            "seed {seed}\n{history}\n{report}"
        );
        for (check, count) in report.looked {
            *looked.entry(check).or_default() += count;
        }
    }
    // Queues have their histories by hand.
    looked.retain(|check, _| !check.starts_with("queue-"));
    assert!(looked.values().all(|count| *count > 100), "{looked:?}");
}

#[test]
fn the_same_numbers_give_the_same_text() {
    let text = |seed| run(Picks::of_seed(seed, 1000)).to_string();
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
}
