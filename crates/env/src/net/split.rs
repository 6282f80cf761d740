//! The halves of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::simulated::Shared;

/// The reading half of a [`Stream`](super::Stream).
#[derive(Debug)]
pub struct ReadHalf(pub(super) Reading);

#[derive(Debug)]
pub(super) enum Reading {
    Tcp(OwnedReadHalf),
    Simulated(Shared),
}

/// The writing half of a [`Stream`](super::Stream); dropping it ends that direction.
#[derive(Debug)]
pub struct WriteHalf(pub(super) Writing);

#[derive(Debug)]
pub(super) enum Writing {
    Tcp(OwnedWriteHalf),
    Simulated(SimulatedWriteHalf),
}

/// Ends its direction when it is dropped.
#[derive(Debug)]
pub(super) struct SimulatedWriteHalf(pub(super) Shared);

impl Drop for SimulatedWriteHalf {
    fn drop(&mut self) {
        // A connection that is gone cannot be ended, and need not be.
        let _ = self
            .0
            .poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Reading::Tcp(half) => Pin::new(half).poll_read(cx, buf),
            Reading::Simulated(stream) => stream.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Writing::Tcp(half) => Pin::new(half).poll_write(cx, bytes),
            Writing::Simulated(half) => half.0.poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Writing::Tcp(half) => Pin::new(half).poll_write_vectored(cx, slices),
            Writing::Simulated(half) => half.0.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Writing::Tcp(half) => Pin::new(half).poll_flush(cx),
            Writing::Simulated(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Writing::Tcp(half) => Pin::new(half).poll_shutdown(cx),
            Writing::Simulated(half) => half.0.poll_shutdown(cx),
        }
    }
}
