//! Runs follow from their seeds, and short ones keep every promise.

use levada_sim::run::{hook_panics, run};

/// Enough for a debug build in every test run; `cargo xtask sim` runs hundreds.
const SEEDS: std::ops::Range<u64> = 0..4;

#[test]
fn the_same_seed_gives_the_same_trace_byte_by_byte_and_breaks_no_promise() {
    hook_panics();
    for seed in SEEDS {
        let first = run(seed);
        assert_eq!(first.violations, Vec::<String>::new(), "seed {seed}");
        assert!(first.operations > 100, "seed {seed}: {}", first.operations);
        assert_eq!(first.trace(), run(seed).trace(), "seed {seed}");
    }
}

#[test]
fn different_seeds_give_different_runs() {
    hook_panics();
    assert_ne!(run(1).history, run(2).history);
}
