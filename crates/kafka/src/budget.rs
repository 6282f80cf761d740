//! A budget of bytes for requests that arrive, so that many large ones cannot exhaust memory.

use std::sync::Arc;
use std::time::Duration;

use levada_env::Env;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Bytes that all connections share. Who waits for bytes while holding some cannot block the others
/// for ever: one frame at a time may go over the budget, so that one always completes.
pub struct ByteBudget {
    bytes: Arc<Semaphore>,
    overdraft: Arc<Semaphore>,
    waiting: watch::Sender<Waiters>,
    env: Env,
    bytes_max: usize,
}

/// Those who wait for bytes.
#[derive(Default)]
struct Waiters {
    count: usize,
    /// Since when there has been one, on the monotonic clock.
    since: Duration,
}

/// Counts one who waits, until it is dropped.
struct Waiting<'a>(&'a ByteBudget);

impl<'a> Waiting<'a> {
    fn enter(budget: &'a ByteBudget) -> Self {
        // Only the first and the last are news.
        budget.waiting.send_if_modified(|waiters| {
            waiters.count += 1;
            if waiters.count == 1 {
                waiters.since = budget.env.monotonic();
            }
            waiters.count == 1
        });
        Self(budget)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_if_modified(|waiters| {
            waiters.count -= 1;
            waiters.count == 0
        });
    }
}

/// Bytes taken out of a [`ByteBudget`]; given back when dropped.
#[derive(Debug, Default)]
pub struct Held {
    bytes: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    pub fn new(env: Env, bytes_max: usize) -> Self {
        let bytes_max = bytes_max.clamp(1, u32::MAX as usize);
        Self {
            bytes: Arc::new(Semaphore::new(bytes_max)),
            overdraft: Arc::new(Semaphore::new(1)),
            waiting: watch::Sender::default(),
            env,
            bytes_max,
        }
    }

    /// Bytes that are taken now.
    pub fn used(&self) -> usize {
        self.bytes_max - self.bytes.available_permits()
    }

    /// Lets `held` grow to `bytes`; waits until there are so many or the overdraft is free.
    pub async fn grow(&self, held: &mut Held, bytes: usize) {
        let missing = bytes.saturating_sub(held.bytes());
        let Ok(missing) = u32::try_from(missing) else {
            return; // No frame is so large.
        };
        if missing == 0 || held.overdraft.is_some() {
            return;
        }
        match Arc::clone(&self.bytes).try_acquire_many_owned(missing) {
            Ok(more) => held.add(more),
            Err(_) => Box::pin(self.wait(held, missing)).await,
        }
    }

    /// Completes when others have had to wait for bytes for `limit` from now on: whoever holds some
    /// and does not need them at the moment should give them back.
    pub async fn stays_short_for(&self, limit: Duration) {
        let begun = self.env.monotonic();
        self.short_for(|since| since.max(begun) + limit).await;
    }

    /// As [`ByteBudget::stays_short_for`], but what they have waited already counts.
    pub async fn is_short_for(&self, limit: Duration) {
        self.short_for(|since| since + limit).await;
    }

    async fn short_for(&self, until: impl Fn(Duration) -> Duration) {
        let mut waiting = self.waiting.subscribe();
        loop {
            // The sender lives as long as we borrow it.
            let since = waiting.wait_for(|waiters| waiters.count > 0).await;
            let since = since.map_or(Duration::ZERO, |waiters| waiters.since);
            let left = until(since).saturating_sub(self.env.monotonic());
            let eased = waiting.wait_for(|waiters| waiters.count == 0);
            if self.env.timeout(left, eased).await.is_err() {
                return;
            }
        }
    }

    async fn wait(&self, held: &mut Held, missing: u32) {
        let _waiting = Waiting::enter(self);
        // More than the whole budget can only come from the overdraft.
        tokio::select! {
            biased;
            more = Arc::clone(&self.bytes).acquire_many_owned(missing) => {
                if let Ok(more) = more {
                    held.add(more);
                }
            }
            overdraft = Arc::clone(&self.overdraft).acquire_owned() => {
                held.overdraft = overdraft.ok();
            }
        }
    }
}

impl Held {
    /// How many they are; an overdraft is not counted.
    pub fn bytes(&self) -> usize {
        self.bytes
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits)
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.bytes {
            Some(bytes) => bytes.merge(more),
            None => self.bytes = Some(more),
        }
    }

    /// Takes `bytes` out, and the overdraft if it was used.
    pub fn split(&mut self, bytes: usize) -> Held {
        let bytes = bytes.min(self.bytes());
        Held {
            bytes: self.bytes.as_mut().and_then(|held| held.split(bytes)),
            overdraft: self.overdraft.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn bytes_come_back_when_dropped_and_can_be_split() {
        let budget = ByteBudget::new(Env::real(), 100);
        let mut held = Held::default();
        budget.grow(&mut held, 80).await;
        let part = held.split(30);
        assert_eq!(budget.used(), 80);
        drop(held);
        assert_eq!(budget.used(), 30);
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_short_once_somebody_has_waited_long_enough() {
        let (env, limit) = (Env::real(), Duration::from_secs(2));
        let budget = ByteBudget::new(Env::real(), 100);
        let (mut a, mut b, mut c) = (Held::default(), Held::default(), Held::default());
        budget.grow(&mut a, 90).await;
        budget.grow(&mut b, 200).await;
        let waits = env.timeout(limit * 10, budget.stays_short_for(limit));
        assert!(waits.await.is_err(), "nobody waits");
        let (short, _) = tokio::join!(
            env.timeout(limit * 2, budget.stays_short_for(limit)),
            env.timeout(limit * 3, budget.grow(&mut c, 50)),
        );
        assert!(short.is_ok());
        let waits = env.timeout(limit * 10, budget.stays_short_for(limit));
        assert!(waits.await.is_err(), "who waited has given up");
        let mut d = Held::default();
        let (waited, _) = tokio::join!(
            async {
                env.sleep(limit * 2).await;
                let begun = env.monotonic();
                budget.is_short_for(limit).await;
                env.monotonic() - begun
            },
            env.timeout(limit * 3, budget.grow(&mut d, 50)),
        );
        assert_eq!(waited, Duration::ZERO, "it had been short for long enough");
    }

    #[tokio::test]
    async fn one_at_a_time_may_go_over_and_the_next_waits() {
        let budget = ByteBudget::new(Env::real(), 100);
        let (mut a, mut b, mut c) = (Held::default(), Held::default(), Held::default());
        budget.grow(&mut a, 90).await;
        budget.grow(&mut b, 1_000_000).await;
        assert!(budget.grow(&mut c, 50).now_or_never().is_none());
        drop(b);
        budget.grow(&mut c, 50).now_or_never().unwrap();
        let mut d = Held::default();
        assert!(budget.grow(&mut d, 50).now_or_never().is_none());
        drop(a);
        budget.grow(&mut d, 50).now_or_never().unwrap();
    }
}
