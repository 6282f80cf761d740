//! What a start reads: the newest snapshot that is whole, and the records after it; and how a
//! snapshot gets there. The two newest are kept, so that one that was damaged at rest costs a longer
//! replay and nothing else.

use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use futures_util::TryStreamExt;
use levada_env::port::{PortError, PortResult};
use levada_model::LogPosition;
use tokio_postgres::{Client, IsolationLevel, Transaction, types::ToSql};

use super::{
    Shared, record_crc,
    session::{Failure, connect, fenced, within},
};
use crate::command_log::Recovered;

/// Bytes of a snapshot in one row.
const PIECE_BYTES: usize = 1 << 20;
/// Rows that one statement removes.
const REMOVED_ROWS_MAX: i64 = 10_000;
const KEPT: usize = 2;

/// The newest whole snapshot and all records after it.
///
/// # Errors
/// `Fenced`; `Corrupt` when a record or every snapshot is damaged or missing; `Rejected`.
pub(super) async fn recover(shared: &Shared) -> PortResult<Recovered> {
    let mut client = connect(&shared.env, &shared.settings).await?;
    let read = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(Failure::from)?;
    let cell = &shared.settings.cell;
    let head = "SELECT last FROM levada_log WHERE cell = $1 AND owner = $2";
    let head = read
        .query_opt(head, &[cell, &shared.owner.as_slice()])
        .await
        .map_err(Failure::from)?;
    let last: i64 = head.ok_or_else(|| fenced(cell))?.get(0);
    let snapshot = newest_whole(shared, &read).await?;
    let from = snapshot.as_ref().map_or(0, |(position, _)| *position);
    let records = records(shared, &read, from, last).await?;
    shared.snapshot.store(from as u64, Ordering::Release);
    let snapshot = snapshot.map(|(position, content)| (LogPosition(position as u64), content));
    Ok(Recovered { snapshot, records })
}

async fn newest_whole(shared: &Shared, read: &Transaction<'_>) -> PortResult<Option<(i64, Bytes)>> {
    let cell = &shared.settings.cell;
    let positions = positions(read, cell).await?;
    for position in &positions {
        match load(read, cell, *position).await? {
            Some(content) => return Ok(Some((*position, content))),
            None => {
                tracing::warn!(position, "a snapshot is damaged; the one before it is used");
                shared.damaged.lock().push(*position);
            }
        }
    }
    // Without one, only a log that was kept whole can be replayed; the chain of records says so.
    Ok(None)
}

/// Newest first.
async fn positions(read: &Transaction<'_>, cell: &String) -> Result<Vec<i64>, Failure> {
    let positions = "SELECT DISTINCT position FROM levada_snapshot WHERE cell = $1 ORDER BY 1 DESC";
    let rows = read.query(positions, &[cell]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// `None` when it is not whole.
async fn load(
    read: &Transaction<'_>,
    cell: &String,
    position: i64,
) -> Result<Option<Bytes>, Failure> {
    let pieces = "SELECT piece, pieces, crc, content FROM levada_snapshot \
                  WHERE cell = $1 AND position = $2 ORDER BY piece";
    let rows = read.query(pieces, &[cell, &position]).await?;
    let mut content = BytesMut::new();
    for (number, row) in (0..).zip(&rows) {
        let (piece, pieces): (i32, i32) = (row.get(0), row.get(1));
        let bytes: &[u8] = row.get(3);
        let whole = piece == number
            && usize::try_from(pieces) == Ok(rows.len())
            && row.get::<_, i64>(2) == piece_crc(position, piece, pieces, bytes);
        if !whole {
            return Ok(None);
        }
        content.extend_from_slice(bytes);
    }
    Ok(Some(content.freeze()))
}

/// Every record after `from`, each the successor of the one before, up to the log's end.
async fn records(
    shared: &Shared,
    read: &Transaction<'_>,
    from: i64,
    last: i64,
) -> PortResult<Vec<(LogPosition, Bytes)>> {
    let cell = &shared.settings.cell;
    let select = "SELECT position, previous, crc, record FROM levada_record \
                  WHERE cell = $1 AND position > $2 ORDER BY position";
    let values: [&(dyn ToSql + Sync); 2] = [cell, &from];
    let rows = read
        .query_raw(select, values)
        .await
        .map_err(Failure::from)?;
    let mut rows = std::pin::pin!(rows);
    let mut records = Vec::new();
    let mut end = from;
    while let Some(row) = rows.try_next().await.map_err(Failure::from)? {
        let (position, previous): (i64, i64) = (row.get(0), row.get(1));
        let record: &[u8] = row.get(3);
        if previous != end {
            return Err(damaged(
                cell,
                &format!("the record before {position} is missing"),
            ));
        }
        if row.get::<_, i64>(2) != record_crc(position, record) {
            return Err(damaged(
                cell,
                &format!("the record at {position} is damaged"),
            ));
        }
        records.push((LogPosition(position as u64), Bytes::copy_from_slice(record)));
        end = position;
    }
    match end == last {
        true => Ok(records),
        false => Err(damaged(
            cell,
            &format!("it ends at {end} and should at {last}"),
        )),
    }
}

fn damaged(cell: &str, what: &str) -> PortError {
    PortError::Corrupt(format!(
        "the log of cell {cell} in PostgreSQL: {what}; restore the database from a backup"
    ))
}

/// Stores a snapshot, then removes what it makes superfluous.
///
/// # Errors
/// `Fenced`, `Rejected`: it is not stored. `Indeterminate`: it may be.
pub(super) async fn save(
    shared: &Shared,
    position: LogPosition,
    pieces: Vec<Bytes>,
) -> PortResult<()> {
    let position = i64::try_from(position.0)
        .map_err(|_| PortError::Rejected("no position is so large".into()))?;
    let mut client = connect(&shared.env, &shared.settings).await?;
    let store = client.transaction().await.map_err(Failure::from)?;
    write(shared, &store, position, &joined(&pieces)).await?;
    within(&shared.env, &shared.settings, store.commit())
        .await
        .map_err(|failure| match failure {
            Failure::Lost(why) => PortError::Indeterminate(why),
            Failure::Refused(error) => error,
        })?;
    shared.snapshot.fetch_max(position as u64, Ordering::AcqRel);
    shared.damaged.lock().retain(|other| *other != position);
    if let Err(error) = remove_superfluous(shared, &mut client).await {
        let error = PortError::from(error);
        tracing::warn!(%error, "what a snapshot covers was not removed; the next one does it");
    }
    Ok(())
}

fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [only] => only.clone(),
        pieces => Bytes::from(pieces.concat()),
    }
}

async fn write(
    shared: &Shared,
    store: &Transaction<'_>,
    position: i64,
    content: &[u8],
) -> PortResult<()> {
    let (env, settings) = (&shared.env, &shared.settings);
    let cell = &settings.cell;
    let again = "DELETE FROM levada_snapshot WHERE cell = $1 AND position = $2";
    within(env, settings, store.execute(again, &[cell, &position])).await?;
    let insert = "INSERT INTO levada_snapshot (cell, position, piece, pieces, crc, content) \
                  VALUES ($1, $2, $3, $4, $5, $6)";
    let insert = within(env, settings, store.prepare(insert)).await?;
    // An empty one has a row too.
    let pieces = content.len().div_ceil(PIECE_BYTES).max(1) as i32;
    let mut chunks = content.chunks(PIECE_BYTES);
    for piece in 0..pieces {
        let bytes = chunks.next().unwrap_or_default();
        let crc = piece_crc(position, piece, pieces, bytes);
        let values: [&(dyn ToSql + Sync); 6] = [cell, &position, &piece, &pieces, &crc, &bytes];
        within(env, settings, store.execute(&insert, &values)).await?;
    }
    // Last, because it holds up the appends.
    let own = "UPDATE levada_log SET snapshot = greatest(snapshot, $2) \
               WHERE cell = $1 AND owner = $3 AND last >= $2";
    let owner = shared.owner.as_slice();
    let values: [&(dyn ToSql + Sync); 3] = [cell, &position, &owner];
    match within(env, settings, store.execute(own, &values)).await? {
        1 => Ok(()),
        _ => Err(fenced(cell)),
    }
}

/// Old snapshots, damaged ones, and the records that two whole ones cover.
async fn remove_superfluous(shared: &Shared, client: &mut Client) -> Result<(), Failure> {
    let cell = &shared.settings.cell;
    let (env, settings) = (&shared.env, &shared.settings);
    let damaged = shared.damaged.lock().clone();
    let change = client.transaction().await?;
    let mut whole = positions(&change, cell).await?;
    whole.retain(|position| !damaged.contains(position));
    let Some(oldest) = whole.get(KEPT - 1) else {
        // With a single one the log is kept whole, so that its loss could be mended by replay.
        return Ok(());
    };
    let remove =
        "DELETE FROM levada_snapshot WHERE cell = $1 AND (position < $2 OR position = ANY($3))";
    change.execute(remove, &[cell, oldest, &damaged]).await?;
    change.commit().await?;
    shared.damaged.lock().clear();
    let remove = "DELETE FROM levada_record WHERE cell = $1 AND position IN \
                  (SELECT position FROM levada_record WHERE cell = $1 AND position <= $2 LIMIT $3)";
    loop {
        let values: [&(dyn ToSql + Sync); 3] = [cell, oldest, &REMOVED_ROWS_MAX];
        let removed = within(env, settings, client.execute(remove, &values));
        if removed.await? < REMOVED_ROWS_MAX as u64 {
            return Ok(());
        }
    }
}

fn piece_crc(position: i64, piece: i32, pieces: i32, content: &[u8]) -> i64 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(&position.to_le_bytes());
    digest.update(&piece.to_le_bytes());
    digest.update(&pieces.to_le_bytes());
    digest.update(content);
    digest.finalize() as i64
}
