//! The handle by which the engine proposes commands and reads the state.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use levada_catalog::{Command, Effect, Reply, State};
use levada_env::{
    Env,
    port::{PortError, Ticket, Urgency},
};
use levada_model::LogPosition;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot, watch};

use crate::{
    SequencerSettings,
    command_log::CommandLog,
    commit_loop::{self, Line},
    snapshots,
};

/// Why a proposal has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It did not happen: storage is full or too much waits. Retry later.
    #[error("not now: {0}")]
    Rejected(String),
    /// The sequencer stopped; whether the command happened is settled by the next start.
    #[error("the service is stopping: {0}")]
    Stopped(String),
}

impl From<PortError> for ProposeError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Rejected(why) => ProposeError::Rejected(why),
            other => ProposeError::Stopped(other.to_string()),
        }
    }
}

/// Is told what changed, after the state shows it and before the proposer has its reply.
pub trait EffectSink: Send + Sync {
    /// Must be quick: it runs between two group commits.
    fn notice(&self, effects: &[Effect]);
}

/// A command with the tickets of the segments that it names.
pub struct Proposal {
    pub command: Command,
    pub tickets: Vec<Ticket>,
    pub urgency: Urgency,
}

/// What became of a proposal.
pub type Answer = Result<Reply, ProposeError>;

/// Is told what became of a proposal. Runs between two group commits: it must be quick, and must
/// not propose.
pub(crate) type ReplyTo = Box<dyn FnOnce(Answer) + Send>;

pub(crate) struct Waiting {
    pub proposal: Proposal,
    pub reply: ReplyTo,
}

pub(crate) struct Inner {
    pub env: Env,
    pub settings: SequencerSettings,
    pub log: Arc<dyn CommandLog>,
    pub state: RwLock<State>,
    pub queue: Mutex<VecDeque<Waiting>>,
    /// Locked before `queue`.
    pub line: Mutex<Line>,
    pub wake: Arc<Notify>,
    pub closing: AtomicBool,
    /// Set once the task has ended.
    pub closed: watch::Sender<bool>,
    pub sink: OnceLock<Arc<dyn EffectSink>>,
    pub applied: AtomicU64,
    /// Set under the queue's lock, so that nothing is queued that nobody will answer.
    pub failure: Mutex<Option<String>>,
    pub failed: Notify,
    pub snapshot_under_way: AtomicBool,
    /// After a snapshot that could not be stored: none before this, milliseconds of monotonic time.
    pub snapshot_after_ms: AtomicU64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Sequencer {
    pub(crate) inner: Arc<Inner>,
}

impl Sequencer {
    pub(crate) fn start(
        env: Env,
        settings: SequencerSettings,
        log: Arc<dyn CommandLog>,
        state: State,
        applied: LogPosition,
        last_now_ms: i64,
    ) -> Sequencer {
        let wake = Arc::new(Notify::new());
        let inner = Arc::new(Inner {
            env: env.clone(),
            settings,
            log,
            state: RwLock::new(state),
            queue: Mutex::default(),
            line: Mutex::new(Line::new(Arc::clone(&wake), last_now_ms)),
            wake,
            closing: AtomicBool::new(false),
            closed: watch::Sender::new(false),
            sink: OnceLock::new(),
            applied: AtomicU64::new(applied.0),
            failure: Mutex::new(None),
            failed: Notify::new(),
            snapshot_under_way: AtomicBool::new(false),
            snapshot_after_ms: AtomicU64::new(0),
        });
        env.spawn("sequencer", commit_loop::run(Arc::clone(&inner)));
        Sequencer { inner }
    }

    /// Names who is told of effects. Once, before the first proposal.
    pub fn set_sink(&self, sink: Arc<dyn EffectSink>) {
        let first = self.inner.sink.set(sink).is_ok();
        assert!(first, "the effect sink is set once");
    }

    /// Proposes a command of normal urgency that names no segment.
    ///
    /// # Errors
    /// As [`Sequencer::submit`].
    pub async fn propose(&self, command: Command, urgency: Urgency) -> Result<Reply, ProposeError> {
        self.submit(Proposal {
            command,
            tickets: Vec::new(),
            urgency,
        })
        .await
    }

    /// Proposes at once, in call order; the future resolves when it is durable and applied.
    ///
    /// # Errors
    /// [`ProposeError::Rejected`] when it did not happen, [`ProposeError::Stopped`] when the
    /// service stops first.
    pub fn submit(
        &self,
        proposal: Proposal,
    ) -> impl Future<Output = Answer> + Send + 'static + use<> {
        let (reply, answer) = oneshot::channel();
        // Whoever has gone away does not need the answer.
        self.submit_with(proposal, move |told| drop(reply.send(told)));
        async move {
            let stopped = |_| Err(ProposeError::Stopped("shutting down".into()));
            answer.await.unwrap_or_else(stopped)
        }
    }

    /// The same for those who would only wait to pass the answer on: `done` is told it, where it
    /// becomes known, so that no task has to be woken for it. It must be quick and not propose. It
    /// is dropped untold when the service ends before the answer is known.
    pub fn submit_with(&self, proposal: Proposal, done: impl FnOnce(Answer) + Send + 'static) {
        let reply: ReplyTo = Box::new(done);
        match self.enqueue(Waiting { proposal, reply }) {
            Ok(()) => commit_loop::log_waiting(&self.inner),
            Err((reply, error)) => reply(Err(error)),
        }
    }

    fn enqueue(&self, waiting: Waiting) -> Result<(), (ReplyTo, ProposeError)> {
        let mut queue = self.inner.queue.lock();
        let refused = if let Some(why) = self.inner.failure.lock().clone() {
            ProposeError::Stopped(why)
        } else if self.inner.closing.load(Ordering::Acquire) {
            ProposeError::Stopped("shutting down".into())
        } else if queue.len() >= self.inner.settings.proposals_max {
            ProposeError::Rejected(format!("{} proposals wait already", queue.len()))
        } else {
            queue.push_back(waiting);
            return Ok(());
        };
        Err((waiting.reply, refused))
    }

    /// Reads the state as it is now. Keep `read` short: appliers wait for it.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.inner.state.read())
    }

    /// Ends the service: nothing more is taken, and [`Sequencer::failed`] resolves with `why`. For
    /// those without whom commands can no longer be proposed.
    pub fn fail(&self, why: &str) {
        commit_loop::fail_proposals(&self.inner, why);
    }

    /// Whether a full disk waits for a snapshot, which only a command begins: propose one.
    pub fn waits_for_a_command(&self) -> bool {
        snapshots::waits_for_a_command(&self.inner)
    }

    /// The position up to which the state is applied.
    pub fn applied(&self) -> LogPosition {
        LogPosition(self.inner.applied.load(Ordering::Acquire))
    }

    /// Resolves with the reason when the log failed for good; the process must stop then.
    pub async fn failed(&self) -> String {
        loop {
            let notified = self.inner.failed.notified();
            if let Some(why) = self.inner.failure.lock().clone() {
                return why;
            }
            notified.await;
        }
    }

    /// Finishes what was proposed, refuses what comes later, and returns when all is applied or the
    /// log has failed.
    pub async fn close(&self) {
        self.inner.closing.store(true, Ordering::Release);
        self.inner.wake.notify_one();
        let mut closed = self.inner.closed.subscribe();
        // The sender lives as long as this handle.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}
