//! Turmoil's TCP behind the network port, and cutting connections that are open.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use levada_env::net::{Later, Network, SimulatedListener, SimulatedStream};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// The network of one run: all its hosts share it.
#[derive(Clone, Default)]
pub struct SimulatedNetwork {
    open: Arc<Mutex<Vec<Weak<Mutex<Line>>>>>,
}

/// Whether a connection was cut, and who waits on it.
#[derive(Default)]
struct Line {
    cut: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl SimulatedNetwork {
    /// Cuts each open end with `choose` saying yes: both directions fail there at once. Gives how
    /// many were cut.
    pub fn cut(&self, mut choose: impl FnMut() -> bool) -> u64 {
        let mut open = self.open.lock();
        open.retain(|line| line.strong_count() > 0);
        let mut count = 0;
        for line in open.iter().filter_map(Weak::upgrade) {
            if choose() {
                let mut line = line.lock();
                line.cut = true;
                let waiting = [line.reader.take(), line.writer.take()];
                waiting.into_iter().flatten().for_each(Waker::wake);
                count += 1;
            }
        }
        count
    }

    fn wrap(&self, stream: TcpStream) -> Box<dyn SimulatedStream> {
        let line = Arc::new(Mutex::new(Line::default()));
        self.open.lock().push(Arc::downgrade(&line));
        Box::new(Connection { stream, line })
    }
}

impl Network for SimulatedNetwork {
    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "not host:port");
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let ip = match host.parse() {
            Ok(ip) => ip,
            Err(_) => turmoil::lookup(host),
        };
        Ok(vec![SocketAddr::new(ip, port)])
    }

    fn listen(&self, address: SocketAddr) -> Later<'_, io::Result<Box<dyn SimulatedListener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            let network = self.clone();
            Ok(Box::new(Accepting { listener, network }) as Box<dyn SimulatedListener>)
        })
    }

    fn connect(&self, address: String) -> Later<'_, io::Result<Box<dyn SimulatedStream>>> {
        Box::pin(async move {
            let addresses = self.resolve(&address)?;
            let address = addresses.first().copied();
            let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
            Ok(self.wrap(TcpStream::connect(address).await?))
        })
    }
}

struct Accepting {
    listener: TcpListener,
    network: SimulatedNetwork,
}

impl SimulatedListener for Accepting {
    fn accept(&self) -> Later<'_, io::Result<Box<dyn SimulatedStream>>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            Ok(self.network.wrap(stream))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct Connection {
    stream: TcpStream,
    line: Arc<Mutex<Line>>,
}

impl Connection {
    fn check(&self) -> io::Result<()> {
        match self.line.lock().cut {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

impl SimulatedStream for Connection {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        self.line.lock().reader = Some(cx.waker().clone());
        let mut byte = [0];
        let peeked = self.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte));
        peeked.map_ok(|_| ())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        self.line.lock().reader = Some(cx.waker().clone());
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        self.line.lock().writer = Some(cx.waker().clone());
        // It keeps no state between polls, so that a fresh future may go on each time.
        pin!(self.stream.writable()).poll(cx)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.stream.try_write(bytes)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}
