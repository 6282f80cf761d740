//! Stands between clients and the broker, so that connections can be cut on both sides at once.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Result;

/// Both ends of what is open now, by number.
#[derive(Default)]
struct Open {
    last: u64,
    pairs: BTreeMap<u64, [TcpStream; 2]>,
}

/// A running proxy; its threads end with the process.
pub struct Proxy {
    pub address: String,
    open: Arc<Mutex<Open>>,
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Accepts on `listener` from now on, for the broker at `upstream`.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn start(listener: TcpListener, upstream: &str) -> Result<Proxy> {
        let proxy = Proxy {
            address: listener.local_addr()?.to_string(),
            open: Arc::default(),
        };
        let (open, upstream) = (Arc::clone(&proxy.open), upstream.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A broker that is down: the client sees its connection closed.
                if let Ok(server) = TcpStream::connect(&upstream) {
                    join(client, server, &open).ok();
                }
            }
        });
        Ok(proxy)
    }

    /// Cuts every connection; gives how many there were.
    pub fn cut(&self) -> usize {
        let open = lock(&self.open);
        for stream in open.pairs.values().flatten() {
            stream.shutdown(Shutdown::Both).ok();
        }
        open.pairs.len()
    }
}

fn join(client: TcpStream, server: TcpStream, open: &Arc<Mutex<Open>>) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ways = [
        (client.try_clone()?, server.try_clone()?),
        (server.try_clone()?, client.try_clone()?),
    ];
    let number = {
        let mut open = lock(open);
        open.last += 1;
        let number = open.last;
        open.pairs.insert(number, [client, server]);
        number
    };
    for (mut from, mut to) in ways {
        let open = Arc::clone(open);
        thread::spawn(move || {
            io::copy(&mut from, &mut to).ok();
            from.shutdown(Shutdown::Both).ok();
            to.shutdown(Shutdown::Both).ok();
            lock(&open).pairs.remove(&number);
        });
    }
    Ok(())
}
