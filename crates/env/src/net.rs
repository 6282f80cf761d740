//! TCP: the machine's own, or one that a simulation brings ([`Network`]).
//!
//! A [`Stream`] is an enum, not a trait object: on the real network a call costs one branch.

mod simulated;
mod split;

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use simulated::Shared;
pub use simulated::SimulatedStream;
pub use split::{ReadHalf, WriteHalf};
use split::{Reading, Writing};

/// A future in a box, as traits need it.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A network that a simulation brings. Everything about it follows from a seed.
pub trait Network: Send + Sync {
    /// What `address` (`host:port`) stands for.
    ///
    /// # Errors
    /// When the name has no address.
    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>>;

    /// Binds an address of this host.
    fn listen(&self, address: SocketAddr) -> Later<'_, io::Result<Box<dyn SimulatedListener>>>;

    /// Connects to `address` (`host:port`).
    fn connect(&self, address: String) -> Later<'_, io::Result<Box<dyn SimulatedStream>>>;
}

/// A bound address in a simulated network.
pub trait SimulatedListener: Send + Sync {
    /// The next connection. Dropping the future loses none.
    fn accept(&self) -> Later<'_, io::Result<Box<dyn SimulatedStream>>>;

    /// The address with the port that was bound.
    ///
    /// # Errors
    /// The network's.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A socket that accepts.
pub struct Listener(Accepting);

enum Accepting {
    Tcp(TcpListener),
    Simulated(Box<dyn SimulatedListener>),
}

impl Listener {
    /// # Errors
    /// The system's: the address is taken, forbidden, or not ours.
    pub(crate) fn bind(address: SocketAddr, backlog: u32) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restart must not wait for the old connections' TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self(Accepting::Tcp(socket.listen(backlog)?)))
    }

    pub(crate) fn simulated(listener: Box<dyn SimulatedListener>) -> Self {
        Self(Accepting::Simulated(listener))
    }

    /// The next connection and who made it. Dropping the future loses none.
    ///
    /// # Errors
    /// The system's, mostly for want of file descriptors; a later call may succeed.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match &self.0 {
            Accepting::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream(Inner::Tcp(stream)), peer))
            }
            Accepting::Simulated(listener) => {
                let stream = listener.accept().await?;
                let peer = stream.peer_addr()?;
                Ok((Stream::simulated(stream), peer))
            }
        }
    }

    /// The address with the port that was bound.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Accepting::Tcp(listener) => listener.local_addr(),
            Accepting::Simulated(listener) => listener.local_addr(),
        }
    }
}

/// A connection. Its methods are those of tokio's `TcpStream`.
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Tcp(TcpStream),
    Simulated(Shared),
}

impl Stream {
    pub(crate) async fn connect(address: &str) -> io::Result<Self> {
        Ok(Self(Inner::Tcp(TcpStream::connect(address).await?)))
    }

    pub(crate) fn simulated(stream: Box<dyn SimulatedStream>) -> Self {
        Self(Inner::Simulated(Shared::new(stream)))
    }

    /// Resolves when there may be bytes to read, or the end.
    ///
    /// # Errors
    /// The connection's.
    pub async fn readable(&self) -> io::Result<()> {
        match &self.0 {
            Inner::Tcp(stream) => stream.readable().await,
            Inner::Simulated(stream) => stream.readable().await,
        }
    }

    /// Appends what is there to `buffer`, at most its spare capacity; zero is the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, else the connection's.
    pub fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match &self.0 {
            Inner::Tcp(stream) => stream.try_read_buf(buffer),
            Inner::Simulated(stream) => stream.try_read_buf(buffer),
        }
    }

    /// Resolves when bytes may be written.
    ///
    /// # Errors
    /// The connection's.
    pub async fn writable(&self) -> io::Result<()> {
        match &self.0 {
            Inner::Tcp(stream) => stream.writable().await,
            Inner::Simulated(stream) => stream.writable().await,
        }
    }

    /// Writes as much of `slices` as the socket takes.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing now, else the connection's.
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.0 {
            Inner::Tcp(stream) => stream.try_write_vectored(slices),
            Inner::Simulated(stream) => stream.try_write_vectored(slices),
        }
    }

    /// Whether small writes leave at once (TCP_NODELAY).
    ///
    /// # Errors
    /// The system's: the connection is gone already.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        match &self.0 {
            Inner::Tcp(stream) => stream.set_nodelay(on),
            Inner::Simulated(_) => Ok(()),
        }
    }

    /// Whether the system asks a silent peer now and then if it still lives.
    ///
    /// # Errors
    /// The system's: the connection is gone already.
    pub fn set_keepalive(&self, on: bool) -> io::Result<()> {
        match &self.0 {
            Inner::Tcp(stream) => Ok(rustix::net::sockopt::set_socket_keepalive(stream, on)?),
            Inner::Simulated(_) => Ok(()),
        }
    }

    /// Our end.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Inner::Tcp(stream) => stream.local_addr(),
            Inner::Simulated(stream) => stream.local_addr(),
        }
    }

    /// One half for each of two tasks. Dropping the writing half ends that direction.
    #[must_use]
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self.0 {
            Inner::Tcp(stream) => {
                let (read, write) = stream.into_split();
                let (read, write) = (Reading::Tcp(read), Writing::Tcp(write));
                (ReadHalf(read), WriteHalf(write))
            }
            Inner::Simulated(stream) => stream.split(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Inner::Simulated(stream) => stream.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Simulated(stream) => stream.poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Inner::Simulated(stream) => stream.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Simulated(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Simulated(stream) => stream.poll_shutdown(cx),
        }
    }
}
