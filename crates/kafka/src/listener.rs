//! The listener as `server` sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use levada_engine::Engine;
use levada_env::Env;
use levada_net::{Connection, Drain, Listener, LogGate};

use crate::budget::ByteBudget;
use crate::call::{Shared, Unsent};
use crate::clients::Clients;
use crate::connection;
use crate::dispatch::Table;
use crate::metrics::KafkaMetrics;
use crate::settings::KafkaSettings;

/// At most one line about refused connections in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// A running listener.
pub struct KafkaListener {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl KafkaListener {
    /// Begins to accept on `listener`.
    pub fn start(env: Env, engine: Engine, settings: KafkaSettings, listener: Listener) -> Self {
        let shared = Arc::new(Shared {
            requests: ByteBudget::new(env.clone(), settings.request_bytes_max),
            responses: Unsent::default(),
            table: Table::new(),
            metrics: Arc::default(),
            clients: Arc::default(),
            drain: Drain::new(),
            refused: LogGate::new(LOG_INTERVAL),
            env: env.clone(),
            engine,
            settings,
        });
        let address = listener.local_addr();
        let serve = {
            let shared = Arc::clone(&shared);
            move |connection: Connection| connection::serve(Arc::clone(&shared), connection)
        };
        let drain = shared.drain.clone();
        env.spawn(
            "kafka-accept",
            drain.track(listener.run(drain.clone(), serve)),
        );
        Self { shared, address }
    }

    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Live counters.
    pub fn metrics(&self) -> Arc<KafkaMetrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// Who is connected.
    pub fn clients(&self) -> Arc<Clients> {
        Arc::clone(&self.shared.clients)
    }

    /// Bytes of requests that wait for their answer, and of answers that wait to be sent.
    pub fn bytes_in_flight(&self) -> (usize, usize) {
        (self.shared.requests.used(), self.shared.responses.bytes())
    }

    /// Stops accepting, answers what is in flight (long polls at once), closes every connection;
    /// after `deadline` those too that are not done. Returns how many those were.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.shared.drain.drain(&self.shared.env, deadline).await
    }
}
