//! Runs checks one after another, each in a runtime of its own, and counts.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// No check may take longer: a server that hangs is a failure.
const CHECK_TIME_MAX: Duration = Duration::from_secs(240);

pub struct Runner {
    only: String,
    passed: u64,
    failed: u64,
}

impl Runner {
    /// Only checks whose name contains `only`.
    pub fn new(only: String) -> Self {
        Runner {
            only,
            passed: 0,
            failed: 0,
        }
    }

    /// Whether any of these checks is wanted.
    pub fn wants(&self, names: &[&str]) -> bool {
        names.iter().any(|name| name.contains(&self.only))
    }

    /// Runs one check: a panic in it, or no end, is its failure.
    pub fn check(&mut self, name: &str, check: impl Future<Output = ()>) {
        if !self.wants(&[name]) {
            return;
        }
        let started = Instant::now();
        let run = || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime starts");
            let done = async { tokio::time::timeout(CHECK_TIME_MAX, check).await };
            let outcome = runtime.block_on(done);
            runtime.shutdown_background();
            outcome.unwrap_or_else(|_| panic!("no end within {CHECK_TIME_MAX:?}"));
        };
        let ok = catch_unwind(AssertUnwindSafe(run)).is_ok();
        let seconds = started.elapsed().as_secs_f64();
        match ok {
            true => self.passed += 1,
            false => self.failed += 1,
        }
        println!("{} {name} {seconds:.1} s", if ok { "ok  " } else { "FAIL" });
    }

    /// Prints the closing line; true when nothing failed.
    pub fn finish(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}
