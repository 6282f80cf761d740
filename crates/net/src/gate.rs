//! A gate for log lines that strangers can cause.

use std::time::Duration;

use levada_env::Env;
use parking_lot::Mutex;

/// Lets one line pass in each interval and counts the others.
pub struct LogGate {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open_at: Duration,
    held_back: u64,
}

impl LogGate {
    /// A gate that is open for the first line.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            state: Mutex::default(),
        }
    }

    /// Whether to log now: how many lines were held back since the last one, or `None` to hold
    /// this one back too.
    pub fn pass(&self, env: &Env) -> Option<u64> {
        let now = env.monotonic();
        let mut state = self.state.lock();
        if now < state.open_at {
            state.held_back += 1;
            return None;
        }
        state.open_at = now + self.interval;
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_passes_per_interval_and_the_rest_are_counted() {
        let env = Env::real();
        let gate = LogGate::new(Duration::from_secs(10));
        assert_eq!(gate.pass(&env), Some(0));
        assert_eq!(gate.pass(&env), None);
        assert_eq!(gate.pass(&env), None);
        env.sleep(Duration::from_secs(10)).await;
        assert_eq!(gate.pass(&env), Some(2));
        assert_eq!(gate.pass(&env), None);
    }
}
