//! What a chore hands back: counts, and the closing line that CI reads.

use std::ops::AddAssign;

/// Counts of single checks. A chore fails when `failed` is above zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Tally {
    /// One check with this result.
    pub fn of(ok: bool) -> Self {
        Tally {
            passed: u64::from(ok),
            failed: u64::from(!ok),
            skipped: 0,
        }
    }

    /// The closing line, alone on its line: `N passed, N failed[, N skipped]`.
    pub fn print(&self) {
        print!("{} passed, {} failed", self.passed, self.failed);
        if self.skipped > 0 {
            print!(", {} skipped", self.skipped);
        }
        println!();
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}
