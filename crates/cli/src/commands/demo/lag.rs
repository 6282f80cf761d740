//! How far a group is behind, by what it has committed: what any other tool would see too.

use std::time::Duration;

use levada_client::Client;
use levada_client::admin::OffsetAt;
use tokio::task::JoinHandle;

use super::{FLIGHTS, FLIGHTS_PARTITIONS};
use crate::error::{CliError, CliResult};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A group that keeps up needs far less.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// Records of all partitions of the flights that the group has not committed.
///
/// # Errors
/// Those of the look-ups.
pub async fn committed_lag(client: &Client, group: &str) -> CliResult<u64> {
    let wanted: Vec<(i32, OffsetAt)> = (0..FLIGHTS_PARTITIONS)
        .map(|partition| (partition, OffsetAt::Latest))
        .collect();
    let ends = client.list_offsets(FLIGHTS, &wanted).await?;
    let committed = client.committed_offsets(group, None).await?;
    let lag = (0..FLIGHTS_PARTITIONS).zip(ends).map(|(partition, end)| {
        let end = end.map_or(0, |found| found.offset);
        let done = committed
            .get(&(FLIGHTS.to_owned(), partition))
            .map_or(0, |committed| committed.offset);
        u64::try_from(end - done).unwrap_or(0)
    });
    Ok(lag.sum())
}

/// Waits until the group has committed everything.
///
/// # Errors
/// When a reader ended, or it took too long.
pub async fn until_caught_up(
    client: &Client,
    group: &str,
    readers: &[JoinHandle<CliResult>],
) -> CliResult {
    let env = client.env();
    let begun = env.monotonic();
    while committed_lag(client, group).await? > 0 {
        if readers.iter().any(JoinHandle::is_finished) {
            return Err(CliError::Failed(format!(
                "a reader of group {group} ended early"
            )));
        }
        if env.monotonic() - begun > CATCH_UP_MAX {
            let seconds = CATCH_UP_MAX.as_secs();
            return Err(CliError::Failed(format!(
                "group {group} did not catch up within {seconds} s"
            )));
        }
        env.sleep(LOOK_EVERY).await;
    }
    Ok(())
}
