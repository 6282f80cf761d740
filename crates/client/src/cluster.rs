//! A client of a whole cluster: finds brokers, keeps connections, routes by leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use levada_env::Env;
use levada_wire_kafka::messages::{
    FindCoordinatorRequest, MetadataRequest, MetadataRequestTopic, MetadataResponse,
};
use levada_wire_kafka::{ErrorCode, KStr};
use parking_lot::Mutex;

use crate::connection::{Connection, ConnectionOptions};
use crate::error::{ClientError, ClientResult, check};
use crate::metadata::{Broker, Metadata, Topic, address_of};
use crate::patience::{Patience, Retries};

/// How long a topic's leaders are believed without being asked again.
const METADATA_AGE_MAX: Duration = Duration::from_secs(300);

/// Where a client begins and how patient it is.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `host:port`, one or several: the first that answers tells the rest.
    pub bootstrap: Vec<String>,
    pub connection: ConnectionOptions,
    /// How long errors that may pass are tried again.
    pub retry_timeout: Duration,
}

impl ClientOptions {
    /// The defaults, from one or several addresses with commas between them.
    pub fn new(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap
                .split(',')
                .map(|address| address.trim().to_owned())
                .filter(|address| !address.is_empty())
                .collect(),
            connection: ConnectionOptions::default(),
            retry_timeout: Duration::from_secs(15),
        }
    }
}

/// What a connection is for. A broker answers one connection's requests one after the other, so
/// that a long poll must not share it with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    Control,
    Produce,
    Fetch,
    Group,
}

/// One connection, or none yet. The lock is held while connecting: the others want the same one.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

struct Inner {
    env: Env,
    options: ClientOptions,
    metadata: Mutex<Metadata>,
    bootstrap: Slot,
    slots: Mutex<BTreeMap<(i32, Lane), Slot>>,
}

/// A client of one cluster. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    patience: Patience,
}

impl Client {
    /// Connects to the first bootstrap address that answers and learns the cluster's brokers.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when no address answers.
    pub async fn connect(env: &Env, options: ClientOptions) -> ClientResult<Self> {
        let client = Self {
            patience: Patience::new(options.retry_timeout),
            inner: Arc::new(Inner {
                env: env.clone(),
                options,
                metadata: Mutex::default(),
                bootstrap: Slot::default(),
                slots: Mutex::default(),
            }),
        };
        client.refresh(Some(&[]), false).await?;
        Ok(client)
    }

    pub fn env(&self) -> &Env {
        &self.inner.env
    }

    pub fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    /// The cluster's id, if the broker tells.
    pub fn cluster_id(&self) -> Option<String> {
        self.inner.metadata.lock().cluster_id.clone()
    }

    /// The brokers, by id, as the last metadata named them.
    pub fn brokers(&self) -> Vec<Broker> {
        self.inner
            .metadata
            .lock()
            .brokers
            .values()
            .cloned()
            .collect()
    }

    /// A connection to any broker that answers.
    ///
    /// # Errors
    /// That of the last address that was tried.
    pub async fn any(&self) -> ClientResult<Arc<Connection>> {
        let mut slot = self.inner.bootstrap.lock().await;
        if let Some(open) = slot.as_ref().filter(|connection| connection.is_open()) {
            return Ok(open.clone());
        }
        let known = self.brokers();
        let known = known.iter().map(Broker::address);
        let mut last = ClientError::Invalid("no broker address was given".into());
        for address in self.inner.options.bootstrap.iter().cloned().chain(known) {
            match Connection::open(&self.inner.env, &address, &self.inner.options.connection).await
            {
                Ok(open) => {
                    *slot = Some(open.clone());
                    return Ok(open);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A connection to the broker `id`.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] with the address that the metadata names.
    pub async fn node(&self, id: i32, lane: Lane) -> ClientResult<Arc<Connection>> {
        let slot = self
            .inner
            .slots
            .lock()
            .entry((id, lane))
            .or_default()
            .clone();
        let mut slot = slot.lock().await;
        if let Some(open) = slot.as_ref().filter(|connection| connection.is_open()) {
            return Ok(open.clone());
        }
        let open = self.dedicated(id).await?;
        *slot = Some(open.clone());
        Ok(open)
    }

    /// A connection to the broker `id` for the caller alone.
    ///
    /// # Errors
    /// As [`Client::node`].
    pub async fn dedicated(&self, id: i32) -> ClientResult<Arc<Connection>> {
        let address = self
            .inner
            .metadata
            .lock()
            .brokers
            .get(&id)
            .map(Broker::address);
        let Some(address) = address else {
            return Err(ClientError::refused(
                format!("broker {id} is not in the cluster's metadata"),
                ErrorCode::LeaderNotAvailable,
            ));
        };
        let options = &self.inner.options;
        Connection::open(&self.inner.env, &address, &options.connection)
            .await
            .map_err(|error| match error {
                ClientError::Unreachable { address, reason }
                    if !options.bootstrap.contains(&address) =>
                {
                    ClientError::Unreachable {
                        reason: format!(
                            "{reason}; the cluster names this address for its broker {id}, \
                             check the broker's advertised address"
                        ),
                        address,
                    }
                }
                other => other,
            })
    }

    /// The connection to broker `id` if one is open already; never waits for the network.
    pub fn node_if_open(&self, id: i32, lane: Lane) -> Option<Arc<Connection>> {
        let slot = self.inner.slots.lock().get(&(id, lane)).cloned()?;
        let slot = slot.try_lock().ok()?;
        slot.as_ref()
            .filter(|connection| connection.is_open())
            .cloned()
    }

    /// A connection to the controller, or to any broker if none is known.
    ///
    /// # Errors
    /// As [`Client::any`].
    pub async fn controller(&self) -> ClientResult<Arc<Connection>> {
        let (id, known) = {
            let metadata = self.inner.metadata.lock();
            let id = metadata.controller_id;
            (
                id,
                metadata.brokers.len() > 1 && metadata.brokers.contains_key(&id),
            )
        };
        if known {
            self.node(id, Lane::Control).await
        } else {
            self.any().await
        }
    }

    /// Asks for metadata: of all topics (`None`), or of those named, which the broker may create.
    /// Gives each topic with its name, or why it has none.
    ///
    /// # Errors
    /// Those of the connection; a topic's own stand in the list.
    pub async fn refresh(
        &self,
        topics: Option<&[&str]>,
        create: bool,
    ) -> ClientResult<Vec<(String, ClientResult<Arc<Topic>>)>> {
        let request = MetadataRequest {
            topics: topics.map(|names| {
                names
                    .iter()
                    .map(|name| MetadataRequestTopic {
                        name: Some(KStr::from(*name)),
                        ..Default::default()
                    })
                    .collect()
            }),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let answer: MetadataResponse = self.any().await?.call(&request).await?;
        check(answer.error_code, None, || "the cluster's metadata".into())?;
        let now = self.inner.env.monotonic();
        Ok(self.inner.metadata.lock().merge(&answer, now))
    }

    /// A topic with its leaders, from memory if it was seen lately. `create` allows the broker to
    /// create it.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION if there is none (at once, unless it may be created).
    pub async fn topic(&self, name: &str, create: bool) -> ClientResult<Arc<Topic>> {
        match self.topic_if_known(name) {
            Some(known) => Ok(known),
            None => self.topic_afresh(name, create).await,
        }
    }

    /// A topic from memory, if it was seen lately; never waits for the network.
    pub fn topic_if_known(&self, name: &str) -> Option<Arc<Topic>> {
        let oldest = self.inner.env.monotonic().saturating_sub(METADATA_AGE_MAX);
        self.inner.metadata.lock().topic(name, oldest)
    }

    /// As [`Client::topic`], but never from memory.
    ///
    /// # Errors
    /// As [`Client::topic`].
    pub async fn topic_afresh(&self, name: &str, create: bool) -> ClientResult<Arc<Topic>> {
        let mut retries = self.retries();
        loop {
            let error = match self.refresh(Some(&[name]), create).await {
                Ok(topics) => match topics.into_iter().find(|(found, _)| found == name) {
                    Some((_, Ok(topic))) if topic.partitions.iter().all(|p| p.leader >= 0) => {
                        return Ok(topic);
                    }
                    Some((_, Err(error))) => error,
                    _ => ClientError::refused(
                        format!("topic '{name}'"),
                        ErrorCode::LeaderNotAvailable,
                    ),
                },
                Err(error) => error,
            };
            let absent = error.code() == Some(ErrorCode::UnknownTopicOrPartition);
            if (absent && !create) || !retries.again(&error).await {
                return Err(error);
            }
        }
    }

    /// Forgets where a topic's leaders are: the next look-up asks again.
    pub fn forget_topic(&self, name: &str) {
        self.inner.metadata.lock().forget_topic(name);
    }

    /// A connection to the coordinator of `group`, with its node id.
    ///
    /// # Errors
    /// Those of the connection; COORDINATOR_NOT_AVAILABLE when it stays so for too long.
    pub async fn coordinator(&self, group: &str) -> ClientResult<(i32, Arc<Connection>)> {
        let mut retries = self.retries();
        loop {
            let found = match self.find_coordinator(group).await {
                Ok(id) => self.node(id, Lane::Group).await.map(|open| (id, open)),
                Err(error) => Err(error),
            };
            match found {
                Err(error) if retries.again(&error).await => {}
                found => return found,
            }
        }
    }

    async fn find_coordinator(&self, group: &str) -> ClientResult<i32> {
        let connection = self.any().await?;
        let request = FindCoordinatorRequest {
            key: KStr::from(group),
            key_type: 0,
            coordinator_keys: vec![KStr::from(group)],
        };
        let answer = connection.call(&request).await?;
        let what = || format!("the coordinator of group '{group}'");
        let (code, message, id, host, port) = match answer.coordinators.first() {
            Some(found) => (
                found.error_code,
                found.error_message.clone(),
                found.node_id,
                found.host.clone(),
                found.port,
            ),
            None => (
                answer.error_code,
                answer.error_message,
                answer.node_id,
                answer.host,
                answer.port,
            ),
        };
        check(code, message.as_deref(), what)?;
        let mut metadata = self.inner.metadata.lock();
        let named = u16::try_from(port).ok().map(|port| address_of(&host, port));
        if named != metadata.brokers.get(&id).map(Broker::address) {
            metadata.add_broker(id, &host, port, None);
        }
        Ok(id)
    }

    /// Patience for one operation.
    pub fn retries(&self) -> Retries {
        Retries::new(&self.inner.env, &self.patience)
    }

    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// The same client, its connections shared, with another patience.
    #[must_use]
    pub fn with_patience(&self, patience: Patience) -> Self {
        Self {
            inner: self.inner.clone(),
            patience,
        }
    }
}
