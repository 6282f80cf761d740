//! Moving all messages of a queue elsewhere, at a rate: what brings dead letters back to where they
//! failed. A task lives as long as the process; what it has not moved stays in its queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::send::SOURCE_HEADER;
use super::{Message, NewMessage, QueueError, Receive};
use crate::Engine;

/// Tasks that run at once in the cell, and that are remembered once they have ended.
const RUNNING_MAX: usize = 100;
const REMEMBERED_MAX: usize = 1000;
/// Messages that are under way at once.
const STEP: usize = 10;
/// How long a message is hidden while it moves.
const HIDDEN: Duration = Duration::from_secs(60);

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveState {
    Running,
    /// Somebody cancelled it, and its last step is under way.
    Cancelling,
    Cancelled,
    Completed,
    Failed,
}

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

/// Tasks of the cell, the newest last.
#[derive(Default)]
pub(super) struct Moves {
    tasks: Mutex<VecDeque<Arc<Mutex<MoveTask>>>>,
}

fn runs(task: &Mutex<MoveTask>) -> bool {
    matches!(
        task.lock().state,
        MoveState::Running | MoveState::Cancelling
    )
}

impl Moves {
    fn add(&self, task: MoveTask) -> Result<Arc<Mutex<MoveTask>>, QueueError> {
        let mut tasks = self.tasks.lock();
        let running: Vec<_> = tasks.iter().filter(|task| runs(task)).cloned().collect();
        let same = |other: &Arc<Mutex<MoveTask>>| other.lock().source == task.source;
        if running.iter().any(same) {
            let why = "messages of this queue are being moved already";
            return Err(QueueError::Invalid(why.into()));
        }
        if running.len() >= RUNNING_MAX {
            let why = format!("{RUNNING_MAX} queues are being moved already");
            return Err(QueueError::Invalid(why));
        }
        while tasks.len() >= REMEMBERED_MAX
            && let Some(ended) = tasks.iter().position(|task| !runs(task))
        {
            tasks.remove(ended);
        }
        let task = Arc::new(Mutex::new(task));
        tasks.push_back(Arc::clone(&task));
        Ok(task)
    }
}

impl Engine {
    /// Begins to move a queue's messages; gives the task's handle.
    ///
    /// # Errors
    /// A queue does not exist, or the source is being moved already.
    pub fn start_move(
        &self,
        source: &str,
        destination: Option<&str>,
        messages_per_second_max: Option<u32>,
    ) -> Result<String, QueueError> {
        let inner = &self.inner;
        if let Some(destination) = destination {
            inner.find_queue(destination)?;
        }
        let to_move = self.queue(source)?.counts.visible;
        let handle = format!(
            "{:016x}{:016x}",
            inner.env.random_u64(),
            inner.env.random_u64()
        );
        let task = inner.queues.moves.add(MoveTask {
            handle: handle.clone(),
            source: source.to_owned(),
            destination: destination.map(str::to_owned),
            messages_per_second_max,
            state: MoveState::Running,
            moved: 0,
            to_move,
            started_ms: inner.env.now_ms(),
            failure: None,
        })?;
        let engine = self.clone();
        inner.env.spawn("queue-move", async move {
            let outcome = engine.move_all(&task).await;
            let mut task = task.lock();
            task.state = match (&outcome, task.state) {
                (Err(_), _) => MoveState::Failed,
                (Ok(()), MoveState::Cancelling) => MoveState::Cancelled,
                (Ok(()), _) => MoveState::Completed,
            };
            task.failure = outcome.err().map(|error| error.to_string());
        });
        Ok(handle)
    }

    /// Ends a task; gives how many messages it had moved. `None`: no such task runs.
    pub fn cancel_move(&self, handle: &str) -> Option<u64> {
        let tasks = self.inner.queues.moves.tasks.lock();
        let mut tasks = tasks.iter().map(|task| task.lock());
        let mut task = tasks.find(|task| task.handle == handle)?;
        if task.state != MoveState::Running {
            return None;
        }
        task.state = MoveState::Cancelling;
        Some(task.moved)
    }

    /// The queue that a task moves messages out of.
    pub fn move_source(&self, handle: &str) -> Option<String> {
        let tasks = self.inner.queues.moves.tasks.lock();
        let mut tasks = tasks.iter().map(|task| task.lock());
        let task = tasks.find(|task| task.handle == handle)?;
        Some(task.source.clone())
    }

    /// Tasks of a queue, the newest first.
    pub fn moves(&self, source: &str, max: usize) -> Vec<MoveTask> {
        let tasks = self.inner.queues.moves.tasks.lock();
        let all = tasks.iter().rev().map(|task| task.lock().clone());
        all.filter(|task| task.source == source).take(max).collect()
    }

    async fn move_all(&self, task: &Mutex<MoveTask>) -> Result<(), QueueError> {
        let (source, destination, rate) = {
            let task = task.lock();
            let rate = task.messages_per_second_max.filter(|rate| *rate > 0);
            (task.source.clone(), task.destination.clone(), rate)
        };
        let receive = Receive {
            messages_max: rate.map_or(STEP, |rate| STEP.min(rate as usize)),
            bytes_max: usize::MAX,
            visibility: Some(HIDDEN),
            wait: Some(Duration::ZERO),
            attempt: None,
        };
        while task.lock().state == MoveState::Running && !self.inner.is_draining() {
            let messages = self.receive(&source, receive.clone()).await?;
            let count = messages.len();
            if count == 0 {
                return Ok(());
            }
            for message in messages {
                self.move_one(&source, destination.as_deref(), message)
                    .await?;
                task.lock().moved += 1;
            }
            if let Some(rate) = rate {
                let pause = Duration::from_secs(count as u64) / rate;
                self.inner.env.sleep(pause).await;
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
