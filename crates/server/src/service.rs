//! A running service: its start, its stop.

use std::time::Duration;

use levada_env::Env;
use levada_http::{Health, Phase};

use crate::config::Settings;
use crate::listeners::{Addresses, Bound, Listeners, check};
use crate::storage::Storage;
use crate::{StartError, banner, limits, metrics, ready};

/// What a stop may take after the listeners have drained: together with the longest drain this
/// stays under the ten seconds that orchestrators commonly give.
const CLOSE_MAX: Duration = Duration::from_millis(1_400);

/// A service that accepts. Stop it with [`Service::stop`]; dropped, it stops as if it had crashed.
pub struct Service {
    env: Env,
    settings: Settings,
    storage: Storage,
    listeners: Listeners,
    health: Health,
    addresses: Addresses,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that did not finish in time and were cut off.
    pub connections_cut: usize,
}

impl Service {
    /// Starts everything that `settings` asks for. On return every listener accepts.
    ///
    /// # Errors
    /// [`StartError`], which says what to do.
    pub async fn start(env: Env, settings: Settings) -> Result<Self, StartError> {
        limits::raise_open_files();
        let access_keys = check(&env, &settings).await?;
        let storage = Storage::open(&env, &settings).await?;
        let mut bound = match Bound::bind(&env, &settings, access_keys).await {
            Ok(bound) => bound,
            Err(error) => {
                close(&env, &storage).await;
                return Err(error);
            }
        };
        let addresses = bound.addresses();
        let kafka = bound.start_kafka(&env, &settings, &storage.engine);
        let sqs = bound.start_sqs(&env, &settings, &storage.engine);
        let fronts = (kafka.as_ref(), sqs.as_ref());
        let registry = metrics::registry(&env, &storage.wal, &storage.engine, fronts);
        let health = Health::new();
        health.set(Phase::Ready);
        let http = bound.start_http(&env, &health, registry);
        Ok(Self {
            env,
            settings,
            storage,
            listeners: Listeners { kafka, sqs, http },
            health,
            addresses,
        })
    }

    /// Puts `ready.json` into the data folder: scripts and tests wait for it. The banner comes
    /// before, so that who waited finds it printed.
    ///
    /// # Errors
    /// [`StartError::Folder`] when the file cannot be written.
    pub async fn announce(&self) -> Result<(), StartError> {
        let (env, dir, addresses) = (self.env.clone(), self.storage.dir.clone(), self.addresses);
        self.env
            .blocking(move || ready::write(&env, &dir, &addresses))
            .await
    }

    /// Where the listeners accept.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Listeners with a line to paste each, data folder, durability, how to stop.
    #[must_use]
    pub fn banner(&self) -> String {
        let id = &self.storage.identity.cluster_id;
        banner::banner(&self.settings, &self.addresses, id)
    }

    /// Resolves with the reason if the log fails for good. The process must end then, without
    /// [`Service::stop`]: nothing can be promised any more, and a restart recovers.
    pub async fn failed(&self) -> String {
        tokio::select! {
            biased;
            error = self.storage.wal.failed() => error.to_string(),
            why = self.storage.sequencer.failed() => why,
        }
    }

    /// Stops accepting, finishes what is in flight, closes groups cleanly, syncs and seals the log.
    ///
    /// # Errors
    /// Why the log could not be closed in order; a restart recovers.
    pub async fn stop(self) -> Result<Stopped, String> {
        self.health.set(Phase::Draining);
        let (env, dir) = (self.env.clone(), self.storage.dir.clone());
        let removed = self.env.blocking(move || ready::remove(&env, &dir)).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "ready.json is still there");
        }
        // Long polls answer and group members get a clean close, so that the drain is short.
        self.storage.engine.wake_waiting();
        let deadline = Duration::from_millis(self.settings.server.drain_timeout_ms);
        let connections_cut = self.listeners.drain_clients(deadline).await;
        let closed = close(&self.env, &self.storage).await;
        self.listeners.drain_http(&self.env).await;
        match closed {
            Some(result) => result.map(|()| Stopped { connections_cut }),
            None => Err(format!(
                "the log was not closed within {} ms; the next start recovers",
                CLOSE_MAX.as_millis()
            )),
        }
    }
}

/// Stops the engine and seals the log; `None` when that took too long.
async fn close(env: &Env, storage: &Storage) -> Option<Result<(), String>> {
    let work = async {
        storage.engine.shutdown().await;
        storage.wal.seal().await.map_err(|error| error.to_string())
    };
    env.timeout(CLOSE_MAX, work).await.ok()
}
