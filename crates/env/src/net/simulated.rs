//! A connection in a simulated network, behind one lock so that both halves can share it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, BytesMut};
use parking_lot::Mutex;
use tokio::io::ReadBuf;

use super::split::{ReadHalf, Reading, SimulatedWriteHalf, WriteHalf, Writing};

/// Most bytes in one simulated segment.
const SEGMENT_BYTES_MAX: usize = 16 * 1024;

/// A connection that a simulation brings. Dropping it closes it.
pub trait SimulatedStream: Send {
    /// Ready when there are bytes to read, or the end.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Reads what is there; nothing at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;

    /// Ready when bytes may be written.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Writes some of `bytes`.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is taken now, else the connection's.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Ends our direction.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Our end.
    ///
    /// # Errors
    /// The network's.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The other end.
    ///
    /// # Errors
    /// The network's.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}

#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Box<dyn SimulatedStream>>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimulatedStream")
    }
}

impl Shared {
    pub(super) fn new(stream: Box<dyn SimulatedStream>) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    pub(super) fn split(self) -> (ReadHalf, WriteHalf) {
        let write = SimulatedWriteHalf(self.clone());
        (
            ReadHalf(Reading::Simulated(self)),
            WriteHalf(Writing::Simulated(write)),
        )
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.lock().local_addr()
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.0.lock().poll_readable(cx)).await
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.0.lock().poll_writable(cx)).await
    }

    pub(super) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let spare = buffer.capacity() - buffer.len();
        let mut bytes = vec![0; spare.min(SEGMENT_BYTES_MAX)];
        let mut read = ReadBuf::new(&mut bytes);
        let mut cx = Context::from_waker(Waker::noop());
        match self.0.lock().poll_read(&mut cx, &mut read) {
            Poll::Ready(done) => done?,
            Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
        }
        buffer.put_slice(read.filled());
        Ok(read.filled().len())
    }

    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let joined = slices.iter().flat_map(|slice| slice.iter().copied());
        let bytes: Vec<u8> = joined.take(SEGMENT_BYTES_MAX).collect();
        self.0.lock().try_write(&bytes)
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.lock().poll_read(cx, buf)
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    pub(super) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.0.lock().poll_writable(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(self.try_write_vectored(slices))
    }

    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_shutdown(cx)
    }
}
