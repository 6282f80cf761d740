//! Who is connected.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use levada_env::Env;
use parking_lot::Mutex;

/// One connection as operators see it.
#[derive(Debug)]
pub struct Client {
    /// Unique for the life of the process.
    pub id: u64,
    pub peer: SocketAddr,
    /// Milliseconds since the Unix epoch.
    pub connected_ms: i64,
    pub(crate) client_id: OnceLock<String>,
    pub(crate) software: OnceLock<(String, String)>,
}

impl Client {
    /// The first client id that its requests named.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.get().map(String::as_str)
    }

    /// Name and version of the client's library (KIP-511), if it told.
    pub fn software(&self) -> Option<(&str, &str)> {
        let (name, version) = self.software.get()?;
        Some((name, version))
    }
}

/// All open connections.
#[derive(Debug, Default)]
pub struct Clients {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last_id: u64,
    clients: BTreeMap<u64, Arc<Client>>,
}

impl Clients {
    pub(crate) fn enter(&self, env: &Env, peer: SocketAddr) -> Arc<Client> {
        let mut open = self.open.lock();
        open.last_id += 1;
        let client = Arc::new(Client {
            id: open.last_id,
            peer,
            connected_ms: env.now_ms(),
            client_id: OnceLock::new(),
            software: OnceLock::new(),
        });
        open.clients.insert(client.id, Arc::clone(&client));
        client
    }

    pub(crate) fn leave(&self, id: u64) {
        self.open.lock().clients.remove(&id);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.open.lock().clients.len()
    }

    /// All of them, the oldest first.
    pub fn list(&self) -> Vec<Arc<Client>> {
        self.open.lock().clients.values().cloned().collect()
    }
}
