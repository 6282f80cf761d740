//! When which request is sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Hands out requests to the connections, in an open loop each at its time.
pub struct Pace {
    next: AtomicU64,
    requests: u64,
    start: Duration,
    /// Between two requests, nanoseconds; `None` in a closed loop.
    interval_ns: Option<f64>,
}

/// A request's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub is_last: bool,
    /// When it is due; `None` in a closed loop. Its latency counts from then, whenever it is sent.
    pub due: Option<Duration>,
}

impl Pace {
    /// `count` records in requests of `batch`, from `start` on, `rate` records a second if given.
    pub fn new(rate: Option<u64>, batch: u32, count: u64, start: Duration) -> Self {
        let per_request = 1e9 * f64::from(batch);
        Self {
            next: AtomicU64::new(0),
            requests: count.div_ceil(u64::from(batch.max(1))),
            start,
            interval_ns: rate.map(|rate| per_request / rate as f64),
        }
    }

    /// The next request; `None` when all are handed out.
    pub fn take(&self) -> Option<Turn> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.requests).then(|| Turn {
            is_last: number + 1 == self.requests,
            due: self.due(number),
        })
    }

    /// When request `number` is due.
    pub fn due(&self, number: u64) -> Option<Duration> {
        let after = self.interval_ns? * number as f64;
        Some(self.start + Duration::from_nanos(after as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_gives_each_request_its_time_and_ends_with_the_last_one() {
        let pace = Pace::new(Some(1000), 2, 5, Duration::from_secs(1));
        let turns: Vec<Turn> = std::iter::from_fn(|| pace.take()).collect();
        let turn = |ms, is_last| Turn {
            is_last,
            due: Some(Duration::from_millis(ms)),
        };
        assert_eq!(
            turns,
            [turn(1000, false), turn(1002, false), turn(1004, true)]
        );
    }

    #[test]
    fn a_closed_loop_has_no_times() {
        let pace = Pace::new(None, 64, 64, Duration::ZERO);
        let only = Turn {
            is_last: true,
            due: None,
        };
        assert_eq!((pace.take(), pace.take()), (Some(only), None));
    }
}
