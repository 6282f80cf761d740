//! What every command gets: the world, the output format, whether a person is looking.

use std::io::{IsTerminal, Write};

use clap::Args;
use levada_env::Env;

use crate::error::CliResult;
use crate::output::{Format, Report};

/// Handed to each command's `run`.
#[derive(Clone, Debug)]
pub struct Context {
    pub env: Env,
    pub format: Format,
}

impl Context {
    #[must_use]
    pub fn new(env: Env, format: Format) -> Self {
        Self { env, format }
    }

    /// Prints data on stdout in the format that `-o` asked for.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print<R: Report>(&self, report: &R) -> CliResult {
        let text = self.format.render(report)?;
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// A message for the person, on stderr.
    pub fn say(&self, message: impl std::fmt::Display) {
        // Nobody is helped by a failure to say something.
        let _ = writeln!(std::io::stderr().lock(), "{message}");
    }

    /// Whether progress bars and colours make sense on stderr.
    #[must_use]
    pub fn person_on_stderr(&self) -> bool {
        std::io::stderr().is_terminal()
    }
}

/// The broker that a data command talks to; flatten it into the command's `Args`.
#[derive(Args, Clone, Debug)]
pub struct BrokerArgs {
    /// Address of a Kafka broker, ours or not
    #[arg(
        long,
        short = 'b',
        global = true,
        value_name = "HOST:PORT",
        env = "LEVADA_BROKER",
        default_value = "127.0.0.1:9092"
    )]
    pub broker: String,
}
