//! Connections: HTTP/1.1 over what `net` accepts, until the drain.

use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use levada_net::{Connection, Drain, Listener};

use crate::health::Health;
use crate::metrics::Registry;
use crate::routes::router;

/// What this listener allows.
#[derive(Clone, Copy, Debug)]
pub struct HttpSettings {
    /// A request whose head has not arrived after this long is dropped; so is an idle connection.
    pub header_timeout: Duration,
    /// The largest request head.
    pub header_bytes_max: usize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(30),
            header_bytes_max: 16 << 10,
        }
    }
}

/// Answers until `drain` begins; requests in flight are finished.
pub async fn serve(
    listener: Listener,
    drain: Drain,
    settings: HttpSettings,
    health: Health,
    registry: Registry,
) {
    let service = TowerToHyperService::new(router(health, registry));
    let stopping = drain.stopping().clone();
    listener
        .run(drain, move |connection: Connection| {
            let (service, stopping) = (service.clone(), stopping.clone());
            async move {
                let peer = connection.peer;
                let http = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(settings.header_timeout)
                    .max_buf_size(settings.header_bytes_max)
                    .serve_connection(TokioIo::new(connection.stream), service);
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
                    tracing::debug!(%peer, %error, "HTTP connection ended");
                }
            }
        })
        .await;
}
