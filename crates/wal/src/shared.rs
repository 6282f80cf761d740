//! What all handles, the writer and the maintenance share, and how they wake each other.

use std::sync::Arc;
use std::time::Duration;

use levada_env::Env;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, watch};

use crate::error::WalError;
use crate::metrics::WalMetrics;
use crate::state::{State, Waiter};
use crate::writer::{Next, Writer};

pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    wake_thread: Condvar,
    wake_task: Notify,
    maintain_thread: Condvar,
    pub(crate) maintain: Mutex<bool>,
    /// Told once when the writer has ended.
    pub(crate) stopped: Notify,
    pub(crate) failed: watch::Sender<Option<Arc<str>>>,
    pub(crate) metrics: WalMetrics,
    simulated: bool,
}

impl Shared {
    pub(crate) fn new(state: State, simulated: bool) -> Self {
        Self {
            state: Mutex::new(state),
            wake_thread: Condvar::new(),
            wake_task: Notify::new(),
            maintain_thread: Condvar::new(),
            maintain: Mutex::new(true),
            stopped: Notify::new(),
            failed: watch::Sender::new(None),
            metrics: WalMetrics::default(),
            simulated,
        }
    }

    /// Wakes the writer; the state's lock is held.
    pub(crate) fn wake(&self, state: &mut State) {
        if !state.signal {
            state.signal = true;
            if self.simulated {
                self.wake_task.notify_one();
            } else {
                self.wake_thread.notify_one();
            }
        }
    }

    pub(crate) fn wake_maintenance(&self) {
        *self.maintain.lock() = true;
        self.maintain_thread.notify_one();
    }

    /// Waits until maintenance was asked for or the time has passed. False once the log has ended.
    pub(crate) fn wait_maintenance(&self, at_most: Option<Duration>) -> bool {
        let mut asked = self.maintain.lock();
        if !*asked {
            match at_most {
                Some(d) => {
                    self.maintain_thread.wait_for(&mut asked, d);
                }
                None => self.maintain_thread.wait(&mut asked),
            }
        }
        *asked = false;
        drop(asked);
        let state = self.state.lock();
        !state.stopped && state.fatal.is_none()
    }

    /// Tells waiters what became of their appends; no lock is held.
    pub(crate) fn answer(settled: Vec<(Waiter, Result<(), WalError>)>) {
        for (waiter, result) in settled {
            // Whoever stopped waiting does not want to know.
            let _ = waiter.done.send(result);
        }
    }

    /// Ends the log: nothing is promised any more.
    pub(crate) fn fail(&self, reason: &str) {
        tracing::error!(reason, "the log failed: the process must stop");
        let reason: Arc<str> = reason.into();
        let settled = {
            let mut state = self.state.lock();
            state.fatal.get_or_insert_with(|| reason.clone());
            state.settled_waiters()
        };
        self.failed.send_replace(Some(reason));
        Self::answer(settled);
    }
}

/// Ends the log when the writer panics: whoever waits must not wait for ever.
struct FailOnPanic(Arc<Shared>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0
                .fail("the log's writer panicked (a bug: please report it)");
        }
    }
}

/// Runs the writer on this thread until it stops.
pub(crate) fn drive_thread(mut writer: Writer) {
    let shared = writer.shared.clone();
    let _guard = FailOnPanic(shared.clone());
    let mut idle = false;
    loop {
        match writer.step(idle) {
            Next::Again => idle = false,
            Next::Stop => return,
            Next::Wait(time) => {
                let mut state = shared.state.lock();
                idle = false;
                while !state.signal && !idle {
                    match time {
                        None => shared.wake_thread.wait(&mut state),
                        Some(d) => idle = shared.wake_thread.wait_for(&mut state, d).timed_out(),
                    }
                }
            }
        }
    }
}

/// Runs the writer as a task: in a simulated world nothing has a thread of its own.
pub(crate) async fn drive_task(env: Env, mut writer: Writer) {
    let shared = writer.shared.clone();
    let mut idle = false;
    loop {
        env.disk_delay().await;
        match writer.step(idle) {
            Next::Again => idle = false,
            Next::Stop => return,
            Next::Wait(None) => {
                shared.wake_task.notified().await;
                idle = false;
            }
            Next::Wait(Some(d)) => {
                idle = env.timeout(d, shared.wake_task.notified()).await.is_err();
            }
        }
        if *shared.maintain.lock() {
            writer.pool.maintain(&shared);
        }
    }
}
