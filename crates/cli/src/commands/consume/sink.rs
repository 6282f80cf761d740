//! Which records are printed, and printing them.

use std::io::{IsTerminal, Write};
use std::str::FromStr;

use levada_client::consumer::ConsumedRecord;

use super::Args;
use super::template::{Printed, Template};
use crate::context::Context;
use crate::error::{CliError, CliResult};
use crate::output::Format;

/// Written to stdout at once when more than this has gathered.
const BUFFER_BYTES: usize = 64 * 1024;

/// Filters, formats, counts.
pub struct Sink {
    json: bool,
    template: Template,
    safe: bool,
    key: Option<Vec<u8>>,
    grep: Option<Vec<u8>>,
    headers: Vec<(String, String)>,
    left: Option<u64>,
    pub printed: u64,
    pub seen: u64,
    buffer: Vec<u8>,
}

impl Sink {
    pub fn new(args: &Args, context: &Context) -> CliResult<Self> {
        let default = match context.format {
            Format::Name => "{topic}/{partition}/{offset}",
            Format::Table | Format::Json => "{value}",
        };
        let template = match &args.template {
            Some(template) => template.clone(),
            None => Template::from_str(default).map_err(CliError::Usage)?,
        };
        Ok(Self {
            json: context.format == Format::Json && args.template.is_none(),
            template,
            safe: std::io::stdout().is_terminal(),
            key: args.key.clone().map(String::into_bytes),
            grep: args.grep.clone().map(String::into_bytes),
            headers: args.headers.clone(),
            left: args.limit,
            printed: 0,
            seen: 0,
            buffer: Vec::new(),
        })
    }

    /// Whether the limit is reached.
    pub fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Takes a record; prints it if it is wanted.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn take(&mut self, topic: &str, partition: i32, record: &ConsumedRecord) -> CliResult {
        self.seen += 1;
        if self.is_full() || !self.wants(record) {
            return Ok(());
        }
        let printed = Printed {
            topic,
            partition,
            record,
        };
        if self.json {
            serde_json::to_writer(&mut self.buffer, &printed)
                .map_err(|error| CliError::Failed(format!("cannot write JSON: {error}")))?;
            self.buffer.push(b'\n');
        } else {
            self.template.print(printed, self.safe, &mut self.buffer);
        }
        self.printed += 1;
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn wants(&self, record: &ConsumedRecord) -> bool {
        let key = record.key.as_deref();
        let value = record.value.as_deref();
        if self
            .key
            .as_deref()
            .is_some_and(|wanted| key != Some(wanted))
        {
            return false;
        }
        if let Some(text) = &self.grep
            && ![key, value]
                .into_iter()
                .flatten()
                .any(|bytes| contains(bytes, text))
        {
            return false;
        }
        self.headers.iter().all(|(name, value)| {
            record.headers.iter().any(|header| {
                header.key == name.as_bytes() && header.value.as_deref() == Some(value.as_bytes())
            })
        })
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn flush(&mut self) -> CliResult {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&self.buffer)?;
        stdout.flush()?;
        self.buffer.clear();
        Ok(())
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}
