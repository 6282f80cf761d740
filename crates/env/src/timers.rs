//! Timers that are used again.
//!
//! Most waits end long before their limit: each long poll, each append. A timer that is made and
//! dropped for each takes the driver's lock twice, and wakes the thread that sleeps in the driver,
//! only for it to learn of an earlier deadline. One that is kept and moved to a later deadline costs
//! an atomic: the driver looks again when the old one has passed.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, Sleep};

/// Timers kept at once. Who waits has its own; these are only those between two uses.
const KEPT_MAX: usize = 64;
/// A wait that is longer than the clock can tell: thirty years, as tokio's own.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// The time of a [`Env::timeout`](crate::Env::timeout) is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time is up")]
pub struct Elapsed;

type Timer = Pin<Box<Sleep>>;

/// The timers of one runtime that nobody uses at the moment.
#[derive(Default)]
pub(crate) struct Timers {
    kept: Mutex<Vec<Timer>>,
    /// A timer belongs to the runtime in which it was made: other runtimes keep none.
    home: OnceLock<Id>,
}

/// A timer in use; goes back when dropped.
struct Lent<'a> {
    timer: Option<Timer>,
    home: Option<&'a Timers>,
}

impl Timers {
    /// One that fires after `d`.
    fn lend(&self, d: Duration) -> Lent<'_> {
        let now = Instant::now();
        let due = now.checked_add(d).unwrap_or(now + FAR);
        let here = Handle::current().id();
        if *self.home.get_or_init(|| here) != here {
            return Lent {
                timer: Some(Box::pin(tokio::time::sleep_until(due))),
                home: None,
            };
        }
        let timer = match self.take(due) {
            Some(mut timer) => {
                timer.as_mut().reset(due);
                timer
            }
            None => Box::pin(tokio::time::sleep_until(due)),
        };
        Lent {
            timer: Some(timer),
            home: Some(self),
        }
    }

    /// The kept timer that is due last of those that need only be moved to later.
    fn take(&self, due: Instant) -> Option<Timer> {
        let mut kept = self.kept.lock();
        let earlier = kept.iter().enumerate().filter(|(_, t)| t.deadline() <= due);
        let (at, _) = earlier.max_by_key(|(_, timer)| timer.deadline())?;
        Some(kept.swap_remove(at))
    }

    /// Waits for `f`, at most for `d`.
    pub async fn timeout<F: Future>(&self, d: Duration, f: F) -> Result<F::Output, Elapsed> {
        let mut f = pin!(f);
        // What is ready at once needs no timer.
        let mut lent = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = f.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            let lent = lent.get_or_insert_with(|| self.lend(d));
            match &mut lent.timer {
                Some(timer) => timer.as_mut().poll(cx).map(|()| Err(Elapsed)),
                None => Poll::Ready(Err(Elapsed)),
            }
        })
        .await
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let (Some(timers), Some(timer)) = (self.home, self.timer.take()) {
            let mut kept = timers.kept.lock();
            if kept.len() < KEPT_MAX {
                kept.push(timer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_was_used_is_used_again_and_fires_in_its_new_time() {
        let timers = Timers::default();
        let never = || std::future::pending::<()>();
        let begun = Instant::now();
        let second = Duration::from_secs(1);
        // Given up long before its time.
        let short = timers.timeout(second, timers.timeout(second * 10, never()));
        assert_eq!(short.await, Err(Elapsed));
        assert_eq!(
            (begun.elapsed().as_secs(), timers.kept.lock().len()),
            (1, 2)
        );
        // A later deadline than one of them had, and an earlier one than the other's.
        assert_eq!(timers.timeout(second * 3, never()).await, Err(Elapsed));
        assert_eq!(
            (begun.elapsed().as_secs(), timers.kept.lock().len()),
            (4, 2)
        );
        // Earlier than all: a new one.
        assert_eq!(timers.timeout(second * 20, never()).await, Err(Elapsed));
        let now = timers.timeout(Duration::ZERO, never());
        assert_eq!(now.await, Err(Elapsed));
        assert_eq!(begun.elapsed().as_secs(), 24);
        assert_eq!(timers.timeout(Duration::MAX, async { 7 }).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_kept_than_allowed() {
        let timers = Timers::default();
        let lent: Vec<_> = (0..KEPT_MAX + 10)
            .map(|_| timers.lend(Duration::from_secs(5)))
            .collect();
        drop(lent);
        assert_eq!(timers.kept.lock().len(), KEPT_MAX);
    }

    #[test]
    fn a_second_runtime_does_not_get_the_timers_of_the_first() {
        let timers = Timers::default();
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            let wait = timers.timeout(Duration::from_millis(1), std::future::pending::<()>());
            assert_eq!(runtime.block_on(wait), Err(Elapsed));
            assert_eq!(timers.kept.lock().len(), 1);
        }
    }
}
