//! Connections: what a server must be, the schema's versions, and who owns a cell's log.

use std::sync::Arc;

use levada_env::{Env, port::PortError};
use tokio_postgres::{Client, Config, NoTls, Statement, error::SqlState};

use super::{Owner, PostgresSettings};

/// The schema's versions, oldest first: each file brings the one before it up to its own.
const SCHEMA: [&str; 1] = [include_str!("schema/1.sql")];
/// Serialises starts while they look at the schema; a number of our own.
const SCHEMA_LOCK: i64 = 0x6c65_7661_6461;

/// Why a request to the server failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing is known but that the connection is of no use any longer.
    Lost(String),
    /// The server said no, and did nothing.
    Refused(PortError),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            return Failure::Lost(error.to_string());
        };
        let text = format!("PostgreSQL: {db}");
        let code = db.code();
        let class = code.code().get(..2).unwrap_or_default();
        let is_leaving = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            // After a failover the old primary may come back as a standby.
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ];
        if class == "08" || is_leaving.contains(code) || db.severity() == "FATAL" {
            Failure::Lost(text)
        } else if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
            Failure::Refused(PortError::Corrupt(text))
        } else {
            Failure::Refused(PortError::Rejected(text))
        }
    }
}

impl From<Failure> for PortError {
    /// For what changes nothing, or nothing that matters, when it is done again.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost(why) => PortError::Rejected(format!("PostgreSQL: {why}")),
            Failure::Refused(error) => error,
        }
    }
}

/// Runs one request within the settings' time.
///
/// # Errors
/// [`Failure`].
pub(super) async fn within<T, E>(
    env: &Env,
    settings: &PostgresSettings,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    let limit = settings.commit_time_max;
    match env.timeout(limit, request).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => Err(Failure::Lost(format!("no answer within {limit:?}"))),
    }
}

/// A connection to a server that keeps its word.
///
/// # Errors
/// [`Failure`]; `Rejected` when the server's settings would lose what it acknowledges.
pub(super) async fn connect(env: &Env, settings: &PostgresSettings) -> Result<Client, Failure> {
    within(env, settings, connect_at_once(env, settings)).await
}

async fn connect_at_once(env: &Env, settings: &PostgresSettings) -> Result<Client, Failure> {
    let mut config: Config = settings.connection.parse()?;
    let limit = settings.commit_time_max;
    // Whatever the server's defaults are: a commit is on disk before it is answered, and nothing
    // of an old session holds on to the row that says who the owner is.
    config.options(format!(
        "-c synchronous_commit=on -c default_transaction_isolation=read\\ committed \
         -c statement_timeout={0} -c idle_in_transaction_session_timeout={0}",
        limit.as_millis()
    ));
    config.application_name("levada").connect_timeout(limit);
    config.keepalives(true).tcp_user_timeout(limit);
    let (client, connection) = config.connect(NoTls).await?;
    env.spawn("postgres", async move {
        // Whoever waits for an answer is told too.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to PostgreSQL ended");
        }
    });
    let row = client
        .query_one(
            "SELECT current_setting('fsync') = 'on', pg_is_in_recovery()",
            &[],
        )
        .await?;
    if !row.get::<_, bool>(0) {
        return Err(Failure::Refused(PortError::Rejected(
            "PostgreSQL runs with fsync = off and would lose acknowledged records: turn it on"
                .into(),
        )));
    }
    match row.get(1) {
        true => Err(Failure::Lost("the server is a standby".into())),
        false => Ok(client),
    }
}

/// Brings the schema to the version that this program knows.
///
/// # Errors
/// [`Failure`]; `Rejected` when the schema is newer.
pub(super) async fn migrate(client: &mut Client) -> Result<(), Failure> {
    let step = client.transaction().await?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK])
        .await?;
    step.batch_execute("CREATE TABLE IF NOT EXISTS levada_schema (version integer NOT NULL)")
        .await?;
    let row = step
        .query_one("SELECT coalesce(max(version), 0) FROM levada_schema", &[])
        .await?;
    let have = usize::try_from(row.get::<_, i32>(0)).unwrap_or(usize::MAX);
    let missing = SCHEMA.get(have..).ok_or_else(|| {
        Failure::Refused(PortError::Rejected(format!(
            "the schema in PostgreSQL has version {have}, this program knows {}: start a newer one",
            SCHEMA.len()
        )))
    })?;
    for sql in missing {
        step.batch_execute(sql).await?;
    }
    if !missing.is_empty() {
        let version = SCHEMA.len() as i32;
        let insert = "INSERT INTO levada_schema (version) VALUES ($1)";
        step.execute(insert, &[&version]).await?;
    }
    step.commit().await?;
    Ok(())
}

/// A connection that owns the log, in its epoch.
pub(super) struct Session {
    pub client: Arc<Client>,
    pub append: Statement,
    pub epoch: i64,
    /// Where the log ended when this session began: nothing of an earlier one comes after it.
    pub last: i64,
}

impl Session {
    /// Takes the log over from whoever has it.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn claim(client: Client, cell: &str, owner: &Owner) -> Result<Session, Failure> {
        let owner = owner.as_slice();
        let row = client
            .query_one(
                "INSERT INTO levada_log (cell, epoch, owner, last, snapshot) \
                 VALUES ($1, 1, $2, 0, 0) ON CONFLICT (cell) DO UPDATE \
                 SET epoch = levada_log.epoch + 1, owner = $2 RETURNING epoch, last",
                &[&cell, &owner],
            )
            .await?;
        Session::begin(client, row.get(0), row.get(1)).await
    }

    /// Comes back after a lost connection. What the old one had under way is decided by then: the
    /// row that it changes is ours to change only when it has ended, and its epoch has passed.
    ///
    /// # Errors
    /// [`Failure`]; `Fenced` when another owner has come.
    pub async fn resume(client: Client, cell: &str, owner: &Owner) -> Result<Session, Failure> {
        let owner = owner.as_slice();
        let row = client
            .query_opt(
                "UPDATE levada_log SET epoch = epoch + 1 WHERE cell = $1 AND owner = $2 \
                 RETURNING epoch, last",
                &[&cell, &owner],
            )
            .await?;
        let row = row.ok_or_else(|| Failure::Refused(fenced(cell)))?;
        Session::begin(client, row.get(0), row.get(1)).await
    }

    async fn begin(client: Client, epoch: i64, last: i64) -> Result<Session, Failure> {
        let append = client
            .prepare(
                "WITH head AS (UPDATE levada_log SET last = $4 \
                 WHERE cell = $1 AND epoch = $2 AND last = $3 RETURNING 1) \
                 INSERT INTO levada_record (cell, position, previous, epoch, crc, record) \
                 SELECT $1, $4, $3, $2, $5, $6 FROM head",
            )
            .await?;
        Ok(Session {
            client: Arc::new(client),
            append,
            epoch,
            last,
        })
    }
}

pub(super) fn fenced(cell: &str) -> PortError {
    PortError::Fenced(format!("another process owns the log of cell {cell} now"))
}
