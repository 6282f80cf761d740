//! Moving all messages of a queue elsewhere, at a rate: what brings dead letters back to where they
//! failed. A task is a row of the state (`levada_catalog::queues::Move`): a restart goes on with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use levada_catalog::command::QueueCommand;
use levada_catalog::queues::{Move, MoveId, MoveUpdate, NewMove};
use levada_env::port::Urgency;
use levada_model::TopicId;
use parking_lot::Mutex;

pub use levada_catalog::queues::MoveState;

use super::send::SOURCE_HEADER;
use super::{Message, NewMessage, QueueError, Receive};
use crate::Engine;

/// Tasks that run at once in the cell.
const RUNNING_MAX: usize = 100;
/// Messages that are under way at once.
const STEP: usize = 10;
/// How long a message is hidden while it moves.
const HIDDEN: Duration = Duration::from_secs(60);
/// What is kept of a failure's text, in bytes.
const FAILURE_BYTES_MAX: usize = 400;

/// A task as listeners see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveTask {
    pub handle: String,
    pub source: String,
    /// `None`: each message goes back to the queue that gave up on it.
    pub destination: Option<String>,
    pub messages_per_second_max: Option<u32>,
    pub state: MoveState,
    pub moved: u64,
    /// Visible in the queue when the task began.
    pub to_move: u64,
    pub started_ms: i64,
    pub failure: Option<String>,
}

/// A task under way in this process.
struct Running {
    source: String,
    begun: NewMove,
    /// Since the task began, before a restart too.
    moved: AtomicU64,
    is_cancelled: AtomicBool,
}

impl Running {
    fn update(&self, state: MoveState, failure: Option<String>) -> QueueCommand {
        QueueCommand::UpdateMove(MoveUpdate {
            source: self.begun.source,
            id: self.begun.id,
            state,
            moved: self.moved.load(Ordering::Relaxed),
            failure,
        })
    }
}

/// Tasks under way, by their queue.
#[derive(Default)]
pub(super) struct Moves {
    running: Mutex<HashMap<TopicId, Arc<Running>, FixedState>>,
}

impl Moves {
    fn add(&self, task: &Arc<Running>) -> Result<(), QueueError> {
        let mut running = self.running.lock();
        if running.contains_key(&task.begun.source) {
            return Err(moving_already());
        }
        if running.len() >= RUNNING_MAX {
            let why = format!("{RUNNING_MAX} queues are being moved already");
            return Err(QueueError::Invalid(why));
        }
        running.insert(task.begun.source, Arc::clone(task));
        Ok(())
    }

    fn remove(&self, task: &Running) {
        self.running.lock().remove(&task.begun.source);
    }

    fn find(&self, handle: &str) -> Option<Arc<Running>> {
        let running = self.running.lock();
        let mut tasks = running.values();
        tasks.find(|task| name_of(task.begun.id) == handle).cloned()
    }
}

fn moving_already() -> QueueError {
    QueueError::Invalid("messages of this queue are being moved already".into())
}

fn name_of(id: MoveId) -> String {
    format!("{:032x}", u128::from_be_bytes(id))
}

impl Engine {
    /// Begins to move a queue's messages; gives the task's handle once the task is durable.
    ///
    /// # Errors
    /// A queue does not exist, the source is being moved already, or storage is not there.
    pub async fn start_move(
        &self,
        source: &str,
        destination: Option<&str>,
        messages_per_second_max: Option<u32>,
    ) -> Result<String, QueueError> {
        let inner = &self.inner;
        if let Some(destination) = destination {
            inner.find_queue(destination)?;
        }
        let info = self.queue(source)?;
        let mut id = MoveId::default();
        inner.env.random_bytes(&mut id);
        let task = Arc::new(Running {
            source: source.to_owned(),
            begun: NewMove {
                source: info.topic,
                id,
                destination: destination.map(str::to_owned),
                messages_per_second_max,
                to_move: info.counts.visible,
            },
            moved: AtomicU64::new(0),
            is_cancelled: AtomicBool::new(false),
        });
        let moves = &inner.queues.moves;
        moves.add(&task)?;
        let command = QueueCommand::StartMove(task.begun.clone());
        let started = inner.propose_queue(command, Urgency::Normal).await;
        let begun = started.and_then(|()| match self.knows(&task.begun) {
            true => Ok(()),
            // Its queue went meanwhile.
            false => Err(QueueError::Unknown),
        });
        if let Err(error) = begun {
            moves.remove(&task);
            return Err(error);
        }
        self.run_move(task, Duration::ZERO);
        Ok(name_of(id))
    }

    fn knows(&self, begun: &NewMove) -> bool {
        self.inner.sequencer.read(|state| {
            let mut running = state.queues().moves().running();
            running.any(|task| task.begun == *begun)
        })
    }

    /// Goes on with what was under way when the process ended.
    pub(crate) fn resume_moves(&self) {
        let tasks: Vec<_> = self.inner.sequencer.read(|state| {
            let running = state.queues().moves().running();
            let named = running.filter_map(|task| {
                let topic = state.topic(task.begun.source)?;
                Some((
                    topic.name.to_string(),
                    topic.config.queue.clone()?,
                    task.clone(),
                ))
            });
            named.collect()
        });
        for (source, settings, task) in tasks {
            // What was being moved stays hidden in a FIFO queue.
            let patience = if settings.is_fifo {
                HIDDEN
            } else {
                Duration::ZERO
            };
            let task = Arc::new(Running {
                source,
                moved: AtomicU64::new(task.moved),
                is_cancelled: AtomicBool::new(task.state == MoveState::Cancelling),
                begun: task.begun,
            });
            // There were no more than may be.
            if self.inner.queues.moves.add(&task).is_ok() {
                self.run_move(task, patience);
            }
        }
    }

    /// Cancels a task; gives how many messages it had moved. `None`: no such task runs.
    ///
    /// # Errors
    /// Storage is not there.
    pub async fn cancel_move(&self, handle: &str) -> Result<Option<u64>, QueueError> {
        let Some(task) = self.inner.queues.moves.find(handle) else {
            return Ok(None);
        };
        if task.is_cancelled.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        let moved = task.moved.load(Ordering::Relaxed);
        let command = task.update(MoveState::Cancelling, None);
        self.inner.propose_queue(command, Urgency::Reserve).await?;
        Ok(Some(moved))
    }

    /// The queue that a task under way moves messages out of.
    pub fn move_source(&self, handle: &str) -> Option<String> {
        let task = self.inner.queues.moves.find(handle)?;
        Some(task.source.clone())
    }

    /// Tasks of a queue, the newest first.
    pub fn moves(&self, source: &str, max: usize) -> Vec<MoveTask> {
        let now_ms = self.inner.env.now_ms();
        let tasks: Vec<Move> = self.inner.sequencer.read(|state| {
            let Some(topic) = state.topic_named(source) else {
                return Vec::new();
            };
            let tasks = state.queues().moves().of(topic.id, now_ms);
            tasks.take(max).cloned().collect()
        });
        let running = self.inner.queues.moves.running.lock();
        let show = |task: Move| {
            let live = running.get(&task.begun.source);
            let live = live.filter(|live| live.begun.id == task.begun.id);
            let moved = live.map_or(0, |live| live.moved.load(Ordering::Relaxed));
            MoveTask {
                handle: name_of(task.begun.id),
                source: source.to_owned(),
                destination: task.begun.destination,
                messages_per_second_max: task.begun.messages_per_second_max,
                state: task.state,
                moved: task.moved.max(moved),
                to_move: task.begun.to_move,
                started_ms: task.started_ms,
                failure: task.failure,
            }
        };
        tasks.into_iter().map(show).collect()
    }

    fn run_move(&self, task: Arc<Running>, patience: Duration) {
        let engine = self.clone();
        self.inner.env.spawn("queue-move", async move {
            let outcome = engine.move_all(&task, patience).await;
            let is_cancelled = task.is_cancelled.load(Ordering::Relaxed);
            // What the stop broke off goes on after the restart.
            if !engine.inner.is_draining() {
                let state = match &outcome {
                    Err(_) => MoveState::Failed,
                    Ok(()) if is_cancelled => MoveState::Cancelled,
                    Ok(()) => MoveState::Completed,
                };
                let failure = outcome.err().map(|error| shortened(error.to_string()));
                // Else it goes on after the restart, too.
                let _ = engine
                    .inner
                    .propose_queue(task.update(state, failure), Urgency::Reserve)
                    .await;
            }
            engine.inner.queues.moves.remove(&task);
        });
    }

    /// Moves until there is nothing to receive; `patience`: how long that may stay so at first.
    async fn move_all(&self, task: &Running, patience: Duration) -> Result<(), QueueError> {
        let env = &self.inner.env;
        let begun = &task.begun;
        let rate = begun.messages_per_second_max.filter(|rate| *rate > 0);
        let until = env.monotonic() + patience;
        while !task.is_cancelled.load(Ordering::Relaxed) && !self.inner.is_draining() {
            let receive = Receive {
                messages_max: rate.map_or(STEP, |rate| STEP.min(rate as usize)),
                bytes_max: usize::MAX,
                visibility: Some(HIDDEN),
                wait: Some(until.saturating_sub(env.monotonic())),
                attempt: None,
            };
            if self.inner.find_queue(&task.source)?.topic != begun.source {
                // Deleted, and another one has its name.
                return Ok(());
            }
            let messages = self.receive(&task.source, receive).await?;
            let count = messages.len();
            if count == 0 {
                return Ok(());
            }
            for message in messages {
                self.move_one(&task.source, begun.destination.as_deref(), message)
                    .await?;
                task.moved.fetch_add(1, Ordering::Relaxed);
            }
            let command = task.update(MoveState::Running, None);
            self.inner.propose_queue(command, Urgency::Reserve).await?;
            if let Some(rate) = rate {
                let pause = Duration::from_secs(count as u64) / rate;
                env.sleep(pause).await;
            }
        }
        Ok(())
    }

    async fn move_one(
        &self,
        source: &str,
        destination: Option<&str>,
        message: Message,
    ) -> Result<(), QueueError> {
        let home = message.dead_letter_source.as_deref();
        let target = destination.or(home).ok_or_else(|| {
            let why = "a message does not say which queue it came from: name a destination";
            QueueError::Invalid(why.into())
        })?;
        let found = self.inner.find_queue(target)?;
        let mut headers = message.headers;
        headers.retain(|(name, _)| name != SOURCE_HEADER);
        let new = NewMessage {
            body: message.body,
            group: message.group,
            headers,
            delay: None,
            // Once, if it is sent again after an answer that was lost.
            deduplication: Some(message.id.0),
            sent_ms: None,
        };
        let turn = self.inner.env.random_u64();
        for sent in self.send_to(&found, vec![new], turn).await {
            sent?;
        }
        for done in self.acknowledge(source, &[message.receipt]).await {
            done?;
        }
        Ok(())
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > FAILURE_BYTES_MAX {
        let end = (0..=FAILURE_BYTES_MAX)
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
    }
    text
}
