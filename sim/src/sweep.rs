//! Many seeds over several threads: each run stays on one thread and follows from its seed alone.
#![allow(clippy::disallowed_methods)] // Threads of the tool, outside the worlds that it makes.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::report::Report;
use crate::run::{Outcome, run};

/// Runs every seed; `tell` gets each outcome.
pub fn sweep(seeds: Range<u64>, threads: usize, tell: impl Fn(&Outcome) + Sync) -> Report {
    let next = AtomicU64::new(seeds.start);
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut own = Report::default();
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = run(seed);
                    tell(&outcome);
                    own.add(&outcome);
                }
                report.lock().merge(own);
            });
        }
    });
    report.into_inner()
}
