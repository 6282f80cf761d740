//! The only list of listeners: who binds where, who may, and the order in which they stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use levada_engine::Engine;
use levada_env::Env;
use levada_http::{Health, HttpSettings, Registry};
use levada_kafka::KafkaListener;
use levada_net::{Drain, Listener, ListenerSettings, is_loopback};
use levada_sqs::{AccessKeys, SqsListener};

use crate::config::Settings;
use crate::config::value::{Address, FilePath, Listen};
use crate::{StartError, compose};

/// How long the last probes and scrapes may take.
const HTTP_DRAIN: Duration = Duration::from_millis(500);

/// Where the listeners accept; `None` for what is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    pub kafka: Option<SocketAddr>,
    pub sqs: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
}

/// Sockets that are bound and do not accept yet.
pub(crate) struct Bound {
    kafka: Option<Listener>,
    sqs: Option<Listener>,
    http: Option<Listener>,
    access_keys: AccessKeys,
}

/// Refuses addresses that other machines can reach while nobody has to log in. Gives the keys that
/// SQS clients log in with.
///
/// # Errors
/// [`StartError::Open`], [`StartError::Address`], [`StartError::Keys`].
pub(crate) async fn check(env: &Env, settings: &Settings) -> Result<AccessKeys, StartError> {
    let access_keys = access_keys(env, settings).await?;
    let is_open = access_keys.is_empty();
    let all = [
        ("kafka", &settings.kafka.listen, true),
        ("sqs", &settings.sqs.listen, is_open),
        ("http", &settings.http.listen, true),
    ];
    for (name, listen, is_open) in all {
        let Listen::At(address) = listen else {
            continue;
        };
        let resolved = env
            .resolve(&address.to_string())
            .await
            .map_err(|error| StartError::Address(name, address.to_string(), error.to_string()))?;
        for candidate in resolved {
            if is_open && !is_loopback(&candidate) && !settings.server.insecure {
                return Err(StartError::Open(name, address.to_string()));
            }
        }
    }
    Ok(access_keys)
}

/// The keys of `sqs.access_keys_file`; none if it is not set.
async fn access_keys(env: &Env, settings: &Settings) -> Result<AccessKeys, StartError> {
    let Some(FilePath(path)) = settings.sqs.access_keys_file.0.clone() else {
        return Ok(AccessKeys::default());
    };
    let refused = |why: String| StartError::Keys(settings.sqs.access_keys_file.to_string(), why);
    let fs = Arc::clone(env.fs());
    let bytes = env.blocking(move || fs.read(&path)).await;
    let bytes = bytes.map_err(|error| refused(error.to_string()))?;
    let keys = AccessKeys::parse(&String::from_utf8_lossy(&bytes));
    let keys = keys.map_err(|error| refused(error.to_string()))?;
    match keys.is_empty() {
        // A file without keys must not open the listener to everybody.
        true => Err(refused("it holds no key".to_owned())),
        false => Ok(keys),
    }
}

impl Bound {
    /// Binds every listener that is on.
    ///
    /// # Errors
    /// [`StartError::Bind`].
    pub async fn bind(
        env: &Env,
        settings: &Settings,
        access_keys: AccessKeys,
    ) -> Result<Self, StartError> {
        let kafka = (&settings.kafka.listen, compose::kafka_listener(settings));
        let sqs = (&settings.sqs.listen, compose::sqs_listener(settings));
        let http = (&settings.http.listen, compose::http_listener());
        Ok(Self {
            access_keys,
            kafka: bind(env, "kafka", kafka).await?,
            sqs: bind(env, "sqs", sqs).await?,
            http: bind(env, "http", http).await?,
        })
    }

    pub fn addresses(&self) -> Addresses {
        Addresses {
            kafka: self.kafka.as_ref().map(Listener::local_addr),
            sqs: self.sqs.as_ref().map(Listener::local_addr),
            http: self.http.as_ref().map(Listener::local_addr),
        }
    }

    /// Begins to accept for Kafka clients.
    pub fn start_kafka(
        &mut self,
        env: &Env,
        settings: &Settings,
        engine: &Engine,
    ) -> Option<KafkaListener> {
        let listener = self.kafka.take()?;
        let kafka = compose::kafka(settings);
        Some(KafkaListener::start(
            env.clone(),
            engine.clone(),
            kafka,
            listener,
        ))
    }

    /// Begins to accept for SQS clients.
    pub fn start_sqs(
        &mut self,
        env: &Env,
        settings: &Settings,
        engine: &Engine,
    ) -> Option<SqsListener> {
        let listener = self.sqs.take()?;
        let sqs = compose::sqs(settings, std::mem::take(&mut self.access_keys));
        Some(SqsListener::start(
            env.clone(),
            engine.clone(),
            sqs,
            listener,
        ))
    }

    /// Begins to answer probes and scrapes; they go on while the others drain.
    pub fn start_http(&mut self, env: &Env, health: &Health, registry: Registry) -> Option<Drain> {
        let listener = self.http.take()?;
        let drain = Drain::new();
        let serve = levada_http::serve(
            listener,
            drain.clone(),
            HttpSettings::default(),
            health.clone(),
            registry,
        );
        env.spawn("http-accept", drain.track(serve));
        Some(drain)
    }
}

async fn bind(
    env: &Env,
    name: &'static str,
    (listen, settings): (&Listen, ListenerSettings),
) -> Result<Option<Listener>, StartError> {
    let Listen::At(address) = listen else {
        return Ok(None);
    };
    match Listener::bind(env.clone(), &address.to_string(), settings).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => Err(StartError::Bind(name, error)),
    }
}

/// What accepts.
pub(crate) struct Listeners {
    pub kafka: Option<KafkaListener>,
    pub sqs: Option<SqsListener>,
    pub http: Option<Drain>,
}

impl Listeners {
    /// Lets the connections of clients finish what is in flight; returns how many were cut off.
    pub async fn drain_clients(&self, deadline: Duration) -> usize {
        let kafka = async {
            match &self.kafka {
                Some(kafka) => kafka.drain(deadline).await,
                None => 0,
            }
        };
        let sqs = async {
            match &self.sqs {
                Some(sqs) => sqs.drain(deadline).await,
                None => 0,
            }
        };
        let (kafka, sqs) = tokio::join!(kafka, sqs);
        kafka + sqs
    }

    pub async fn drain_http(&self, env: &Env) {
        if let Some(drain) = &self.http {
            drain.drain(env, HTTP_DRAIN).await;
        }
    }
}

/// Whether clients elsewhere are told an address that means "any": nobody can connect to that.
pub(crate) fn needs_advertised(settings: &Settings, addresses: &Addresses) -> Option<Address> {
    let bound = addresses.kafka?;
    let wildcard = bound.ip().is_unspecified() && settings.kafka.advertised.0.is_none();
    wildcard.then(|| Address {
        host: bound.ip().to_string(),
        port: bound.port(),
    })
}
