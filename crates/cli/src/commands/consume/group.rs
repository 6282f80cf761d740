//! Reading as a member of a group.

use std::time::Duration;

use levada_client::{Client, ClientError, GroupConsumer, GroupOptions, ResetTo};

use super::Args;
use super::sink::Sink;
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::remote::suggest;
use crate::signals::StopSignals;
use crate::units::show_counted;
use crate::when::Place;

const POLL: Duration = Duration::from_millis(500);
/// How long a member takes for its goodbye when the broker is away.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// Runs the command. Without --follow it ends when nothing is left to read.
pub async fn consume(client: &Client, args: &Args, group: &str, context: &Context) -> CliResult {
    // Named here, so that a topic that does not exist is told and not waited for.
    client.topic(&args.topic, false).await?;
    let mut options = GroupOptions::new(group, &[&args.topic]);
    options.consumer.reset = match args.from {
        Some(Place::Latest) => ResetTo::Latest,
        _ => ResetTo::Earliest,
    };
    let mut member = GroupConsumer::new(client, options);
    let mut sink = Sink::new(args, context)?;
    let mut signals = StopSignals::listen()?;
    let read = tokio::select! {
        read = read(&mut member, args, &mut sink) => read,
        _ = signals.next() => Err(CliError::Interrupted),
    };
    // What was not printed for sure must come again.
    if matches!(read, Err(CliError::PipeClosed)) {
        return read;
    }
    let flushed = sink.flush();
    let closed = tokio::select! {
        closed = context.env.timeout(LEAVE_MAX, member.close()) => closed.unwrap_or_else(|_| {
            Err(ClientError::Expired(format!(
                "group '{group}' was not left within {} s: what was printed last may come again",
                LEAVE_MAX.as_secs()
            )))
        }),
        _ = signals.next() => return Err(CliError::Interrupted),
    };
    match (read, closed) {
        (Err(CliError::Interrupted), Err(error)) => {
            context.say(error);
            return Err(CliError::Interrupted);
        }
        (read, closed) => {
            closed?;
            read?;
        }
    }
    flushed?;
    if context.person_on_stderr() {
        context.say(format!(
            "{}; group '{group}' goes on behind what was printed.",
            show_counted(sink.printed, "record")
        ));
    }
    suggest(context, &format!("levada group describe {group}"));
    Ok(())
}

async fn read(member: &mut GroupConsumer, args: &Args, sink: &mut Sink) -> CliResult {
    while !sink.is_full() {
        let Some(batch) = member.poll(POLL).await? else {
            sink.flush()?;
            if !args.follow && member.is_joined() && member.lag() == Some(0) {
                return Ok(());
            }
            continue;
        };
        for record in batch.records()? {
            let record = record?;
            if sink.is_full() {
                member.done_up_to(&batch.topic, batch.partition, record.offset);
                break;
            }
            sink.take(&batch.topic, batch.partition, &record)?;
        }
        sink.flush()?;
    }
    Ok(())
}
