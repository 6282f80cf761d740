//! The listener's knobs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Sizes in bytes. `server` composes it from the configuration.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// The address that clients are told to connect to. `None`: what each connected to (see
    /// `levada_net::Connection::local`).
    pub advertised: Option<Advertised>,
    /// Create topics that clients ask for, if their request allows it.
    pub auto_create_topics: bool,
    /// Largest request (Kafka: `socket.request.max.bytes`).
    pub frame_bytes_max: usize,
    /// How long each MiB of a request may take to arrive once the request has begun.
    pub frame_timeout: Duration,
    /// A connection without a request for this long is closed (Kafka: `connections.max.idle.ms`).
    pub idle_timeout: Duration,
    /// Requests of one connection that wait for their answer; then no more are read.
    pub requests_in_flight_max: usize,
    /// Bytes of received requests, over all connections, that are not answered yet.
    pub request_bytes_max: usize,
    /// Bytes of answers to fetches, over all connections, that are not sent yet; then fetches wait.
    pub response_bytes_max: usize,
    /// Most bytes that one fetch is answered with (Kafka: `fetch.max.bytes`), but for a first
    /// batch that is larger.
    pub fetch_bytes_max: usize,
    /// How DescribeLogDirs calls the place of the data.
    pub log_dir: String,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            advertised: None,
            auto_create_topics: true,
            frame_bytes_max: 100 * 1024 * 1024,
            frame_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(600),
            requests_in_flight_max: 64,
            request_bytes_max: 64 * 1024 * 1024,
            response_bytes_max: 64 * 1024 * 1024,
            fetch_bytes_max: 16 * 1024 * 1024,
            log_dir: "levada-data".to_owned(),
        }
    }
}

/// Host and port as clients shall use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    pub host: String,
    pub port: u16,
}

/// Why a text is no advertised address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not host:port, for example broker.example.com:9092 or [2001:db8::1]:9092")]
pub struct InvalidAdvertised(String);

/// `host:port`; an IPv6 host stands in brackets.
impl FromStr for Advertised {
    type Err = InvalidAdvertised;

    fn from_str(text: &str) -> Result<Self, InvalidAdvertised> {
        let invalid = || InvalidAdvertised(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match bare {
            Some(host) => host,
            None if host.contains(':') => return Err(invalid()),
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port != 0);
        match port {
            Some(port) if !host.is_empty() && !host.contains(char::is_whitespace) => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advertised_addresses_are_read_as_they_are_shown() {
        for text in ["localhost:9092", "[::1]:1", "b-1.example.com:65535"] {
            let read: Advertised = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
        for wrong in [
            "",
            "host",
            "host:",
            ":9092",
            "::1:9092",
            "a b:1",
            "host:0",
            "host:70000",
        ] {
            assert!(wrong.parse::<Advertised>().is_err(), "{wrong}");
        }
    }
}
