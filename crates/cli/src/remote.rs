//! What the commands that talk to a broker have in common.

use std::future::Future;

use levada_client::{Client, ClientError, ClientOptions};

use crate::context::{BrokerArgs, Context};
use crate::error::{CliError, CliResult};

/// Where the server says no, and where it is not there at all, scripts want to know.
impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::Unreachable { .. }
            | ClientError::Disconnected { .. }
            | ClientError::TimedOut { .. } => Self::Unreachable(text),
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
            other => other.into(),
        })
}

/// Runs `work` until it is done or the person presses Ctrl-C.
///
/// # Errors
/// Those of `work`, and [`CliError::Interrupted`].
pub async fn interruptible<T>(work: impl Future<Output = CliResult<T>>) -> CliResult<T> {
    tokio::select! {
        result = work => result,
        _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted),
    }
}

/// Suggests a command on stderr when a person looks.
pub fn suggest(context: &Context, command: &str) {
    if context.person_on_stderr() {
        context.say(format!("Next: {command}"));
    }
}
