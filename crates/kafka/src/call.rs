//! One request in the hands of its handler.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use levada_engine::Engine;
use levada_env::Env;
use levada_net::{Drain, LogGate};
use levada_wire_kafka::header::ResponseHeader;
use levada_wire_kafka::{ApiKey, ErrorCode, Frame, KStr, Message, Writer};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::budget::ByteBudget;
use crate::clients::{Client, Clients};
use crate::dispatch::Table;
use crate::metrics::KafkaMetrics;
use crate::settings::KafkaSettings;

/// What all connections of the listener share.
pub struct Shared {
    pub env: Env,
    pub engine: Engine,
    pub settings: KafkaSettings,
    pub table: Table,
    pub metrics: Arc<KafkaMetrics>,
    pub clients: Arc<Clients>,
    pub requests: ByteBudget,
    pub responses: Unsent,
    pub drain: Drain,
    /// For the line about a connection that was closed for what it sent.
    pub refused: LogGate,
}

/// Bytes of answers that wait to be sent.
#[derive(Default)]
pub struct Unsent {
    bytes: AtomicUsize,
    fell: Notify,
}

impl Unsent {
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn sent(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.fell.notify_waiters();
    }

    /// Waits until less than `bytes_max` wait to be sent.
    pub async fn below(&self, bytes_max: usize) {
        while self.bytes() >= bytes_max {
            let fell = self.fell.notified();
            tokio::pin!(fell);
            fell.as_mut().enable();
            if self.bytes() >= bytes_max {
                fell.await;
            }
        }
    }
}

/// What the requests of one connection share.
pub struct Peer {
    pub shared: Arc<Shared>,
    pub client: Arc<Client>,
    /// Where the client connected to.
    pub local: SocketAddr,
    /// Cancelled when nothing more can come from the client.
    pub gone: CancellationToken,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.clients.leave(self.client.id);
    }
}

/// One request: who asks, in which version, and what it takes to answer.
pub struct Call {
    pub(crate) peer: Arc<Peer>,
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<KStr>,
}

impl Call {
    pub fn engine(&self) -> &Engine {
        &self.peer.shared.engine
    }

    pub fn env(&self) -> &Env {
        &self.peer.shared.env
    }

    pub fn settings(&self) -> &KafkaSettings {
        &self.peer.shared.settings
    }

    /// The request's version.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// The client id that the request named, or the empty one.
    pub fn client_id(&self) -> &str {
        self.client_id.as_deref().unwrap_or_default()
    }

    /// The client's address as Kafka shows it in its group descriptions.
    pub fn client_host(&self) -> String {
        format!("/{}", self.peer.client.peer.ip().to_canonical())
    }

    /// Cancelled when the service drains: whoever waits for long has to answer now.
    pub fn stopping(&self) -> &CancellationToken {
        self.peer.shared.drain.stopping()
    }

    /// Cancelled when the client has closed its connection: nobody may be left to answer.
    pub fn gone(&self) -> &CancellationToken {
        &self.peer.gone
    }

    /// Host and port of the one node, as this client shall use them.
    pub fn endpoint(&self) -> (KStr, i32) {
        match &self.settings().advertised {
            Some(advertised) => (KStr::from(&*advertised.host), advertised.port.into()),
            None => {
                let local = self.peer.local;
                let host = local.ip().to_canonical().to_string();
                (KStr::from(host), local.port().into())
            }
        }
    }

    /// Counts an error of the answer; gives its number.
    pub fn code(&self, error: ErrorCode) -> i16 {
        self.peer.shared.metrics.error(self.key, error);
        error.code()
    }

    /// The answer as a frame.
    pub fn frame<M: Message>(&self, response: &M) -> Frame {
        self.frame_with(|writer| response.encode(writer, self.version))
    }

    /// An answer whose body `write` writes by hand.
    pub fn frame_with(&self, write: impl FnOnce(&mut Writer)) -> Frame {
        let mut writer = Writer::framed();
        let correlation_id = self.correlation_id;
        ResponseHeader { correlation_id }.encode(&mut writer, self.key, self.version);
        write(&mut writer);
        writer.finish()
    }
}
