//! The listener as `server` sees it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use levada_engine::Engine;
use levada_env::Env;
use levada_net::{Connection, Drain, Listener};
use tokio::sync::Semaphore;

use crate::auth::PolicyCache;
use crate::call::{DeletedNames, Shared};
use crate::http;
use crate::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX};
use crate::metrics::SqsMetrics;
use crate::settings::SqsSettings;
use crate::stream::Patient;

/// A running listener.
pub struct SqsListener {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl SqsListener {
    /// Begins to accept on `listener`.
    pub fn start(env: Env, engine: Engine, settings: SqsSettings, listener: Listener) -> Self {
        // At least one request of any size must fit.
        let requests = settings.request_bytes_max.max(BODY_BYTES_MAX);
        let arriving = (requests / 2).max(BODY_BYTES_MAX);
        let shared = Arc::new(Shared {
            metrics: Arc::default(),
            drain: Drain::new(),
            requests: Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))),
            arriving: Semaphore::new(arriving.min(Semaphore::MAX_PERMITS)),
            responses: Arc::default(),
            changing: tokio::sync::Mutex::default(),
            deleted: DeletedNames::default(),
            policies: PolicyCache::default(),
            env: env.clone(),
            engine,
            settings,
        });
        let address = listener.local_addr();
        let serve = {
            let shared = Arc::clone(&shared);
            move |connection: Connection| serve(Arc::clone(&shared), connection)
        };
        let drain = shared.drain.clone();
        env.spawn(
            "sqs-accept",
            drain.track(listener.run(drain.clone(), serve)),
        );
        Self { shared, address }
    }

    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Live counters.
    pub fn metrics(&self) -> Arc<SqsMetrics> {
        Arc::clone(&self.shared.metrics)
    }

    /// Stops accepting, answers what is in flight (long polls at once), closes every connection;
    /// after `deadline` those too that are not done. Returns how many those were.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.shared.drain.drain(&self.shared.env, deadline).await
    }
}

/// Serves one connection until it ends or the service drains.
async fn serve(shared: Arc<Shared>, connection: Connection) {
    shared.metrics.connected();
    let (peer, local) = (connection.peer, connection.local);
    let patience = shared.settings.transfer_timeout;
    let stream = Patient::new(connection.stream, shared.env.clone(), patience);
    let stopping = shared.drain.stopping().clone();
    let head_timeout = shared.settings.head_timeout;
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(http::answer(&shared, (peer, local), request).await) }
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut http = std::pin::pin!(http);
    let result = tokio::select! {
        biased;
        result = http.as_mut() => result,
        () = stopping.cancelled() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = result {
        // A scanner, a cut line, a slow head: nothing that a person must act on.
        tracing::debug!(%peer, %error, "SQS connection ended");
    }
}
