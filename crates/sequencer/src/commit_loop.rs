//! The sequencer's task: takes what waits as one group commit, logs it, and applies groups in
//! position order as they become durable.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use levada_catalog::{Command, CommandGroup, Reply};
use levada_env::port::{PortError, Ticket, Urgency};
use levada_model::{LogPosition, limits};
use tokio::sync::oneshot;

use crate::{
    handle::{Inner, ProposeError, Waiting},
    snapshots,
};

type ReplyTo = oneshot::Sender<Result<Reply, ProposeError>>;

/// One group commit on its way to stable storage.
struct UnderWay {
    group: CommandGroup,
    replies: Vec<ReplyTo>,
    position: LogPosition,
    durable: Ticket,
}

/// `last_now_ms`: the time of the newest command that was replayed; time never goes back.
pub(crate) async fn run(inner: Arc<Inner>, mut last_now_ms: i64) {
    let mut under_way: VecDeque<UnderWay> = VecDeque::new();
    let _end = End(&inner);
    loop {
        let room = under_way.len() < inner.settings.commits_in_flight_max;
        if room && let Some(group) = take_group(&inner) {
            if let Some(next) = log_group(&inner, group, &mut last_now_ms) {
                under_way.push_back(next);
            }
            continue;
        }
        let Some(front) = under_way.front_mut() else {
            if inner.closing.load(Ordering::Acquire) && inner.queue.lock().is_empty() {
                break;
            }
            inner.wake.notified().await;
            continue;
        };
        let outcome = tokio::select! {
            biased;
            outcome = &mut front.durable => outcome,
            () = inner.wake.notified(), if room => continue,
        };
        let Some(done) = under_way.pop_front() else {
            continue;
        };
        if let Err(error) = settle(&inner, done, outcome) {
            fail(&inner, &error, under_way);
            break;
        }
    }
}

/// Tells at the end of the task, however it came, that nobody need wait any longer.
struct End<'a>(&'a Inner);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = PortError::Indeterminate("the sequencer's task panicked".into());
            fail(self.0, &error, VecDeque::new());
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

fn log_group(inner: &Inner, waiting: Vec<Waiting>, last_now_ms: &mut i64) -> Option<UnderWay> {
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
        Ok(appending) => Some(UnderWay {
            group,
            replies,
            position: appending.position,
            durable: appending.durable,
        }),
        Err(error) => {
            refuse(replies, &error.into());
            None
        }
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
        // Whoever has gone away does not need the answer.
        let _ = reply.send(Ok(answer));
    }
    Ok(())
}

fn refuse(replies: Vec<ReplyTo>, error: &ProposeError) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}

/// The log failed for good: nothing after it can be promised, so everybody is told and we stop.
fn fail(inner: &Inner, error: &PortError, under_way: VecDeque<UnderWay>) {
    tracing::error!(%error, "the command log failed: stopping; restart once storage is sound");
    let refusal = fail_proposals(inner, &error.to_string());
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
