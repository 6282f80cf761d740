//! The task that owns the connection: sends appends in their order without waiting for answers, and
//! settles what a lost connection left open.

use std::{collections::VecDeque, pin::Pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::poll;
use levada_env::port::{PortError, PortFuture, PortResult, Taken, Ticket};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;

use super::{
    Shared, record_crc,
    session::{Failure, Session, connect, within},
};
use crate::command_log::not_appended;

const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A record on its way.
pub(super) struct Entry {
    pub position: i64,
    pub record: Bytes,
    pub done: oneshot::Sender<PortResult<()>>,
    /// Gives its bytes back when the entry goes.
    pub taken: Taken,
}

/// What is queued: an entry and all its tickets.
pub(super) type Queued = (Entry, Vec<Ticket>);

type Answer = Pin<Box<dyn Future<Output = Result<u64, Failure>> + Send>>;

struct Sent {
    entry: Entry,
    answer: Answer,
}

/// The oldest queued entry while its tickets are awaited.
struct Next {
    entry: Entry,
    tickets: PortFuture<'static, ()>,
}

enum Step {
    Answered(Result<u64, Failure>),
    Ready(Entry, PortResult<()>),
    Closed,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    session: Session,
    in_flight: VecDeque<Sent>,
    /// Position of the newest record that was sent: the next one names it.
    sent: i64,
    /// The server refused an append. Those sent behind it name it and are refused too.
    broken: bool,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, session: Session) -> Self {
        Writer {
            sent: session.last,
            shared,
            session,
            in_flight: VecDeque::new(),
            broken: false,
        }
    }

    /// Runs until the log is dropped or of no use any longer.
    pub async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Queued>) {
        let mut next = None;
        let mut closed = false;
        while !(closed && self.in_flight.is_empty()) {
            let room = self.in_flight.len() < self.shared.settings.in_flight_max;
            let step = tokio::select! {
                biased;
                answer = answer(self.in_flight.front_mut()) => Step::Answered(answer),
                step = ready(&mut next, &mut queue), if room && !self.broken && !closed => step,
            };
            let outcome = match step {
                Step::Answered(answer) => self.answered(answer).await,
                Step::Ready(entry, Ok(())) => {
                    self.send(entry).await;
                    Ok(())
                }
                Step::Ready(entry, Err(error)) => {
                    tell(entry, Err(not_appended(error)));
                    Ok(())
                }
                Step::Closed => {
                    closed = true;
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                return self.fail(error, next, queue);
            }
        }
    }

    /// Sends an append behind all that were sent, and does not wait for its answer.
    async fn send(&mut self, entry: Entry) {
        let client = Arc::clone(&self.session.client);
        let statement = self.session.append.clone();
        let (epoch, previous, position) = (self.session.epoch, self.sent, entry.position);
        let record = entry.record.clone();
        let shared = Arc::clone(&self.shared);
        let mut answer: Answer = Box::pin(async move {
            let (cell, crc) = (&shared.settings.cell, record_crc(position, &record));
            let bytes: &[u8] = &record;
            let values: [&(dyn ToSql + Sync); 6] =
                [cell, &epoch, &previous, &position, &crc, &bytes];
            let request = client.execute(&statement, &values);
            within(&shared.env, &shared.settings, request).await
        });
        // The first poll puts it on the wire; the order there is the order of the log.
        if let Poll::Ready(early) = poll!(&mut answer) {
            answer = Box::pin(async move { early });
        }
        self.sent = position;
        self.in_flight.push_back(Sent { entry, answer });
    }

    /// What the server said about the oldest append under way.
    ///
    /// # Errors
    /// When the log is of no use any longer.
    async fn answered(&mut self, answer: Result<u64, Failure>) -> Result<(), PortError> {
        match answer {
            Ok(1) => {
                if let Some(sent) = self.in_flight.pop_front() {
                    self.durable(sent.entry);
                }
            }
            Ok(_) if self.broken => self.refuse(PortError::Rejected(
                "the record before it was refused".into(),
            )),
            Err(Failure::Refused(error)) => {
                self.refuse(error);
                self.broken = true;
            }
            Ok(_) => self.settle("the end of the log was moved").await?,
            Err(Failure::Lost(why)) => self.settle(&why).await?,
        }
        if self.broken && self.in_flight.is_empty() {
            self.broken = false;
            self.sent = self.shared.last();
        }
        Ok(())
    }

    fn durable(&self, entry: Entry) {
        self.shared.set_last(entry.position);
        tell(entry, Ok(()));
    }

    fn refuse(&mut self, error: PortError) {
        if let Some(sent) = self.in_flight.pop_front() {
            tell(sent.entry, Err(error));
        }
    }

    /// Comes back on a new connection, learns which of the appends under way happened, and sends
    /// the others again.
    ///
    /// # Errors
    /// `Fenced`, `Indeterminate` when the server does not come back, `Corrupt`.
    async fn settle(&mut self, why: &str) -> Result<(), PortError> {
        tracing::warn!(why, "PostgreSQL was lost; appends under way are settled");
        self.session = come_back(&self.shared).await?;
        let last = self.session.last;
        let is_ours = |sent: &Sent| sent.entry.position == last;
        if last != self.shared.last() && !self.in_flight.iter().any(is_ours) {
            return Err(PortError::Corrupt(format!(
                "the log in PostgreSQL ends at {last}, where no append of its owner ended"
            )));
        }
        self.sent = last;
        let was_broken = std::mem::take(&mut self.broken);
        for sent in std::mem::take(&mut self.in_flight) {
            if sent.entry.position <= last {
                self.durable(sent.entry);
            } else if was_broken {
                let why = "the record before it was refused".to_owned();
                tell(sent.entry, Err(PortError::Rejected(why)));
            } else {
                self.send(sent.entry).await;
            }
        }
        Ok(())
    }

    /// Nothing after this can be promised: everybody is told, and whoever comes later too.
    fn fail(
        self,
        error: PortError,
        next: Option<Next>,
        mut queue: mpsc::UnboundedReceiver<Queued>,
    ) {
        *self.shared.failed.lock() = Some(error.clone());
        queue.close();
        let mut waiting: Vec<Entry> = self.in_flight.into_iter().map(|sent| sent.entry).collect();
        waiting.extend(next.map(|next| next.entry));
        while let Ok((entry, _)) = queue.try_recv() {
            waiting.push(entry);
        }
        for entry in waiting {
            tell(entry, Err(error.clone()));
        }
    }
}

/// A new connection that owns the log.
///
/// # Errors
/// `Fenced`; `Indeterminate` when the server does not come back in time.
async fn come_back(shared: &Shared) -> Result<Session, PortError> {
    let end = shared.env.monotonic() + shared.settings.settle_time_max;
    let mut pause = BACKOFF_MIN;
    loop {
        let why = match resume(shared).await {
            Ok(session) => return Ok(session),
            Err(Failure::Refused(error @ PortError::Fenced(_))) => return Err(error),
            Err(Failure::Refused(error)) => error.to_string(),
            Err(Failure::Lost(why)) => why,
        };
        if shared.env.monotonic() + pause > end {
            return Err(PortError::Indeterminate(format!("PostgreSQL: {why}")));
        }
        shared.env.sleep(pause).await;
        pause = (pause * 2).min(BACKOFF_MAX);
    }
}

async fn resume(shared: &Shared) -> Result<Session, Failure> {
    let (env, settings) = (&shared.env, &shared.settings);
    let client = connect(env, settings).await?;
    let resume = Session::resume(client, &settings.cell, &shared.owner);
    within(env, settings, resume).await
}

async fn answer(front: Option<&mut Sent>) -> Result<u64, Failure> {
    match front {
        Some(sent) => sent.answer.as_mut().await,
        None => std::future::pending().await,
    }
}

/// The oldest queued entry once its tickets have resolved. May be dropped and called again.
async fn ready(next: &mut Option<Next>, queue: &mut mpsc::UnboundedReceiver<Queued>) -> Step {
    if next.is_none() {
        let Some((entry, tickets)) = queue.recv().await else {
            return Step::Closed;
        };
        let tickets = Box::pin(async move {
            for ticket in tickets {
                ticket.await?;
            }
            Ok(())
        });
        *next = Some(Next { entry, tickets });
    }
    let outcome = match next {
        Some(next) => next.tickets.as_mut().await,
        None => Ok(()),
    };
    match next.take() {
        Some(next) => Step::Ready(next.entry, outcome),
        None => Step::Closed,
    }
}

fn tell(entry: Entry, outcome: PortResult<()>) {
    drop(entry.taken);
    // Whoever asked may have gone away.
    let _ = entry.done.send(outcome);
}
