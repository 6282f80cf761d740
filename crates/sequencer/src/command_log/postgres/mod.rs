//! The command log in PostgreSQL: one row a group commit, snapshots in a table beside it.
//!
//! A cell's log has one row that names its owner, its epoch and its end. An append changes that row
//! and adds its record in one statement, so that an owner that was replaced adds nothing, and a
//! record is there only when all before it are. Whoever opens the log owns it from then on.
//!
//! After a lost connection the owner raises its own epoch: then every statement of the old session
//! has ended or comes to nothing, and the end of the log says which appends happened.

mod session;
mod snapshots;
mod writer;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use levada_env::{
    Env,
    port::{Budget, PortError, PortFuture, PortResult, Ticket, Urgency},
};
use levada_model::LogPosition;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use self::{
    session::{Session, connect, migrate, within},
    writer::{Entry, Queued, Writer},
};
use super::{Appending, CommandLog, Recovered};

/// What a record costs beside its bytes; positions are running totals of both.
const RECORD_OVERHEAD_BYTES: i64 = 64;

/// Chosen by chance when a log is opened: tells its owner from any other.
type Owner = [u8; 16];

/// Where the server is, which log is meant, and the bounds.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// As PostgreSQL's own programs take it: `host=… port=… user=… dbname=…`. Without TLS.
    pub connection: String,
    /// Names the log among those in the database.
    pub cell: String,
    /// Records that wait for their segments or for the server; what comes beyond is refused.
    pub queued_bytes_max: u64,
    /// As much more for [`Urgency::Reserve`].
    pub reserve_bytes: u64,
    /// Appends sent and not answered.
    pub in_flight_max: usize,
    /// Without an answer for so long, the connection counts as lost.
    pub commit_time_max: Duration,
    /// For so long a lost server is asked what became of the appends under way.
    pub settle_time_max: Duration,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        PostgresSettings {
            connection: String::new(),
            cell: "levada".into(),
            queued_bytes_max: 64 << 20,
            reserve_bytes: 16 << 20,
            in_flight_max: 32,
            commit_time_max: Duration::from_secs(10),
            settle_time_max: Duration::from_secs(60),
        }
    }
}

/// A log in PostgreSQL. It is ours until somebody else opens it.
pub struct PostgresLog {
    shared: Arc<Shared>,
    budget: Arc<Budget>,
    /// Position of the newest record that was queued, and the queue, in one order.
    queue: Mutex<(i64, mpsc::UnboundedSender<Queued>)>,
}

struct Shared {
    env: Env,
    settings: PostgresSettings,
    owner: Owner,
    /// Position of the newest record that is durable.
    last: AtomicI64,
    /// Position of the newest snapshot.
    snapshot: AtomicU64,
    /// Snapshots that recovery could not read: they protect nothing.
    damaged: Mutex<Vec<i64>>,
    failed: Mutex<Option<PortError>>,
}

impl Shared {
    fn last(&self) -> i64 {
        self.last.load(Ordering::Acquire)
    }

    fn set_last(&self, position: i64) {
        self.last.store(position, Ordering::Release);
    }
}

impl PostgresLog {
    /// Brings the schema up to date and takes the log over from whoever owned it.
    ///
    /// # Errors
    /// `Rejected` when the server does not answer, is a standby, does not sync what it commits, or
    /// has a newer schema.
    pub async fn open(env: Env, settings: PostgresSettings) -> PortResult<PostgresLog> {
        let mut owner = Owner::default();
        env.random_bytes(&mut owner);
        let mut client = connect(&env, &settings).await?;
        within(&env, &settings, migrate(&mut client)).await?;
        let claim = Session::claim(client, &settings.cell, &owner);
        let session = within(&env, &settings, claim).await?;
        let last = session.last;
        let budget = Budget::new(settings.queued_bytes_max, settings.reserve_bytes);
        let shared = Arc::new(Shared {
            env: env.clone(),
            settings,
            owner,
            last: AtomicI64::new(last),
            snapshot: AtomicU64::new(0),
            damaged: Mutex::default(),
            failed: Mutex::new(None),
        });
        let (sender, receiver) = mpsc::unbounded_channel();
        let writer = Writer::new(Arc::clone(&shared), session);
        env.spawn("command log", writer.run(receiver));
        Ok(PostgresLog {
            shared,
            budget,
            queue: Mutex::new((last, sender)),
        })
    }
}

impl CommandLog for PostgresLog {
    fn append(
        &self,
        record: Bytes,
        tickets: Vec<Ticket>,
        urgency: Urgency,
    ) -> PortResult<Appending> {
        if let Some(error) = self.shared.failed.lock().clone() {
            return Err(error);
        }
        let length = i64::try_from(record.len()).unwrap_or(i64::MAX);
        let taken = self.budget.take(record.len() as u64, urgency)?;
        let mut queue = self.queue.lock();
        let (newest, sender) = &mut *queue;
        let position = newest
            .checked_add(RECORD_OVERHEAD_BYTES)
            .and_then(|at| at.checked_add(length))
            .ok_or_else(|| PortError::Rejected("positions are used up".into()))?;
        let (done, durable) = oneshot::channel();
        let entry = Entry {
            position,
            record,
            done,
            taken,
        };
        sender
            .send((entry, tickets))
            .map_err(|_| PortError::Rejected("the log is being closed".into()))?;
        *newest = position;
        Ok(Appending {
            position: LogPosition(position as u64),
            durable: Ticket::told(durable, "the log was closed before it answered"),
        })
    }

    fn recover(&self) -> PortFuture<'_, Recovered> {
        Box::pin(snapshots::recover(&self.shared))
    }

    fn save_snapshot(&self, position: LogPosition, pieces: Vec<Bytes>) -> PortFuture<'_, ()> {
        Box::pin(snapshots::save(&self.shared, position, pieces))
    }

    fn replay_bytes(&self) -> u64 {
        let from = self.shared.snapshot.load(Ordering::Acquire);
        (self.shared.last() as u64).saturating_sub(from)
    }
}

/// The checksum stored beside a record.
fn record_crc(position: i64, record: &[u8]) -> i64 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&position.to_le_bytes());
    digest.update(record);
    digest.finalize() as i64
}
