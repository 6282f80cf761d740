//! How long what may pass by itself is tried again, and who is told of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use levada_env::Env;
use levada_wire_kafka::ErrorCode;
use parking_lot::Mutex;

use crate::error::ClientError;

/// First pause before a retry; it doubles up to the last.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// A topic that is not there may be about to come; for longer than this it is not.
const UNKNOWN_TOPIC_MAX: Duration = Duration::from_secs(15);
/// Trouble that passes sooner is nobody's business, unless nobody answers at all.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// What a listener of a [`Patience`] hears.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// It is being tried again because of this; told once until it works again.
    Failing(&'a ClientError),
    /// What was failing works again.
    Recovered,
    /// A position was not in the partition any more, or not yet: reading goes on at `to`.
    Moved {
        topic: &'a str,
        partition: i32,
        from: i64,
        to: i64,
    },
}

type Listener = Arc<dyn Fn(Notice<'_>) + Send + Sync>;

/// Trouble since when, and whether it was told.
type Trouble = Arc<Mutex<Option<(Duration, bool)>>>;

/// How long a client tries again. Clones share what they have told.
#[derive(Clone)]
pub struct Patience {
    /// How long errors that may pass are tried again.
    pub timeout: Duration,
    /// Whether a network that stays away is waited for as long; else it is told soon.
    pub through_outages: bool,
    listener: Option<Listener>,
    trouble: Trouble,
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience")
            .field("timeout", &self.timeout)
            .field("through_outages", &self.through_outages)
            .finish_non_exhaustive()
    }
}

impl Patience {
    /// For somebody who waits: refusals that may pass for `timeout`, networks only shortly.
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            through_outages: false,
            listener: None,
            trouble: Trouble::default(),
        }
    }

    /// For what must go on when brokers restart: networks for `timeout` too.
    pub fn through_outages(timeout: Duration) -> Self {
        Self {
            through_outages: true,
            ..Self::new(timeout)
        }
    }

    /// With somebody who hears why it waits, and where reading goes on when it has to move.
    #[must_use]
    pub fn told_to(self, listener: impl Fn(Notice<'_>) + Send + Sync + 'static) -> Self {
        Self {
            listener: Some(Arc::new(listener)),
            ..self
        }
    }

    /// How long `error` is tried again.
    pub fn limit(&self, error: &ClientError) -> Duration {
        match error.code() {
            Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId) => {
                self.timeout.min(UNKNOWN_TOPIC_MAX)
            }
            _ => self.timeout,
        }
    }

    pub(crate) fn tell(&self, notice: Notice<'_>) {
        if let Some(listener) = &self.listener {
            listener(notice);
        }
    }

    /// Something failed and will be tried again. A lost connection alone says little: the next one
    /// may be there at once.
    pub(crate) fn failing(&self, error: &ClientError, now: Duration) {
        if self.listener.is_none() {
            return;
        }
        let away = matches!(
            error,
            ClientError::Unreachable { .. } | ClientError::TimedOut { .. }
        );
        let first = {
            let mut trouble = self.trouble.lock();
            let (since, told) = trouble.get_or_insert((now, false));
            let due = away || now.saturating_sub(*since) >= QUIET_MAX;
            let first = due && !*told;
            *told |= due;
            first
        };
        if first {
            self.tell(Notice::Failing(error));
        }
    }

    /// Something worked.
    pub(crate) fn works(&self) {
        if self.listener.is_some() && matches!(self.trouble.lock().take(), Some((_, true))) {
            self.tell(Notice::Recovered);
        }
    }
}

/// How long one operation is tried again, with growing pauses.
pub struct Retries {
    env: Env,
    patience: Patience,
    started: Duration,
    /// When the network was last the reason: what is refused behind an outage is new.
    answered_since: Duration,
    pause: Duration,
    /// A person waits: an unreachable network is told soon.
    network_left: u32,
}

impl Retries {
    pub(crate) fn new(env: &Env, patience: &Patience) -> Self {
        let now = env.monotonic();
        Self {
            env: env.clone(),
            patience: patience.clone(),
            started: now,
            answered_since: now,
            pause: RETRY_PAUSE_MIN,
            network_left: 2,
        }
    }

    /// Whether to try again after `error`, once this has paused.
    pub async fn again(&mut self, error: &ClientError) -> bool {
        let now = self.env.monotonic();
        let limit = self.patience.limit(error);
        let since = if limit < self.patience.timeout {
            self.answered_since
        } else {
            self.started
        };
        if !error.is_retriable() || now.saturating_sub(since) >= limit {
            return false;
        }
        if error.is_network() {
            self.answered_since = now;
            if !self.patience.through_outages {
                if self.network_left == 0 || matches!(error, ClientError::TimedOut { .. }) {
                    return false;
                }
                self.network_left -= 1;
            }
        }
        self.patience.failing(error, now);
        self.env.sleep(self.pause).await;
        self.pause = (self.pause * 2).min(RETRY_PAUSE_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> ClientError {
        ClientError::Unreachable {
            address: "127.0.0.1:1".into(),
            reason: "refused".into(),
        }
    }

    #[test]
    fn trouble_is_told_once_and_so_is_its_end() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = heard.clone();
        let patience = Patience::new(Duration::MAX).told_to(move |notice| {
            ears.lock().push(match notice {
                Notice::Failing(_) => "failing",
                Notice::Recovered => "recovered",
                Notice::Moved { .. } => "moved",
            });
        });
        let second = Duration::from_secs(1);
        patience.works();
        // A refusal that passes at once is not told.
        let refused = ClientError::refused("t", ErrorCode::LeaderNotAvailable);
        patience.failing(&refused, second);
        patience.works();
        assert!(heard.lock().is_empty());
        patience.failing(&refused, second * 2);
        patience.failing(&refused, second * 3);
        patience.failing(&unreachable(), second * 3);
        patience.works();
        patience.works();
        patience.failing(&unreachable(), second * 9);
        assert_eq!(*heard.lock(), ["failing", "recovered", "failing"]);
    }
}
