//! How long a client lets the service take (`timeout_ms` of Produce and of the changes of topics).
//!
//! A change that is late is not taken back: as in Kafka, REQUEST_TIMED_OUT says that it may be done
//! yet. There is a timer only while an answer waits.

use std::future::Future;
use std::time::Duration;

use levada_env::Env;
use levada_wire_kafka::ErrorCode;

use crate::errors::Refusal;

/// When an answer is due.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// On the monotonic clock.
    due: Option<Duration>,
    timeout_ms: i32,
}

impl Deadline {
    /// For an answer that waits for as long as it takes.
    pub const NONE: Self = Self {
        due: None,
        timeout_ms: 0,
    };

    /// `timeout_ms` from now. Without a limit for 0 and less: a single Kafka broker is done with its
    /// own log before it looks at the time, and so has no producer fail that sends 0.
    pub fn after(env: &Env, timeout_ms: i32) -> Self {
        match u64::try_from(timeout_ms) {
            Ok(1..) => Self {
                due: Some(
                    env.monotonic() + Duration::from_millis(timeout_ms.unsigned_abs().into()),
                ),
                timeout_ms,
            },
            _ => Self::NONE,
        }
    }

    /// What `work` gives, if it does in time. Work that is ready is never late.
    ///
    /// # Errors
    /// REQUEST_TIMED_OUT.
    pub async fn wait<T>(&self, env: &Env, work: impl Future<Output = T>) -> Result<T, Refusal> {
        let Some(due) = self.due else {
            return Ok(work.await);
        };
        let left = due.saturating_sub(env.monotonic());
        env.timeout(left, work).await.map_err(|_| {
            let message = format!(
                "not on stable storage within {} ms; it may be yet",
                self.timeout_ms
            );
            Refusal::new(ErrorCode::RequestTimedOut, message)
        })
    }
}
