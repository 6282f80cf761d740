//! The pace of long work that shares its thread with short work.

use std::time::Duration;

use crate::Env;

/// Work after which there is a rest.
const WORK: Duration = Duration::from_micros(200);
/// A rest is so many times as long as the work before it: what goes on at this pace takes a fifth of
/// a core at most.
const REST_TIMES: u32 = 4;
/// What a timer can tell apart.
const REST_MIN: Duration = Duration::from_millis(1);
/// However long the work was, or the system let it wait.
const REST_MAX: Duration = Duration::from_millis(10);

/// Rests between the slices of long work, so that neither its thread nor a core is busy with it for
/// long. Work of no time, as in a simulated world, only lets others go first.
pub struct Pace {
    env: Env,
    begun: Duration,
    worked: Duration,
}

impl Pace {
    /// The work begins now.
    #[must_use]
    pub fn new(env: &Env) -> Pace {
        Pace {
            env: env.clone(),
            begun: env.monotonic(),
            worked: Duration::ZERO,
        }
    }

    /// Between two slices: lets others go first, and rests once the work was long enough.
    pub async fn rest(&mut self) {
        self.worked += self.env.monotonic().saturating_sub(self.begun);
        if self.worked < WORK {
            tokio::task::yield_now().await;
        } else {
            let rest = (self.worked * REST_TIMES).clamp(REST_MIN, REST_MAX);
            self.worked = Duration::ZERO;
            self.env.sleep(rest).await;
        }
        self.begun = self.env.monotonic();
    }

    /// The work went on elsewhere since the last slice: that time does not count.
    pub fn resume(&mut self) {
        self.begun = self.env.monotonic();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn long_work_rests_for_a_bounded_time_and_short_work_not_at_all() {
        let env = Env::real();
        let mut pace = Pace::new(&env);
        let begun = env.monotonic();
        for _ in 0..1000 {
            pace.rest().await;
        }
        assert_eq!(env.monotonic(), begun);
        for (work_ms, rest_ms) in [(1, 4), (50, 10)] {
            // What is slept through is work of that length to the pace.
            env.sleep(Duration::from_millis(work_ms)).await;
            let before = env.monotonic();
            pace.rest().await;
            // Timers of paused time are late by up to a millisecond.
            let rested_ms = (env.monotonic() - before).as_millis();
            assert!((rest_ms..=rest_ms + 1).contains(&rested_ms), "{rested_ms}");
        }
        env.sleep(Duration::from_millis(50)).await;
        pace.resume();
        let before = env.monotonic();
        pace.rest().await;
        assert_eq!(env.monotonic(), before);
    }
}
