//! Consumer groups outside the log: who waits, who is alive, what time leads to.
//!
//! The rules stand in `levada_catalog::groups`; nothing here decides. A join or a sync registers
//! as a waiter *before* it proposes or reads, so that no effect can pass between. Heartbeats only
//! read the state and move a deadline. One timer task serves all groups: a heap of due times, each
//! entry looked at only when it comes up, and an expiry is a proposal that names what it saw.

mod admin;
mod desk;
mod leaving;
mod names;
mod offsets;
mod settings;
mod timer;
mod timers;
mod waiting;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use levada_catalog::groups::{GroupCommand, GroupEffect, GroupReply};
use levada_catalog::{Command, Reply};
use levada_env::Env;
use levada_env::port::Urgency;
use levada_sequencer::Sequencer;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use admin::{DescribedGroup, DescribedMember, GroupFilter, GroupSummary};
pub use levada_catalog::groups::{
    CommittedOffset, GroupError, Join as JoinCommand, JoinProtocol, Joined, Leaving, RoundMember,
    RoundView,
};
pub use offsets::{CommitRequest, CommitTopic, FetchedOffsets, PartitionCommit, TopicPartitions};
pub use settings::GroupSettings;
pub use waiting::{JoinRefused, JoinRequest, SyncRequest, Synced};

use desk::Desk;

/// The groups of a cell. Cheap to clone.
#[derive(Clone)]
pub struct Groups {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    sequencer: Sequencer,
    settings: GroupSettings,
    desk: Mutex<Desk>,
    /// Wakes the timer task: something is due earlier than it knows, or all is closed.
    wake: Notify,
    closed: AtomicBool,
}

/// Groups as the sequencer knows them: they own the sequencer, so it must not own them in turn.
pub(crate) struct WeakGroups(Weak<Inner>);

impl WeakGroups {
    /// `None` once the engine is gone.
    pub(crate) fn upgrade(&self) -> Option<Groups> {
        self.0.upgrade().map(|inner| Groups { inner })
    }
}

impl Groups {
    /// The groups of a recovered state: every member has its full session timeout from now on.
    /// Once effects are dispatched, [`Groups::start`] lets time act on them.
    pub(crate) fn new(env: Env, settings: GroupSettings, sequencer: Sequencer) -> Groups {
        let groups = Groups {
            inner: Arc::new(Inner {
                desk: Mutex::new(Desk::new(&settings)),
                env,
                sequencer,
                settings,
                wake: Notify::new(),
                closed: AtomicBool::new(false),
            }),
        };
        groups.adopt();
        groups
    }

    pub(crate) fn downgrade(&self) -> WeakGroups {
        WeakGroups(Arc::downgrade(&self.inner))
    }

    /// Starts the timer task.
    pub(crate) fn start(&self) {
        self.inner.env.spawn("groups", timer::run(self.clone()));
    }

    pub fn settings(&self) -> &GroupSettings {
        &self.inner.settings
    }

    /// To be called for each group effect, in order, after the state shows it and before its
    /// proposer has the reply.
    pub fn on_effect(&self, effect: &GroupEffect) {
        let now_ms = self.now_ms();
        let sooner = self.inner.desk.lock().notice(effect, now_ms);
        if sooner {
            self.inner.wake.notify_one();
        }
    }

    /// Refuses calls from now on with COORDINATOR_NOT_AVAILABLE and answers those who wait with
    /// it: members keep their place and come back after the restart.
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.desk.lock().close();
        self.inner.wake.notify_one();
    }

    /// How much there is, now.
    pub fn sizes(&self) -> GroupSizes {
        let groups = self.inner.sequencer.read(|state| state.groups().len());
        let (watched, waiting) = self.inner.desk.lock().sizes();
        GroupSizes {
            groups,
            watched,
            waiting,
        }
    }

    fn is_closed(&self) -> bool {
        self.inner.closed.load(Ordering::Acquire)
    }

    fn check_open(&self) -> Result<(), GroupError> {
        if self.is_closed() {
            Err(GroupError::CoordinatorNotAvailable)
        } else {
            Ok(())
        }
    }

    /// Monotonic milliseconds.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.inner.env.monotonic().as_millis()).unwrap_or(u64::MAX)
    }

    /// Group changes are small and keep readers going, so they may use a full disk's reserve.
    async fn propose(&self, command: GroupCommand) -> Result<GroupReply, GroupError> {
        self.check_open()?;
        let command = Command::Group(command);
        match self
            .inner
            .sequencer
            .propose(command, Urgency::Reserve)
            .await
        {
            Ok(Reply::Group(GroupReply::Refused(error))) => Err(error),
            Ok(Reply::Group(reply)) => Ok(reply),
            Ok(other) => unreachable!("a group command was answered {other:?}"),
            Err(error) => {
                tracing::debug!(%error, "a group command was not stored");
                Err(GroupError::CoordinatorNotAvailable)
            }
        }
    }
}

/// Gauges of the groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupSizes {
    pub groups: usize,
    /// Groups that have members or calls that wait.
    pub watched: usize,
    /// JoinGroup and SyncGroup calls that wait.
    pub waiting: usize,
}
