//! Reaching an address, and what it may mean when nothing sensible is there.

use std::time::Duration;

use levada_env::Env;
use levada_env::net::Stream;

use crate::error::{ClientError, ClientResult};

/// Makes a TCP connection, without delay of small frames.
///
/// # Errors
/// [`ClientError::Unreachable`].
pub async fn dial(env: &Env, address: &str, timeout: Duration) -> ClientResult<Stream> {
    let unreachable = |reason: String| ClientError::Unreachable {
        address: address.to_owned(),
        reason,
    };
    match env.timeout(timeout, env.connect(address)).await {
        Ok(Ok(stream)) => {
            // Only a socket that is gone already refuses; the first request will say so.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) => Err(unreachable(plain_reason(&error))),
        Err(_) => Err(unreachable(format!(
            "no answer within {} ms",
            timeout.as_millis()
        ))),
    }
}

/// The system's words without its error number.
fn plain_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            "connection refused (does a broker run there?)".into()
        }
        std::io::ErrorKind::InvalidInput => "the address is not host:port".into(),
        _ => error.to_string(),
    }
}

/// Whoever accepts and never answers the first request may be no broker; or one that starts.
pub(super) fn doubtful(error: ClientError) -> ClientError {
    match error {
        ClientError::Disconnected { address, reason } => ClientError::Disconnected {
            address,
            reason: format!(
                "{reason} at the first request (is that a Kafka listener without TLS?)"
            ),
        },
        ClientError::TimedOut { address, after, .. } => ClientError::TimedOut {
            address,
            api: "the first request (is that a Kafka listener without TLS?)",
            after,
        },
        other => other,
    }
}
