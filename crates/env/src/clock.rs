//! Wall clock and monotonic time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
    /// Time since this clock was made; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock. Its monotonic half is tokio's, so that it obeys paused time.
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// Starts at zero, now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now_ms(&self) -> i64 {
        // A clock set before 1970 reads as the epoch; one past the year 292 million as its end.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// 2026-01-01T00:00:00Z, where simulated time begins.
const SIMULATED_EPOCH_MS: i64 = 1_767_225_600_000;

/// A clock that moves only as tokio's does and always begins at the same date.
pub struct SimulatedClock {
    start: Instant,
}

impl SimulatedClock {
    /// Starts at zero, now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SimulatedClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimulatedClock {
    fn now_ms(&self) -> i64 {
        SIMULATED_EPOCH_MS
            .saturating_add(i64::try_from(self.monotonic().as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
