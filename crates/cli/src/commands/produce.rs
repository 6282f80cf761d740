//! `levada produce`: lines become records.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use indicatif::{ProgressBar, ProgressStyle};
use levada_client::{Acks, ClientError, Producer, ProducerOptions};
use levada_env::OpenMode;
use levada_records::{Compression, NewRecord};
use serde::Serialize;
use tokio::io::AsyncReadExt;

use crate::context::{BrokerArgs, Context};
use crate::error::{CliError, CliResult};
use crate::lines::{LINE_BYTES_MAX, Lines};
use crate::output::{Format, Report, Table};
use crate::remote::{connect, parse_pair, suggest, through_outages};
use crate::signals::StopSignals;
use crate::units::{show_bytes, show_count, show_counted, show_duration};
use crate::when::parse_span_ms;

const CHUNK_BYTES: usize = 256 * 1024;
/// How long what was read is still sent after Ctrl-C or SIGTERM.
const LAST_FLUSH_MAX: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Topic to write to; brokers may create it
    topic: String,
    /// A record's value; may be repeated. Without it lines are read from stdin or --file
    #[arg(short, long = "message", value_name = "VALUE", conflicts_with_all = ["files", "whole"])]
    messages: Vec<String>,
    /// A file whose lines are the records; may be repeated
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Each file (or all of stdin) is one record
    #[arg(long)]
    whole: bool,
    /// What stands between key and value in a line; lines without it have no key
    #[arg(short = 's', long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// The key of every record
    #[arg(short, long, conflicts_with = "key_separator")]
    key: Option<String>,
    /// A header of every record; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = parse_pair)]
    headers: Vec<(String, String)>,
    /// Partition for all records; else by key as Java's client does, or by turns
    #[arg(short, long)]
    partition: Option<i32>,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(short = 'z', long, default_value = "none")]
    compression: Compression,
    /// A value that is written as null (a tombstone)
    #[arg(long, value_name = "TEXT")]
    null_value: Option<String>,
    /// Who has to have a record before it counts: all, 1 (the leader) or 0 (nobody)
    #[arg(long, default_value = "all", value_parser = parse_acks)]
    acks: Acks,
    /// How long a record may wait to be acknowledged, restarts of the broker included (30s, 2m)
    #[arg(long, value_name = "SPAN", default_value = "120s", value_parser = parse_timeout)]
    timeout: Duration,
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    parse_span_ms(text)
        .and_then(|ms| u64::try_from(ms).ok())
        .filter(|ms| *ms > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| "use a span such as 500ms, 30s, 2m or 1h".to_owned())
}

fn parse_acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" => Ok(Acks::Leader),
        "0" => Ok(Acks::None),
        _ => Err("use all, 1 or 0".to_owned()),
    }
}

#[derive(Serialize)]
struct Figures {
    topic: String,
    records: u64,
    failed: u64,
    /// Of keys and values.
    bytes: u64,
    seconds: f64,
    records_per_s: f64,
}

impl Report for Figures {
    fn table(&self) -> Table {
        Table::default()
    }

    fn names(&self) -> Vec<String> {
        vec![self.topic.clone()]
    }
}

/// Runs the command.
///
/// # Errors
/// See `CliError`; records that were not acknowledged make it fail after the figures.
pub async fn run(args: Args, context: Context) -> CliResult {
    let client = connect(&args.broker, &context).await?;
    let until = format!(" for {} (--timeout)", show_duration(args.timeout));
    let client = through_outages(&client, &context, args.timeout, &until);
    let options = ProducerOptions {
        delivery_timeout: args.timeout,
        acks: args.acks,
        idempotent: args.acks == Acks::All,
        compression: args.compression,
        // A large value needs a large buffer, and a buffer of one is enough for it.
        buffer_bytes_max: LINE_BYTES_MAX + (LINE_BYTES_MAX >> 2),
        ..ProducerOptions::default()
    };
    let mut signals = StopSignals::listen()?;
    let producer = tokio::select! {
        producer = Producer::start(&client, options) => producer?,
        _ = signals.next() => return Err(CliError::Interrupted),
    };
    let mut sender = Sender {
        producer,
        headers: args.headers.clone(),
        args,
        context: context.clone(),
        bytes: 0,
    };
    let start = context.env.monotonic();
    let read = tokio::select! {
        read = sender.read_all() => read,
        _ = signals.next() => Err(CliError::Interrupted),
    };
    if matches!(read, Err(CliError::Interrupted)) {
        let last = sender.producer.flush();
        let _ = context.env.timeout(LAST_FLUSH_MAX, last).await;
    } else {
        tokio::select! {
            () = sender.producer.flush() => {}
            _ = signals.next() => return Err(CliError::Interrupted),
        }
    }
    let span = context.env.monotonic().saturating_sub(start);
    sender.report(span)?;
    read?;
    let counts = sender.producer.counts();
    match counts.first_error {
        Some(ClientError::Expired(reason)) => Err(CliError::Unreachable(reason)),
        Some(error) => Err(error.into()),
        None => {
            suggest(
                &context,
                &format!("levada consume {} --from earliest", sender.args.topic),
            );
            Ok(())
        }
    }
}

struct Sender {
    producer: Producer,
    args: Args,
    headers: Vec<(String, String)>,
    context: Context,
    bytes: u64,
}

impl Sender {
    async fn read_all(&mut self) -> CliResult {
        if !self.args.messages.is_empty() {
            for message in std::mem::take(&mut self.args.messages) {
                self.send_line(&message.into()).await?;
            }
            return Ok(());
        }
        if self.args.files.is_empty() {
            return self.read_stdin().await;
        }
        for file in std::mem::take(&mut self.args.files) {
            self.read_file(&file).await?;
        }
        Ok(())
    }

    async fn read_stdin(&mut self) -> CliResult {
        use std::io::IsTerminal;
        if std::io::stdin().is_terminal() {
            self.context.say("Each line is a record. End with Ctrl-D.");
        }
        let mut stdin = tokio::io::stdin();
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        let mut lines = Lines::default();
        loop {
            chunk.clear();
            if stdin.read_buf(&mut chunk).await? == 0 {
                break;
            }
            lines.push(&chunk);
            self.send_lines(&mut lines).await?;
        }
        self.send_rest(&mut lines).await
    }

    async fn read_file(&mut self, path: &Path) -> CliResult {
        let failed = |error: std::io::Error| {
            CliError::Failed(format!("cannot read {}: {error}", path.display()))
        };
        let fs = self.context.env.fs().clone();
        let opened = path.to_owned();
        let file = self
            .context
            .env
            .blocking(move || fs.open(&opened, OpenMode::Read))
            .await
            .map_err(failed)?;
        let length = file.len().map_err(failed)?;
        let bar = self.bar(length);
        let mut lines = Lines::default();
        let mut offset = 0;
        loop {
            let source = file.clone();
            let chunk = self.context.env.blocking(move || {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = source.read_at(&mut chunk, offset)?;
                chunk.truncate(read);
                Ok(chunk)
            });
            let chunk = chunk.await.map_err(failed)?;
            if chunk.is_empty() {
                break;
            }
            offset += chunk.len() as u64;
            lines.push(&chunk);
            self.send_lines(&mut lines).await?;
            if let Some(bar) = &bar {
                bar.set_position(offset);
            }
        }
        self.send_rest(&mut lines).await?;
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        Ok(())
    }

    /// A bar by bytes, for a person.
    fn bar(&self, length: u64) -> Option<ProgressBar> {
        if !self.context.person_on_stderr() {
            return None;
        }
        let bar = ProgressBar::new(length);
        let style =
            "{bar:30} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Some(bar)
    }

    async fn send_lines(&mut self, lines: &mut Lines) -> CliResult {
        if self.args.whole {
            return Ok(());
        }
        while let Some(line) = lines.next_line().map_err(CliError::Failed)? {
            self.send_line(&line).await?;
        }
        Ok(())
    }

    async fn send_rest(&mut self, lines: &mut Lines) -> CliResult {
        match lines.rest() {
            Some(rest) => self.send_line(&rest).await,
            None => Ok(()),
        }
    }

    async fn send_line(&mut self, line: &Bytes) -> CliResult {
        let (mut key, mut value) = (self.args.key.as_deref().map(str::as_bytes), &line[..]);
        if let Some(separator) = self.args.key_separator.as_deref()
            && let Some((before, after)) = split_once(line, separator.as_bytes())
        {
            (key, value) = (Some(before), after);
        }
        let is_null = |null: &String| null.as_bytes() == value;
        let value = (!self.args.null_value.as_ref().is_some_and(is_null)).then_some(value);
        let headers: Vec<(&str, Option<&[u8]>)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), Some(value.as_bytes())))
            .collect();
        let record = NewRecord {
            timestamp_ms: self.context.env.now_ms(),
            key,
            value,
            headers: &headers,
        };
        self.bytes += (key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)) as u64;
        self.producer
            .send(&self.args.topic, self.args.partition, &record)
            .await?;
        Ok(())
    }

    fn report(&self, span: Duration) -> CliResult {
        let counts = self.producer.counts();
        let seconds = span.as_secs_f64();
        let figures = Figures {
            topic: self.args.topic.clone(),
            records: counts.acknowledged,
            failed: counts.failed,
            bytes: self.bytes,
            seconds,
            records_per_s: (counts.acknowledged as f64 / seconds.max(1e-9)).round(),
        };
        let did = match self.args.acks {
            Acks::None => "Sent",
            _ => "Wrote",
        };
        self.context.say(format!(
            "{did} {} ({}) to '{}' in {}: {} records/s.",
            show_counted(figures.records, "record"),
            show_bytes(figures.bytes),
            figures.topic,
            show_duration(span),
            show_count(figures.records_per_s as u64),
        ));
        if figures.failed > 0 {
            let failed = show_counted(figures.failed, "record");
            self.context.say(format!("Not acknowledged: {failed}."));
        }
        match self.context.format {
            Format::Json => self.context.print(&figures),
            Format::Table | Format::Name => Ok(()),
        }
    }
}

fn split_once<'a>(line: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    if separator.is_empty() {
        return None;
    }
    let at = line
        .windows(separator.len())
        .position(|window| window == separator)?;
    Some((line.get(..at)?, line.get(at + separator.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_the_first_separator() {
        assert_eq!(split_once(b"a:b:c", b":"), Some((&b"a"[..], &b"b:c"[..])));
        assert_eq!(split_once(b"a=>b", b"=>"), Some((&b"a"[..], &b"b"[..])));
        assert_eq!(split_once(b":b", b":"), Some((&b""[..], &b"b"[..])));
        assert_eq!(split_once(b"ab", b":"), None);
        assert_eq!(split_once(b"ab", b""), None);
    }
}
