//! A budget of bytes for requests that arrive, so that many large ones cannot exhaust memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that all connections share. Who waits for bytes while holding some cannot block the others
/// for ever: one frame at a time may go over the budget, so that one always completes.
pub struct ByteBudget {
    bytes: Arc<Semaphore>,
    overdraft: Arc<Semaphore>,
    bytes_max: usize,
}

/// Bytes taken out of a [`ByteBudget`]; given back when dropped.
#[derive(Debug, Default)]
pub struct Held {
    bytes: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.clamp(1, u32::MAX as usize);
        Self {
            bytes: Arc::new(Semaphore::new(bytes_max)),
            overdraft: Arc::new(Semaphore::new(1)),
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

    async fn wait(&self, held: &mut Held, missing: u32) {
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
    fn bytes(&self) -> usize {
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
        let budget = ByteBudget::new(100);
        let mut held = Held::default();
        budget.grow(&mut held, 80).await;
        let part = held.split(30);
        assert_eq!(budget.used(), 80);
        drop(held);
        assert_eq!(budget.used(), 30);
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn one_at_a_time_may_go_over_and_the_next_waits() {
        let budget = ByteBudget::new(100);
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
