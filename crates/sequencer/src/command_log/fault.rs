//! A command log that fails as told: refuses, delays, and leaves open whether it did the work. For
//! tests of everything above the port.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use levada_env::{
    Env,
    port::{PortError, PortFuture, PortResult, Ticket, Urgency},
};
use levada_model::LogPosition;
use parking_lot::Mutex;

use super::{Appending, CommandLog, Recovered};

/// What goes wrong: once in so many calls on average, never at zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFaults {
    /// `append` refuses: nothing happened.
    pub append_rejected_one_in: u64,
    /// The record is stored, and its ticket says `Indeterminate`.
    pub append_done_indeterminate_one_in: u64,
    /// The record is not stored, and its ticket says `Indeterminate`.
    pub append_lost_indeterminate_one_in: u64,
    /// `save_snapshot` refuses: nothing happened.
    pub snapshot_rejected_one_in: u64,
    /// Tickets take up to so long.
    pub delay_max: Duration,
}

/// How often each fault has fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFaultCounts {
    pub append_rejected: u64,
    pub append_done_indeterminate: u64,
    pub append_lost_indeterminate: u64,
    pub snapshot_rejected: u64,
}

#[derive(Default)]
struct Inside {
    faults: LogFaults,
    counts: LogFaultCounts,
    fenced: bool,
    /// The position that a record would have had that was never handed on.
    last: LogPosition,
}

/// A command log with faults around another. Clones are the same one.
#[derive(Clone)]
pub struct FaultLog {
    env: Env,
    inner: Arc<dyn CommandLog>,
    inside: Arc<Mutex<Inside>>,
}

impl FaultLog {
    /// Without faults until [`FaultLog::set_faults`]. Chance and delays come from `env`.
    pub fn new(env: Env, inner: Arc<dyn CommandLog>) -> Self {
        FaultLog {
            env,
            inner,
            inside: Arc::default(),
        }
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: LogFaults) {
        self.inside.lock().faults = faults;
    }

    /// How often each fault has fired.
    pub fn counts(&self) -> LogFaultCounts {
        self.inside.lock().counts
    }

    /// Another owner has taken over: from now on everything is refused as `Fenced`.
    pub fn fence(&self) {
        self.inside.lock().fenced = true;
    }

    fn fires(
        &self,
        chance: impl Fn(&LogFaults) -> u64,
        count: impl Fn(&mut LogFaultCounts) -> &mut u64,
    ) -> bool {
        let mut inside = self.inside.lock();
        let one_in = chance(&inside.faults);
        let fires = one_in != 0 && self.env.random_u64().is_multiple_of(one_in);
        if fires {
            *count(&mut inside.counts) += 1;
        }
        fires
    }

    fn check_fence(&self) -> PortResult<()> {
        match self.inside.lock().fenced {
            true => Err(PortError::Fenced("a fault: another owner".into())),
            false => Ok(()),
        }
    }
}

impl CommandLog for FaultLog {
    fn append(
        &self,
        record: Bytes,
        tickets: Vec<Ticket>,
        urgency: Urgency,
    ) -> PortResult<Appending> {
        self.check_fence()?;
        if self.fires(|f| f.append_rejected_one_in, |c| &mut c.append_rejected) {
            return Err(PortError::Rejected("a fault: append was refused".into()));
        }
        let lost = self.fires(
            |f| f.append_lost_indeterminate_one_in,
            |c| &mut c.append_lost_indeterminate,
        );
        if lost {
            let mut inside = self.inside.lock();
            inside.last.0 += 1;
            return Ok(Appending {
                position: inside.last,
                durable: Ticket::new(async {
                    Err(PortError::Indeterminate("a fault: a timeout".into()))
                }),
            });
        }
        let unsure = self.fires(
            |f| f.append_done_indeterminate_one_in,
            |c| &mut c.append_done_indeterminate,
        );
        let appending = self.inner.append(record, tickets, urgency)?;
        self.inside.lock().last = appending.position;
        let (env, inside) = (self.env.clone(), Arc::clone(&self.inside));
        let durable = Ticket::new(async move {
            let nanos = inside.lock().faults.delay_max.as_nanos() as u64;
            if nanos > 0 {
                env.sleep(Duration::from_nanos(env.random_u64() % nanos))
                    .await;
            }
            appending.durable.await?;
            match unsure {
                true => Err(PortError::Indeterminate("a fault: a timeout".into())),
                false => Ok(()),
            }
        });
        Ok(Appending {
            position: appending.position,
            durable,
        })
    }

    fn recover(&self) -> PortFuture<'_, Recovered> {
        self.inner.recover()
    }

    fn save_snapshot(&self, position: LogPosition, pieces: Vec<Bytes>) -> PortFuture<'_, ()> {
        Box::pin(async move {
            self.check_fence()?;
            if self.fires(|f| f.snapshot_rejected_one_in, |c| &mut c.snapshot_rejected) {
                return Err(PortError::Rejected("a fault: snapshot was refused".into()));
            }
            self.inner.save_snapshot(position, pieces).await
        })
    }

    fn commands_hold_space(&self) -> bool {
        self.inner.commands_hold_space()
    }

    fn replay_bytes(&self) -> u64 {
        self.inner.replay_bytes()
    }
}
