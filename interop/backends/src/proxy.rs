//! A proxy on loopback that loses connections at the moment that a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What happens to what the client sends from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Passes,
    /// It reaches the server; the connection ends instead of the answer.
    LosesAnswers,
    /// It never reaches the server; the connection ends.
    LosesRequests,
}

/// Clones are the same proxy.
#[derive(Clone)]
pub struct Proxy {
    address: SocketAddr,
    inside: Arc<Inside>,
}

#[derive(Default)]
struct Inside {
    mode: AtomicU8,
    cut: Notify,
    lost: AtomicU64,
}

impl Inside {
    fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::SeqCst) == mode as u8
    }

    /// One connection was lost as told; the next one passes.
    fn fired(&self) {
        self.lost.fetch_add(1, Ordering::SeqCst);
        self.mode.store(Mode::Passes as u8, Ordering::SeqCst);
    }
}

impl Proxy {
    /// In front of `server`, until the runtime ends.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: SocketAddr) -> std::io::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Proxy {
            address: listener.local_addr()?,
            inside: Arc::default(),
        };
        let inside = Arc::clone(&proxy.inside);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let inside = Arc::clone(&inside);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        pass(&inside, client, server).await;
                    }
                });
            }
        });
        Ok(proxy)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next request meets this, once.
    pub fn set(&self, mode: Mode) {
        self.inside.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// Ends every connection now, wherever it is.
    pub fn cut(&self) {
        self.inside.cut.notify_waiters();
    }

    /// Connections that were lost as told by [`Proxy::set`].
    pub fn lost(&self) -> u64 {
        self.inside.lost.load(Ordering::SeqCst)
    }
}

async fn pass(inside: &Inside, client: TcpStream, server: TcpStream) {
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            if inside.is(Mode::LosesRequests) {
                inside.fired();
                return;
            }
            if to_server.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            if inside.is(Mode::LosesAnswers) {
                inside.fired();
                return;
            }
            if to_client.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
        () = inside.cut.notified() => {}
    }
}
