//! What can go wrong between a client and a cluster.

use std::time::Duration;

use levada_records::RecordsError;
use levada_wire_kafka::{ApiKey, ErrorCode, WireError};
use thiserror::Error;

pub type ClientResult<T> = Result<T, ClientError>;

/// An error says what happened, to whom, and by its class what may help.
#[derive(Clone, Debug, Error)]
pub enum ClientError {
    /// No connection could be made.
    #[error("cannot reach {address}: {reason}")]
    Unreachable { address: String, reason: String },
    /// A connection ended while it was in use. What was under way may have happened.
    #[error("the connection to {address} ended: {reason}")]
    Disconnected { address: String, reason: String },
    /// No answer came in time. What was under way may have happened.
    #[error("{address} did not answer {api} within {} ms", after.as_millis())]
    TimedOut {
        address: String,
        api: &'static str,
        after: Duration,
    },
    /// The server's bytes are not what the protocol says.
    #[error("{address} sent what is not Kafka's protocol: {reason}")]
    Protocol { address: String, reason: String },
    /// Whoever listens there is no Kafka broker, or waits for TLS.
    #[error("{address} does not speak Kafka's protocol: {guess}")]
    NotKafka { address: String, guess: String },
    /// The server has no version of an API in common with us.
    #[error("{address} has no version of {api} that this client knows (it offers {offered})")]
    Unsupported {
        address: String,
        api: &'static str,
        offered: String,
    },
    /// The server understood and said no.
    #[error("{what}: {}", refusal(*code, message.as_deref()))]
    Refused {
        what: String,
        /// Kafka's error code.
        code: i16,
        message: Option<String>,
    },
    /// A batch cannot be read or built.
    #[error("{what}: {error}")]
    Records { what: String, error: RecordsError },
    /// What was sent was given up: it was not acknowledged in time.
    #[error("{0}")]
    Expired(String),
    /// The caller asked for what cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

fn refusal(code: i16, message: Option<&str>) -> String {
    let name = match ErrorCode::try_from(code) {
        Ok(known) => known.name().to_owned(),
        Err(unknown) => format!("error code {unknown}"),
    };
    match message {
        Some(message) if !message.is_empty() => format!("{message} ({name})"),
        _ => name,
    }
}

impl ClientError {
    /// A refusal with the server's code.
    pub fn refused(what: impl Into<String>, code: ErrorCode) -> Self {
        Self::Refused {
            what: what.into(),
            code: code.code(),
            message: None,
        }
    }

    pub(crate) fn protocol(address: &str, error: &WireError) -> Self {
        Self::Protocol {
            address: address.to_owned(),
            reason: error.to_string(),
        }
    }

    pub(crate) fn unsupported(address: &str, api: ApiKey, offered: Option<(i16, i16)>) -> Self {
        Self::Unsupported {
            address: address.to_owned(),
            api: api.name(),
            offered: offered.map_or("none".to_owned(), |(least, most)| {
                format!("versions {least} to {most}")
            }),
        }
    }

    /// Kafka's code, if the server refused with one that we know.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => ErrorCode::try_from(*code).ok(),
            _ => None,
        }
    }

    /// Whether trying the same again may help: Kafka's retriable codes, and lost connections.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Disconnected { .. } | Self::TimedOut { .. } => true,
            Self::Refused { .. } => self.code().is_some_and(ErrorCode::is_retriable),
            _ => false,
        }
    }

    /// Whether the network, not the server's answer, is the reason.
    pub fn is_network(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Disconnected { .. } | Self::TimedOut { .. }
        )
    }
}

/// Turns an error code of an answer into a result. `what` says what was refused.
pub(crate) fn check(
    code: i16,
    message: Option<&str>,
    what: impl FnOnce() -> String,
) -> ClientResult<()> {
    if code == 0 {
        return Ok(());
    }
    Err(ClientError::Refused {
        what: what(),
        code,
        message: message.map(str::to_owned),
    })
}
