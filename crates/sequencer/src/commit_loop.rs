//! The way of a proposal: who proposes takes what waits as one group commit and logs it, and the
//! sequencer's task applies the groups in position order as they become durable.
//!
//! Logging needs no task of its own, so that a proposal costs no change of task on its way to the
//! log's thread.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Wake, Waker},
};

use levada_catalog::{Command, CommandGroup};
use levada_env::port::{PortError, PortResult, Ticket, Urgency};
use levada_model::{LogPosition, limits};
use tokio::sync::Notify;

use crate::{
    handle::{Inner, ProposeError, ReplyTo, Waiting},
    snapshots,
};

/// One group commit on its way to stable storage.
struct UnderWay {
    group: CommandGroup,
    replies: Vec<ReplyTo>,
    position: LogPosition,
    durable: Ticket,
    /// What the ticket said, if it was asked already.
    outcome: Option<PortResult<()>>,
}

impl UnderWay {
    fn ask(&mut self, cx: &mut Context<'_>) {
        if self.outcome.is_none()
            && let Poll::Ready(outcome) = Pin::new(&mut self.durable).poll(cx)
        {
            self.outcome = Some(outcome);
        }
    }
}

/// The group commits under way, in the order of the log.
pub(crate) struct Line {
    under_way: VecDeque<UnderWay>,
    /// Of the newest command; time never goes back.
    last_now_ms: i64,
    /// Wakes the sequencer's task, whoever polls a ticket.
    task: Waker,
}

struct WakeTask(Arc<Notify>);

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Line {
    /// `last_now_ms`: the time of the newest command that was replayed.
    pub fn new(wake: Arc<Notify>, last_now_ms: i64) -> Line {
        Line {
            under_way: VecDeque::new(),
            last_now_ms,
            task: Waker::from(Arc::new(WakeTask(wake))),
        }
    }

    /// Adds a group. Only the oldest is asked, so one that is alone has to know whom to wake.
    fn push(&mut self, mut group: UnderWay) {
        if self.under_way.is_empty() {
            group.ask(&mut Context::from_waker(&self.task));
            if group.outcome.is_some() {
                self.task.wake_by_ref();
            }
        }
        self.under_way.push_back(group);
    }

    /// The oldest group, once it is known what became of it.
    fn next_settled(&mut self) -> Option<(UnderWay, PortResult<()>)> {
        let front = self.under_way.front_mut()?;
        front.ask(&mut Context::from_waker(&self.task));
        let outcome = front.outcome.take()?;
        Some((self.under_way.pop_front()?, outcome))
    }
}

pub(crate) async fn run(inner: Arc<Inner>) {
    let _end = End(&inner);
    loop {
        let settled = inner.line.lock().next_settled();
        if let Some((done, outcome)) = settled {
            // There is room for what waits. It goes first, as applying takes a moment.
            log_waiting(&inner);
            if let Err(error) = settle(&inner, done, outcome) {
                fail(&inner, &error);
                break;
            }
            continue;
        }
        if inner.closing.load(Ordering::Acquire) {
            log_waiting(&inner);
            let line = inner.line.lock();
            if line.under_way.is_empty() && inner.queue.lock().is_empty() {
                break;
            }
        }
        inner.wake.notified().await;
    }
}

/// Logs what waits, as far as there is room for it under way.
pub(crate) fn log_waiting(inner: &Inner) {
    let mut refused = Vec::new();
    {
        let mut line = inner.line.lock();
        while line.under_way.len() < inner.settings.commits_in_flight_max
            && let Some(group) = take_group(inner)
        {
            match log_group(inner, group, &mut line.last_now_ms) {
                Ok(next) => line.push(next),
                Err(refusal) => refused.push(refusal),
            }
        }
    }
    for (replies, error) in refused {
        refuse(replies, &error);
    }
}

/// Tells at the end of the task, however it came, that nobody need wait any longer.
struct End<'a>(&'a Inner);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = PortError::Indeterminate("the sequencer's task panicked".into());
            fail(self.0, &error);
        }
        self.0.closed.send_replace(true);
    }
}

/// The proposals that go together: in order, of one urgency, within the limits of a commit.
fn take_group(inner: &Inner) -> Option<Vec<Waiting>> {
    let mut queue = inner.queue.lock();
    let urgency = queue.front()?.proposal.urgency;
    let mut count = 0;
    let mut bytes = 0;
    for waiting in queue.iter().take(limits::COMMIT_COMMANDS_MAX) {
        bytes += waiting.proposal.command.size_hint();
        if waiting.proposal.urgency != urgency || (count > 0 && bytes > limits::COMMAND_BYTES_MAX) {
            break;
        }
        count += 1;
    }
    Some(queue.drain(..count).collect())
}

/// # Errors
/// When the log refused: those to tell, and why.
fn log_group(
    inner: &Inner,
    waiting: Vec<Waiting>,
    last_now_ms: &mut i64,
) -> Result<UnderWay, (Vec<ReplyTo>, ProposeError)> {
    let now_ms = inner.env.now_ms().max(*last_now_ms);
    *last_now_ms = now_ms;
    let urgency = waiting
        .first()
        .map_or(Urgency::Normal, |first| first.proposal.urgency);
    let mut replies = Vec::with_capacity(waiting.len());
    let mut commands: Vec<Command> = Vec::with_capacity(waiting.len());
    let mut tickets = Vec::new();
    for Waiting { proposal, reply } in waiting {
        commands.push(proposal.command);
        tickets.extend(proposal.tickets);
        replies.push(reply);
    }
    let group = CommandGroup { now_ms, commands };
    match inner.log.append(group.encode(), tickets, urgency) {
        Ok(appending) => Ok(UnderWay {
            group,
            replies,
            position: appending.position,
            durable: appending.durable,
            outcome: None,
        }),
        Err(error) => Err((replies, error.into())),
    }
}

/// Applies a durable group, or tells its proposers that it did not happen.
///
/// # Errors
/// When the log is no longer usable.
fn settle(
    inner: &Arc<Inner>,
    done: UnderWay,
    outcome: Result<(), PortError>,
) -> Result<(), PortError> {
    match outcome {
        Ok(()) => {}
        Err(error @ PortError::Rejected(_)) => {
            refuse(done.replies, &error.into());
            return Ok(());
        }
        Err(error) => {
            refuse(done.replies, &error.clone().into());
            return Err(error);
        }
    }
    let mut effects = Vec::new();
    let mut answers = Vec::with_capacity(done.replies.len());
    {
        let mut state = inner.state.write();
        for command in &done.group.commands {
            answers.push(state.apply(command, done.group.now_ms, &mut effects));
        }
        inner.applied.store(done.position.0, Ordering::Release);
        snapshots::begin_if_due(inner, &mut state, done.position, done.group.now_ms);
    }
    if let Some(sink) = inner.sink.get() {
        sink.notice(&effects);
    }
    for (reply, answer) in done.replies.into_iter().zip(answers) {
        reply(Ok(answer));
    }
    Ok(())
}

fn refuse(replies: Vec<ReplyTo>, error: &ProposeError) {
    for reply in replies {
        reply(Err(error.clone()));
    }
}

/// The log failed for good: nothing after it can be promised, so everybody is told and we stop.
fn fail(inner: &Inner, error: &PortError) {
    tracing::error!(%error, "the command log failed: stopping; restart once storage is sound");
    let refusal = fail_proposals(inner, &error.to_string());
    // Afterwards: whoever took a proposal before it was refused has logged it by the time that the
    // line is free.
    let under_way = std::mem::take(&mut inner.line.lock().under_way);
    for group in under_way {
        refuse(group.replies, &refusal);
    }
}

/// Refuses what waits and what comes, and tells whoever watches that the process must stop.
pub(crate) fn fail_proposals(inner: &Inner, why: &str) -> ProposeError {
    let waiting = {
        let mut queue = inner.queue.lock();
        inner.failure.lock().get_or_insert_with(|| why.to_owned());
        std::mem::take(&mut *queue)
    };
    let refusal = ProposeError::Stopped(why.to_owned());
    refuse(waiting.into_iter().map(|w| w.reply).collect(), &refusal);
    inner.failed.notify_waiters();
    refusal
}
