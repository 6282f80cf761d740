//! Binding and accepting within a limit of connections.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use levada_env::Env;
use levada_env::net::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::proxy::{self, ProxyError};
use crate::{Drain, LogGate};

/// How long to pause after the system refused to accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a balancer may take for its PROXY header.
const PROXY_TIMEOUT: Duration = Duration::from_secs(5);
/// At most one log line of each kind in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What one listener allows.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerSettings {
    /// Most connections at a time; one more is accepted and closed at once.
    pub connections_max: usize,
    /// Connections that the system keeps waiting for us.
    pub backlog: u32,
    /// Send small answers at once (TCP_NODELAY).
    pub nodelay: bool,
    /// Every connection begins with a PROXY protocol header, version 1 or 2. Turn it on only where
    /// nobody but the load balancer can connect: the header is believed.
    pub proxy_protocol: bool,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            backlog: 1024,
            nodelay: true,
            proxy_protocol: false,
        }
    }
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    pub address: String,
    pub source: io::Error,
}

/// A bound socket.
pub struct Listener {
    env: Env,
    socket: net::Listener,
    local: SocketAddr,
    settings: ListenerSettings,
}

/// One accepted connection.
pub struct Connection {
    pub stream: Stream,
    /// Who connected: the PROXY header's source, else the socket's peer.
    pub peer: SocketAddr,
    /// What the client connected to, as far as we can know: the PROXY header's destination, else
    /// the socket's local address. Behind destination NAT the latter is an inner address, which
    /// clients cannot reach: there the advertised address must be configured.
    pub local: SocketAddr,
}

/// Whether only this machine can reach `address`.
pub fn is_loopback(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    }
}

impl Listener {
    /// Binds `address` (`host:port`; port 0 picks one). Nothing is accepted before
    /// [`Listener::run`], but clients can already connect and wait.
    ///
    /// # Errors
    /// [`BindError`] if the name has no address or the system refuses.
    pub async fn bind(
        env: Env,
        address: &str,
        settings: ListenerSettings,
    ) -> Result<Self, BindError> {
        let bind = async {
            let candidates = env.resolve(address).await?;
            let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for candidate in candidates {
                match env.listen(candidate, settings.backlog).await {
                    Ok(socket) => return Ok((socket.local_addr()?, socket)),
                    Err(refused) => error = refused,
                }
            }
            Err(error)
        };
        match bind.await {
            Ok((local, socket)) => Ok(Self {
                env,
                socket,
                local,
                settings,
            }),
            Err(source) => Err(BindError {
                address: address.to_owned(),
                source,
            }),
        }
    }

    /// The address with the port that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Accepts until the drain begins; each connection runs `serve` in a task of its own, which the
    /// drain waits for.
    pub async fn run<S, F>(self, drain: Drain, serve: S)
    where
        S: Fn(Connection) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(self.settings.connections_max));
        let (full, failed) = (LogGate::new(LOG_INTERVAL), LogGate::new(LOG_INTERVAL));
        let refused = Arc::new(LogGate::new(LOG_INTERVAL));
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.stopping().cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(more) = failed.pass(&self.env) {
                        tracing::warn!(%error, more, "cannot accept a connection");
                    }
                    self.env.sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                if let Some(more) = full.pass(&self.env) {
                    let limit = self.settings.connections_max;
                    tracing::warn!(%peer, limit, more, "connection limit reached: closed");
                }
                continue;
            };
            let Ok(connection) = self.admit(stream, peer) else {
                continue; // It is gone already.
            };
            let served = serve.clone();
            if self.settings.proxy_protocol {
                let (env, refused) = (self.env.clone(), Arc::clone(&refused));
                let work = Box::pin(behind_proxy(env, connection, refused, served));
                self.env
                    .spawn("connection", drain.track(holding(place, work)));
            } else {
                // Boxed: the layers around it would else each hold a copy of it.
                let work = holding(place, Box::pin(served(connection)));
                self.env.spawn("connection", drain.track(work));
            }
        }
    }

    fn admit(&self, stream: Stream, peer: SocketAddr) -> io::Result<Connection> {
        stream.set_nodelay(self.settings.nodelay)?;
        // So that a peer which vanished without a word is noticed in the end.
        stream.set_keepalive(true)?;
        let local = stream.local_addr()?;
        Ok(Connection {
            stream,
            peer,
            local,
        })
    }
}

/// Keeps a connection's place until its service is done.
async fn holding<P>(place: P, work: impl Future<Output = ()>) {
    work.await;
    drop(place);
}

async fn behind_proxy<S, F>(env: Env, mut connection: Connection, refused: Arc<LogGate>, serve: S)
where
    S: Fn(Connection) -> F,
    F: Future<Output = ()>,
{
    let header = env.timeout(PROXY_TIMEOUT, proxy::read_header(&mut connection.stream));
    match header.await {
        Ok(Ok(endpoints)) => {
            if let Some(endpoints) = endpoints {
                connection.peer = endpoints.source;
                connection.local = endpoints.destination;
            }
            serve(connection).await;
        }
        // A balancer's health check connects and hangs up.
        Ok(Err(ProxyError::Io(_))) => {}
        Ok(Err(error)) => {
            if let Some(more) = refused.pass(&env) {
                tracing::warn!(peer = %connection.peer, %error, more, "connection closed");
            }
        }
        Err(_) => {
            if let Some(more) = refused.pass(&env) {
                tracing::warn!(peer = %connection.peer, more, "no PROXY header in time: closed");
            }
        }
    }
}
