//! One request in the hands of its action.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use levada_engine::queue::QueueInfo;
use levada_engine::{Engine, TopicRef};
use levada_env::Env;
use levada_net::Drain;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::{Caller, PolicyCache};
use crate::errors::{Result, SqsError, no_resource};
use crate::limits::DELETED_NAMES_MAX;
use crate::metrics::SqsMetrics;
use crate::names;
use crate::protocol::Fields;
use crate::queue_attributes::View;
use crate::settings::SqsSettings;
use crate::unsent::Unsent;

/// What all connections of the listener share.
pub struct Shared {
    pub env: Env,
    pub engine: Engine,
    pub settings: SqsSettings,
    pub metrics: Arc<SqsMetrics>,
    pub drain: Drain,
    /// Bytes of request bodies.
    pub requests: Arc<Semaphore>,
    /// Bytes of large bodies that are still arriving: who sends slowly holds back others who send
    /// much, and nobody else.
    pub arriving: Semaphore,
    pub responses: Arc<Unsent>,
    /// Held over reading and changing a queue's settings: two changes of its documents at a time
    /// would lose one.
    pub changing: tokio::sync::Mutex<()>,
    pub deleted: DeletedNames,
    pub policies: PolicyCache,
}

/// Names of queues that were deleted lately, where the setting asks for it. Lost by a restart.
#[derive(Default)]
pub struct DeletedNames {
    names: Mutex<VecDeque<(Duration, String)>>,
}

impl DeletedNames {
    pub fn add(&self, shared: &Shared, name: &str) {
        let wait = shared.settings.deleted_name_wait;
        if wait.is_zero() {
            return;
        }
        let mut names = self.names.lock();
        if names.len() >= DELETED_NAMES_MAX {
            names.pop_front();
        }
        names.push_back((shared.env.monotonic() + wait, name.to_owned()));
    }

    pub fn holds(&self, env: &Env, name: &str) -> bool {
        let now = env.monotonic();
        let mut names = self.names.lock();
        while names.front().is_some_and(|(until, _)| *until <= now) {
            names.pop_front();
        }
        names.iter().any(|(_, held)| held == name)
    }
}

/// One request: who asks, by which address, and what it takes to answer.
pub struct Call {
    pub(crate) shared: Arc<Shared>,
    /// As the client knows us: what queue URLs begin with.
    pub(crate) host: String,
    /// The queue that the request's path names.
    pub(crate) path_queue: Option<String>,
    /// Who asks, where keys are configured.
    pub(crate) caller: Caller,
}

impl Call {
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub fn env(&self) -> &Env {
        &self.shared.env
    }

    pub fn region(&self) -> &str {
        &self.shared.settings.region
    }

    /// The key id that signed.
    pub fn sender(&self) -> Option<&str> {
        let who = self.caller.who.as_deref();
        who.map(|who| who.key_id.as_str())
    }

    /// Cancelled when the service drains: whoever waits for long has to answer now.
    pub fn stopping(&self) -> &CancellationToken {
        self.shared.drain.stopping()
    }

    /// The address of a queue for this client.
    pub fn url(&self, name: &str) -> String {
        names::url(&self.host, name)
    }

    pub fn arn(&self, name: &str) -> String {
        names::arn(self.region(), name)
    }

    /// The name of the queue that a request is about: QueueUrl, else the path that it came to.
    ///
    /// # Errors
    /// QueueDoesNotExist, also where none is named; InvalidAddress.
    pub fn queue_name(&self, fields: Fields<'_>) -> Result<String> {
        match fields.text("QueueUrl")?.filter(|url| !url.is_empty()) {
            Some(url) => Ok(names::in_url(&url)?.to_owned()),
            None => self.path_queue.clone().ok_or_else(SqsError::no_queue),
        }
    }

    /// The attributes of the queue of this name. Unlike [`Call::queue`] it counts no messages, which
    /// would cost each send and receive what is in flight.
    ///
    /// # Errors
    /// QueueDoesNotExist.
    pub fn view(&self, name: &str) -> Result<View> {
        let topic = self.engine().topic(&TopicRef::Name(name.to_owned()));
        let view = topic.map(|topic| View::of_settings(&topic.configs));
        view.filter(View::is_queue).ok_or_else(SqsError::no_queue)
    }

    /// The name of the queue that an ARN names.
    ///
    /// # Errors
    /// ResourceNotFoundException.
    pub fn named<'a>(&self, arn: &'a str) -> Result<&'a str> {
        let name = names::in_arn(self.region(), arn).ok_or_else(no_resource)?;
        self.view(name).map(|_| name).map_err(|_| no_resource())
    }

    /// The queue of this name, with what it holds.
    ///
    /// # Errors
    /// QueueDoesNotExist.
    pub fn queue(&self, name: &str) -> Result<QueueInfo> {
        Ok(self.engine().queue(name)?)
    }
}
