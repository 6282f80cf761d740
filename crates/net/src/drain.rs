//! Stopping in good order.

use std::future::Future;
use std::time::Duration;

use levada_env::Env;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long ended connections get to let go after the deadline, before they are left behind.
const LET_GO: Duration = Duration::from_millis(500);

/// Shared by a listener and its connections: first it asks them to finish, then it ends them.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    stop: CancellationToken,
    end: CancellationToken,
    open: TaskTracker,
}

impl Drain {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the drain begins: stop accepting, take no new work, finish what is in flight.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Whether the drain has begun.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// How many pieces of tracked work (connections, the accept loop) are still going on.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Runs `work` until it is done or the drain's deadline has passed. The drain waits for it.
    pub fn track<F: Future<Output = ()> + Send>(
        &self,
        work: F,
    ) -> impl Future<Output = ()> + Send + use<F> {
        let end = self.end.clone();
        let tracked = self.open.track_future(work);
        async move {
            tokio::select! {
                biased;
                () = tracked => {}
                () = end.cancelled() => {}
            }
        }
    }

    /// Asks everything tracked to finish and waits for it, at most `deadline`; then ends the rest.
    /// Returns how many had to be ended.
    pub async fn drain(&self, env: &Env, deadline: Duration) -> usize {
        self.stop.cancel();
        self.open.close();
        if env.timeout(deadline, self.open.wait()).await.is_ok() {
            return 0;
        }
        let left = self.open.len();
        self.end.cancel();
        let _ = env.timeout(LET_GO, self.open.wait()).await;
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_finishes_is_waited_for() {
        let (env, drain) = (Env::real(), Drain::new());
        let stop = drain.stopping().clone();
        let work = drain.track(async move { stop.cancelled().await });
        env.spawn("work", work);
        assert_eq!(drain.drain(&env, Duration::from_secs(5)).await, 0);
        assert_eq!(drain.open_count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_finish_is_ended_at_the_deadline() {
        let (env, drain) = (Env::real(), Drain::new());
        env.spawn("work", drain.track(std::future::pending()));
        let begun = env.monotonic();
        assert_eq!(drain.drain(&env, Duration::from_secs(5)).await, 1);
        assert!(env.monotonic() - begun < Duration::from_secs(6));
        assert_eq!(drain.open_count(), 0);
    }
}
