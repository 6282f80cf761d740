//! One connection: requests are begun in their order, many are in flight, answers keep the order.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use levada_env::net::Stream;
use levada_net::Connection;
use levada_wire_kafka::header::RequestHeader;
use levada_wire_kafka::{ApiKey, Reader, WireError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, Peer, Shared};
use crate::dispatch::{Incoming, NoHandler};
use crate::frame::{Frame, FrameError, FrameReader};
use crate::reply::{Pending, WriteError, write_replies};

/// Why a connection was closed by us.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a request that cannot be read: {0}")]
    Wire(#[from] WireError),
    #[error(transparent)]
    NoHandler(#[from] NoHandler),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Closed {
    /// Whether the client is simply gone, which happens all day.
    fn is_gone(&self) -> bool {
        matches!(
            self,
            Closed::Frame(FrameError::Io(_) | FrameError::Cut) | Closed::Write(WriteError::Io(_))
        )
    }
}

/// Serves one connection until it ends, is refused, or the service drains.
pub async fn serve(shared: Arc<Shared>, connection: Connection) {
    shared.metrics.connected();
    let peer = Arc::new(Peer {
        client: shared.clients.enter(&shared.env, connection.peer),
        local: connection.local,
        shared: Arc::clone(&shared),
        gone: CancellationToken::new(),
    });
    let stream = &connection.stream;
    let limit = shared.settings.requests_in_flight_max.max(1);
    let (queue, mut requests) = mpsc::channel(limit);
    let ended = {
        let reading = async {
            let ended = Reading::new(&shared, &peer, queue).run(stream).await;
            peer.gone.cancel();
            ended
        };
        let writing = async {
            let ended = write_replies(&shared, stream, &mut requests).await;
            ended.map_err(Closed::from)
        };
        // Reading ends first in good order: then the answers that are owed are still written.
        tokio::try_join!(reading, writing)
    };
    if let Err(closed) = ended {
        report(&shared, &peer, &closed);
    }
}

fn report(shared: &Shared, peer: &Peer, closed: &Closed) {
    let client = &peer.client;
    let (address, id) = (client.peer, client.client_id().unwrap_or_default());
    if closed.is_gone() {
        tracing::debug!(peer = %address, client_id = id, reason = %closed, "connection ended");
        return;
    }
    shared.metrics.refused();
    if let Some(more) = shared.refused.pass(&shared.env) {
        tracing::warn!(
            peer = %address, client_id = id, reason = %closed, more, "connection closed"
        );
    }
}

type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The reading half of a connection.
struct Reading<'a> {
    shared: &'a Arc<Shared>,
    peer: &'a Arc<Peer>,
    queue: mpsc::Sender<Box<Pending>>,
    frames: FrameReader,
    /// When the last request arrived, on the monotonic clock.
    active: Duration,
    /// One timer for the connection: it is not moved by each request, but looks when it fires.
    idle: Sleep<'a>,
}

impl<'a> Reading<'a> {
    fn new(
        shared: &'a Arc<Shared>,
        peer: &'a Arc<Peer>,
        queue: mpsc::Sender<Box<Pending>>,
    ) -> Self {
        let env = &shared.env;
        Self {
            shared,
            peer,
            queue,
            frames: FrameReader::new(),
            active: env.monotonic(),
            idle: Box::pin(env.sleep(shared.settings.idle_timeout)),
        }
    }

    /// Reads and begins requests; ends well at the stream's end, when idle, and for a drain.
    async fn run(mut self, stream: &Stream) -> Result<(), Closed> {
        let shared = self.shared;
        let settings = &shared.settings;
        loop {
            while let Some(frame) = self.frames.split(settings.frame_bytes_max)? {
                if shared.drain.is_stopping() {
                    return Ok(());
                }
                self.active = shared.env.monotonic();
                if !Box::pin(self.begin(frame)).await? {
                    return Ok(());
                }
            }
            if self.frames.is_empty() {
                self.frames.rest();
                if !self.wait(stream).await? || !self.fill(stream).await? {
                    return Ok(());
                }
            } else {
                let (env, budget) = (&shared.env, &shared.requests);
                let rest = self.frames.complete(stream, budget, env, settings);
                Box::pin(rest).await?;
            }
        }
    }

    async fn fill(&mut self, stream: &Stream) -> Result<bool, FrameError> {
        Box::pin(self.frames.fill(stream, &self.shared.requests)).await
    }

    /// Waits for bytes between requests; `false` if the connection is over.
    async fn wait(&mut self, stream: &Stream) -> Result<bool, FrameError> {
        loop {
            tokio::select! {
                biased;
                ready = stream.readable() => return Ok(ready.map(|()| true)?),
                () = self.shared.drain.stopping().cancelled() => return Ok(false),
                () = &mut self.idle => {}
            }
            let env = &self.shared.env;
            let limit = self.shared.settings.idle_timeout;
            let quiet = env.monotonic().saturating_sub(self.active);
            let waits_for_us = self.queue.capacity() < self.queue.max_capacity();
            if quiet >= limit && !waits_for_us {
                return Ok(false);
            }
            let left = limit.saturating_sub(quiet);
            self.idle = Box::pin(env.sleep(if left.is_zero() { limit } else { left }));
        }
    }

    /// Begins one request; `false` once nobody writes answers any more.
    async fn begin(&mut self, frame: Frame) -> Result<bool, Closed> {
        let shared = self.shared;
        shared.metrics.received(frame.bytes.len());
        // Its place in the queue first: what is begun can also be answered.
        let Ok(place) = self.queue.reserve().await else {
            return Ok(false);
        };
        let mut reader = Reader::new(frame.bytes);
        let header = read_header(&mut reader)?;
        let api = shared.table.find(header.api_key, header.api_version)?;
        if let Some(id) = header.client_id.as_deref().filter(|id| !id.is_empty())
            && self.peer.client.client_id.get().is_none()
        {
            let _ = self.peer.client.client_id.set(id.to_owned());
        }
        let call = Call {
            peer: Arc::clone(self.peer),
            key: api.key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
        };
        let outcome = (api.handle)(Incoming { call, reader }).await?;
        place.send(Box::new(Pending {
            outcome,
            key: api.key,
            begun: self.active,
            _held: frame.held,
        }));
        Ok(true)
    }
}

/// Reads a header; of ApiVersions in a version that we do not know only what all versions share,
/// since the answer to it needs no more (KIP-511).
fn read_header(reader: &mut Reader) -> Result<RequestHeader, WireError> {
    let mut first = reader.clone();
    let (api_key, api_version) = (first.i16()?, first.i16()?);
    let known = ApiKey::ApiVersions.advertised_versions();
    if api_key != ApiKey::ApiVersions.code() || known.is_some_and(|v| v.contains(&api_version)) {
        return RequestHeader::decode(reader);
    }
    Ok(RequestHeader {
        api_key,
        api_version,
        correlation_id: first.i32()?,
        client_id: None,
    })
}
