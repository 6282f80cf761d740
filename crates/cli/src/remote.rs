//! What the commands that talk to a broker have in common.

use std::future::Future;
use std::time::Duration;

use levada_client::admin::{FoundOffset, OffsetAt};
use levada_client::{Client, ClientError, ClientOptions, Notice, Patience, Topic};
use levada_wire_kafka::ErrorCode;

use crate::context::{BrokerArgs, Context};
use crate::error::{CliError, CliResult};
use crate::signals::StopSignals;

/// Where the server says no, and where it is not there at all, scripts want to know.
impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Unreachable { .. }
            | ClientError::NotKafka { .. }
            | ClientError::Disconnected { .. }
            | ClientError::TimedOut { .. } => Self::Unreachable(text),
            ClientError::Refused { .. }
                if error.code() == Some(ErrorCode::UnknownTopicOrPartition) =>
            {
                Self::Refused(format!(
                    "{text}\n`levada topic list` shows the topics that there are."
                ))
            }
            ClientError::Refused { .. } => Self::Refused(text),
            ClientError::Invalid(_) => Self::Usage(text),
            _ => Self::Failed(text),
        }
    }
}

/// Connects to the broker that the command line names.
///
/// # Errors
/// [`CliError::Unreachable`] with what to try next.
pub async fn connect(args: &BrokerArgs, context: &Context) -> CliResult<Client> {
    let options = ClientOptions::new(&args.broker);
    Client::connect(&context.env, options)
        .await
        .map_err(|error| match error {
            error @ ClientError::Unreachable { .. } => CliError::Unreachable(format!(
                "{error}\nStart a broker with `levada serve`, or name another with --broker \
                 HOST:PORT (or LEVADA_BROKER)."
            )),
            error @ ClientError::NotKafka { .. } => CliError::Unreachable(format!(
                "{error}\nName a broker's Kafka listener with --broker HOST:PORT (or \
                 LEVADA_BROKER). `levada serve` prints its own as \"Kafka\", 127.0.0.1:9092 unless \
                 set; \"HTTP\" is another port."
            )),
            other => other.into(),
        })
}

/// The same client for work that goes on over restarts of brokers, for `timeout` each time. `until`
/// says how the waiting ends.
#[must_use]
pub fn through_outages(
    client: &Client,
    context: &Context,
    timeout: Duration,
    until: &str,
) -> Client {
    telling(client, context, Patience::through_outages(timeout), until)
}

/// The same client, which says on stderr why it waits and where it moves to.
#[must_use]
pub fn telling(client: &Client, context: &Context, patience: Patience, until: &str) -> Client {
    let (context, until) = (context.clone(), until.to_owned());
    client.with_patience(patience.told_to(move |notice| match notice {
        Notice::Failing(error) => context.say(format!("{error}; trying again{until}")),
        Notice::Recovered => context.say("it works again, going on"),
        Notice::Moved {
            topic,
            partition,
            from,
            to,
        } => context.say(format!(
            "offset {from} is not in partition {partition} of '{topic}': going on at {to}"
        )),
    }))
}

/// Runs `work` until it is done or somebody stops the process (Ctrl-C, SIGTERM).
///
/// # Errors
/// Those of `work`, and [`CliError::Interrupted`].
pub async fn interruptible<T>(work: impl Future<Output = CliResult<T>>) -> CliResult<T> {
    let mut signals = StopSignals::listen()?;
    tokio::select! {
        result = work => result,
        _ = signals.next() => Err(CliError::Interrupted),
    }
}

/// Suggests a command on stderr when a person looks.
pub fn suggest(context: &Context, command: &str) {
    if context.person_on_stderr() {
        context.say(format!("Next: {command}"));
    }
}

/// Reads `name=value`.
///
/// # Errors
/// What is wrong, for clap.
pub fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is not NAME=VALUE")),
    }
}

/// Asks a person before something cannot be undone; where nobody can answer, it goes ahead.
///
/// # Errors
/// [`CliError::Failed`] when the person does not say yes.
pub fn confirm(context: &Context, yes: bool, question: &str) -> CliResult {
    use std::io::{IsTerminal, Write};
    if yes || !std::io::stdin().is_terminal() || !context.person_on_stderr() {
        return Ok(());
    }
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CliError::Failed("nothing was changed".to_owned())),
    }
}

/// Earliest and latest offset of each partition.
///
/// # Errors
/// Those of the cluster.
pub async fn ends(client: &Client, topic: &str, partitions: &[i32]) -> CliResult<Vec<(i64, i64)>> {
    let wanted: Vec<_> = partitions
        .iter()
        .flat_map(|partition| {
            [
                (*partition, OffsetAt::Earliest),
                (*partition, OffsetAt::Latest),
            ]
        })
        .collect();
    let found = client.list_offsets(topic, &wanted).await?;
    let offset = |found: &Option<FoundOffset>| found.map_or(0, |found| found.offset);
    Ok(found
        .chunks(2)
        .map(|pair| {
            let first = pair.first().map_or(0, offset);
            (first, pair.last().map_or(first, offset))
        })
        .collect())
}

/// The topic's partitions, or those of them that were named.
///
/// # Errors
/// A partition that the topic does not have.
pub fn choose_partitions(topic: &Topic, named: &[i32]) -> CliResult<Vec<i32>> {
    if named.is_empty() {
        return Ok(topic
            .partitions
            .iter()
            .map(|partition| partition.index)
            .collect());
    }
    for partition in named {
        topic.partition(*partition)?;
    }
    let mut chosen = named.to_vec();
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// Writes text that is not a [`crate::output::Report`] to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn write_stdout(text: &str) -> CliResult {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
