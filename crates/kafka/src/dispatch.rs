//! Which APIs there are and who handles them.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;

use levada_wire_kafka::{ApiKey, Frame, Message, Reader, WireError};

use crate::call::Call;
use crate::handlers;

/// A request whose body has not been read yet.
pub struct Incoming {
    pub call: Call,
    pub reader: Reader,
}

impl Incoming {
    /// Reads the body. Like Kafka, it does not mind bytes after it.
    ///
    /// # Errors
    /// The bytes are not this request: the connection is closed.
    pub fn decode<R: Message>(mut self) -> Result<(Call, R), WireError> {
        let request = R::decode(&mut self.reader, self.call.version)?;
        Ok((self.call, request))
    }
}

/// What a request comes to.
pub enum Done {
    Frame(Frame),
    /// No answer is expected.
    Silence,
    /// The connection has to be closed: the only way to tell who expects no answer of an error.
    Close(&'static str),
}

/// What a handler gives back.
pub enum Outcome {
    Now(Done),
    /// The rest is done once the answers before it are out; it may wait.
    Later(Pin<Box<dyn Future<Output = Done> + Send>>),
}

impl From<Frame> for Outcome {
    fn from(frame: Frame) -> Self {
        Self::Now(Done::Frame(frame))
    }
}

/// A handler at work: until it is done, the connection's next request is not begun.
pub type Handling = Pin<Box<dyn Future<Output = Result<Outcome, WireError>> + Send>>;

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Api {
    pub key: ApiKey,
    pub handle: fn(Incoming) -> Handling,
}

/// A row for a handler that answers before the connection's next request is begun:
/// `async fn handle(call: &Call, request: R) -> R::Response`.
macro_rules! now {
    ($key:ident => $handle:path) => {
        $crate::dispatch::Api {
            key: ::levada_wire_kafka::ApiKey::$key,
            handle: |incoming| {
                Box::pin(async move {
                    let (call, request) = incoming.decode()?;
                    let response = $handle(&call, request).await;
                    Ok(call.frame(&response).into())
                })
            },
        }
    };
}

/// A row for a handler that may wait for long (a poll, other members of a group) while the
/// connection's next requests are begun; its answer keeps its place. It runs when the answers
/// before it are out. Same signature as for `now`.
macro_rules! later {
    ($key:ident => $handle:path) => {
        $crate::dispatch::Api {
            key: ::levada_wire_kafka::ApiKey::$key,
            handle: |incoming| {
                Box::pin(async move {
                    let (call, request) = incoming.decode()?;
                    Ok($crate::dispatch::Outcome::Later(Box::pin(async move {
                        let response = $handle(&call, request).await;
                        $crate::dispatch::Done::Frame(call.frame(&response))
                    })))
                })
            },
        }
    };
}

pub(crate) use {later, now};

/// All rows by the number of their API.
pub struct Table {
    rows: Vec<Option<Api>>,
}

/// Why a request has no handler.
#[derive(Debug, thiserror::Error)]
pub enum NoHandler {
    #[error("API {0} is unknown or not served")]
    Api(i16),
    #[error("{api} version {version} is not served")]
    Version { api: &'static str, version: i16 },
}

impl Table {
    pub fn new() -> Self {
        let mut rows = vec![None; ApiKey::ALL.len()];
        for api in handlers::apis() {
            let place = usize::try_from(api.key.code()).ok();
            if let Some(row) = place.and_then(|place| rows.get_mut(place)) {
                *row = Some(*api);
            }
        }
        Self { rows }
    }

    /// The row of an API in a version. ApiVersions is found in every version, since it has to
    /// answer those too that it does not know.
    pub fn find(&self, key: i16, version: i16) -> Result<Api, NoHandler> {
        let place = usize::try_from(key).ok();
        let row = place.and_then(|place| self.rows.get(place).copied().flatten());
        let api = row.ok_or(NoHandler::Api(key))?;
        let served = versions(api.key).is_some_and(|versions| versions.contains(&version));
        match served || api.key == ApiKey::ApiVersions {
            true => Ok(api),
            false => Err(NoHandler::Version {
                api: api.key.name(),
                version,
            }),
        }
    }
}

fn versions(key: ApiKey) -> Option<RangeInclusive<i16>> {
    key.advertised_versions()
}

/// What ApiVersions tells: each served API with its versions, by ascending number.
pub fn advertised_apis() -> Vec<(ApiKey, RangeInclusive<i16>)> {
    let mut apis: Vec<_> = handlers::apis()
        .filter_map(|api| Some((api.key, versions(api.key)?)))
        .collect();
    apis.sort_by_key(|(key, _)| key.code());
    apis
}
