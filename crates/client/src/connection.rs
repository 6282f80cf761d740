//! One connection to one broker: pipelined requests, answers in their order.
//!
//! A task writes and a task reads; a request is encoded by its caller and shares its records'
//! memory until the socket has it. Callers bound how much they have under way.

mod dial;
mod io;

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use levada_env::Env;
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::messages::{ApiVersionsRequest, ApiVersionsResponse};
use levada_wire_kafka::{ApiKey, ErrorCode, Frame, KStr, Message, Reader, Request, Writer};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::error::{ClientError, ClientResult};
pub use dial::dial;
use dial::doubtful;

/// How connections are made.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Sent with each request; brokers log it.
    pub client_id: String,
    pub connect_timeout: Duration,
    /// How long an answer may take before the connection is given up.
    pub request_timeout: Duration,
    /// Largest answer that is accepted, in bytes.
    pub response_bytes_max: usize,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            client_id: "levada".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            response_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// A request that waits for its answer.
struct Pending {
    correlation_id: i32,
    answer: oneshot::Sender<ClientResult<Bytes>>,
}

struct State {
    next_correlation_id: i32,
    pending: VecDeque<Pending>,
    /// Why the connection ended, once it has.
    ended: Option<ClientError>,
}

/// What the tasks and the callers share.
struct Shared {
    address: String,
    state: Mutex<State>,
}

impl Shared {
    /// Ends the connection for everybody who waits and for those who come later.
    fn end(&self, error: &ClientError) {
        let waiting = {
            let mut state = self.state.lock();
            state.ended.get_or_insert_with(|| error.clone());
            std::mem::take(&mut state.pending)
        };
        for pending in waiting {
            let _ = pending.answer.send(Err(error.clone()));
        }
    }

    fn disconnected(&self, reason: impl ToString) -> ClientError {
        ClientError::Disconnected {
            address: self.address.clone(),
            reason: reason.to_string(),
        }
    }
}

/// An open connection, versions negotiated. Dropping it closes it.
pub struct Connection {
    env: Env,
    options: ConnectionOptions,
    client_id: KStr,
    shared: Arc<Shared>,
    frames: mpsc::UnboundedSender<Frame>,
    reader: AbortHandle,
    versions: Vec<(i16, i16, i16)>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The writer ends by itself when its channel closes, after what is queued.
        self.reader.abort();
    }
}

impl Connection {
    /// Connects to `address` (`host:port`) and asks which versions the broker knows.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], or whatever goes wrong with the first request.
    pub async fn open(
        env: &Env,
        address: &str,
        options: &ConnectionOptions,
    ) -> ClientResult<Arc<Self>> {
        let stream = dial(env, address, options.connect_timeout).await?;
        let (read, write) = stream.into_split();
        let shared = Arc::new(Shared {
            address: address.to_owned(),
            state: Mutex::new(State {
                next_correlation_id: 1,
                pending: VecDeque::new(),
                ended: None,
            }),
        });
        let (frames, queue) = mpsc::unbounded_channel();
        env.spawn("client writer", io::write(shared.clone(), write, queue));
        let reader = env.spawn(
            "client reader",
            io::read(shared.clone(), read, options.response_bytes_max),
        );
        let mut connection = Self {
            env: env.clone(),
            client_id: KStr::from(options.client_id.as_str()),
            options: options.clone(),
            shared,
            frames,
            reader: reader.abort_handle(),
            versions: Vec::new(),
        };
        connection.versions = connection.negotiate().await.map_err(doubtful)?;
        Ok(Arc::new(connection))
    }

    /// Asks for the broker's versions; an old broker refuses ours and names its own (KIP-511).
    async fn negotiate(&self) -> ClientResult<Vec<(i16, i16, i16)>> {
        let request = ApiVersionsRequest {
            client_software_name: KStr::from_static("levada"),
            client_software_version: KStr::from_static(env!("CARGO_PKG_VERSION")),
        };
        let newest = newest_version(ApiKey::ApiVersions);
        let mut version = newest;
        loop {
            let body = self
                .answer(
                    self.submit_raw(&request, version)?,
                    self.options.connect_timeout,
                )
                .await?;
            // A refusal has the body of version 0, whatever was asked for.
            let refused = body.starts_with(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
            let answer: ApiVersionsResponse =
                self.decode(body, if refused { 0 } else { version })?;
            if refused && version > 0 {
                let own = ApiKey::ApiVersions.code();
                let most = answer.api_keys.iter().find(|api| api.api_key == own);
                version = most.map_or(0, |api| api.max_version.clamp(0, version - 1));
                continue;
            }
            crate::error::check(answer.error_code, None, || {
                format!("{} does not tell its versions", self.shared.address)
            })?;
            return Ok(answer
                .api_keys
                .iter()
                .map(|api| (api.api_key, api.min_version, api.max_version))
                .collect());
        }
    }

    /// Where it leads to, as it was named.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Whether it can still be used.
    pub fn is_open(&self) -> bool {
        self.shared.state.lock().ended.is_none()
    }

    /// What the broker offers: API key, least and greatest version.
    pub fn offered(&self) -> &[(i16, i16, i16)] {
        &self.versions
    }

    /// The greatest version of `R` that both sides know and that is at most `most`.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] if there is none.
    pub fn version_up_to<R: Request>(&self, most: i16) -> ClientResult<i16> {
        let found = self
            .versions
            .iter()
            .find(|(key, ..)| *key == R::KEY.code())
            .map(|&(_, min, max)| (min, max));
        let ours = R::KEY.valid_versions();
        if let (Some((min, max)), Some(ours)) = (found, ours) {
            let version = max.min(*ours.end()).min(most);
            if version >= min && version >= *ours.start() {
                return Ok(version);
            }
        }
        Err(ClientError::unsupported(
            &self.shared.address,
            R::KEY,
            found,
        ))
    }

    /// The greatest version of `R` that both sides know.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] if there is none.
    pub fn version<R: Request>(&self) -> ClientResult<i16> {
        self.version_up_to::<R>(i16::MAX)
    }

    /// Sends a request in the greatest common version and waits for its answer.
    ///
    /// # Errors
    /// Any of the connection's; never [`ClientError::Refused`]: codes are the caller's to read.
    pub async fn call<R: Request>(&self, request: &R) -> ClientResult<R::Response> {
        self.call_version(request, self.version::<R>()?).await
    }

    /// Sends a request in `version` and waits for its answer.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn call_version<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> ClientResult<R::Response> {
        self.receive(self.submit(request, version)?).await
    }

    /// Sends a request and returns at once: requests leave in the order of these calls.
    ///
    /// # Errors
    /// Why the connection has ended.
    pub fn submit<R: Request>(&self, request: &R, version: i16) -> ClientResult<Answer<R>> {
        Ok(Answer {
            raw: self.submit_raw(request, version)?,
            version,
            request: PhantomData,
        })
    }

    /// Sends a request to which the protocol has no answer (Produce with acks 0).
    ///
    /// # Errors
    /// Why the connection has ended.
    pub fn submit_unanswered<R: Request>(&self, request: &R, version: i16) -> ClientResult<()> {
        let mut state = self.shared.state.lock();
        let id = self.take_correlation_id(&mut state)?;
        let frame = self.encode(request, version, id);
        self.frames
            .send(frame)
            .map_err(|_| self.shared.disconnected("it was closed"))
    }

    /// Waits for the answer to a submitted request. An answer that takes too long ends the
    /// connection, since nothing behind it could be trusted to come.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn receive<R: Request>(&self, answer: Answer<R>) -> ClientResult<R::Response> {
        self.receive_within(answer, self.options.request_timeout)
            .await
    }

    /// As [`Connection::receive`], with a patience of its own.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn receive_within<R: Request>(
        &self,
        answer: Answer<R>,
        after: Duration,
    ) -> ClientResult<R::Response> {
        let version = answer.version;
        let body = self.answer(answer.raw, after).await?;
        self.decode(body, version)
    }

    fn decode<M: Message>(&self, body: Bytes, version: i16) -> ClientResult<M> {
        let mut reader = Reader::new(body);
        M::decode(&mut reader, version)
            .and_then(|message| reader.expect_end().map(|()| message))
            .map_err(|error| ClientError::Protocol {
                address: self.shared.address.clone(),
                reason: format!("{} version {version}: {error}", M::NAME),
            })
    }

    fn take_correlation_id(&self, state: &mut State) -> ClientResult<i32> {
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        let id = state.next_correlation_id;
        state.next_correlation_id = id.checked_add(1).unwrap_or(1);
        Ok(id)
    }

    fn encode<R: Request>(&self, request: &R, version: i16, correlation_id: i32) -> Frame {
        let mut writer = Writer::framed();
        RequestHeader {
            api_key: R::KEY.code(),
            api_version: version,
            correlation_id,
            client_id: Some(self.client_id.clone()),
        }
        .encode(&mut writer);
        request.encode(&mut writer, version);
        writer.finish()
    }

    fn submit_raw<R: Request>(&self, request: &R, version: i16) -> ClientResult<RawAnswer> {
        let (answer, receiver) = oneshot::channel();
        // One lock over numbering and queueing: answers come in the order of the wire.
        let mut state = self.shared.state.lock();
        let correlation_id = self.take_correlation_id(&mut state)?;
        let frame = self.encode(request, version, correlation_id);
        self.frames
            .send(frame)
            .map_err(|_| self.shared.disconnected("it was closed"))?;
        state.pending.push_back(Pending {
            correlation_id,
            answer,
        });
        Ok(RawAnswer {
            receiver,
            key: R::KEY,
            version,
        })
    }

    /// The body of an answer, its header taken off.
    async fn answer(&self, raw: RawAnswer, after: Duration) -> ClientResult<Bytes> {
        let address = &self.shared.address;
        let frame = match self.env.timeout(after, raw.receiver).await {
            Ok(Ok(frame)) => frame?,
            Ok(Err(_)) => return Err(self.shared.disconnected("it was closed")),
            Err(_) => {
                let error = ClientError::TimedOut {
                    address: address.clone(),
                    api: raw.key.name(),
                    after,
                };
                self.shared.end(&error);
                self.reader.abort();
                return Err(error);
            }
        };
        let mut reader = Reader::new(frame);
        ResponseHeader::decode(&mut reader, raw.key, raw.version)
            .map_err(|error| ClientError::protocol(address, &error))?;
        Ok(reader.rest())
    }
}

fn newest_version(key: ApiKey) -> i16 {
    key.valid_versions().map_or(0, |versions| *versions.end())
}

struct RawAnswer {
    receiver: oneshot::Receiver<ClientResult<Bytes>>,
    key: ApiKey,
    version: i16,
}

/// The answer that a submitted request will have; see [`Connection::receive`].
pub struct Answer<R: Request> {
    raw: RawAnswer,
    version: i16,
    request: PhantomData<fn() -> R>,
}
