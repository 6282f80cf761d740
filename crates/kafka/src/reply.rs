//! Answers go out in the order of their requests, several in one vectored write.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::Poll;
use std::time::Duration;

use bytes::Buf;
use levada_env::net::Stream;
use levada_wire_kafka::{ApiKey, Frame};
use tokio::sync::mpsc;

use crate::budget::Held;
use crate::call::Shared;
use crate::dispatch::{Done, Outcome};

/// Pieces of frames in one write.
const SLICES_MAX: usize = 64;
/// Answers gathered for one write.
const GATHERED_MAX: usize = 64;
/// Answers from this size on are not held back to gather more.
const GATHERED_BYTES_MAX: usize = 256 * 1024;
/// How long a write may make no progress while others wait for the memory that it holds.
const STALL_LIMIT: Duration = Duration::from_secs(1);

/// A request whose answer is not out yet.
pub struct Pending {
    pub outcome: Outcome,
    pub key: ApiKey,
    /// When the request had arrived, on the monotonic clock.
    pub begun: Duration,
    /// The request's bytes of the budget.
    pub _held: Held,
}

/// Why writing ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{0}")]
    Close(&'static str),
    #[error("the client does not read its answers")]
    Stalled,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Answers that are ready to be sent; their bytes are counted until they are, or are dropped.
struct Ready<'a> {
    shared: &'a Shared,
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        self.shared.responses.sent(self.bytes);
    }
}

impl Ready<'_> {
    fn push(&mut self, frame: Frame) {
        self.bytes += frame.remaining();
        self.shared.responses.add(frame.remaining());
        self.frames.push_back(frame);
    }

    fn is_full(&self) -> bool {
        self.frames.len() >= GATHERED_MAX || self.bytes >= GATHERED_BYTES_MAX
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        self.shared.responses.sent(written);
        self.shared.metrics.sent(written);
        while let Some(frame) = self.frames.front_mut() {
            let here = written.min(frame.remaining());
            frame.advance(here);
            written -= here;
            if frame.has_remaining() {
                return;
            }
            self.frames.pop_front();
        }
    }
}

/// Sends the answers of `requests` until there are no more.
///
/// # Errors
/// The connection is to be closed.
pub async fn write_replies(
    shared: &Shared,
    stream: &Stream,
    requests: &mut mpsc::Receiver<Box<Pending>>,
) -> Result<(), WriteError> {
    let mut ready = Ready {
        shared,
        frames: VecDeque::new(),
        bytes: 0,
    };
    let mut next = requests.recv().await;
    while let Some(mut pending) = next.take() {
        take_frame(shared, &mut ready, wait(&mut pending).await, &pending)?;
        drop(pending);
        // What is ready behind it goes along; the first that is not is waited for afterwards.
        while !ready.is_full() {
            let Ok(mut pending) = requests.try_recv() else {
                break;
            };
            match poll_once(&mut pending).await {
                Some(done) => take_frame(shared, &mut ready, done, &pending)?,
                None => {
                    next = Some(pending);
                    break;
                }
            }
        }
        send(shared, stream, &mut ready).await?;
        if next.is_none() {
            next = requests.recv().await;
        }
    }
    Ok(())
}

fn take_frame(
    shared: &Shared,
    ready: &mut Ready<'_>,
    done: Done,
    pending: &Pending,
) -> Result<(), WriteError> {
    let took = shared.env.monotonic().saturating_sub(pending.begun);
    shared.metrics.answered(pending.key, took);
    match done {
        Done::Frame(frame) => ready.push(frame),
        Done::Silence => {}
        Done::Close(why) => return Err(WriteError::Close(why)),
    }
    Ok(())
}

async fn wait(pending: &mut Pending) -> Done {
    match std::mem::replace(&mut pending.outcome, Outcome::Now(Done::Silence)) {
        Outcome::Now(done) => done,
        Outcome::Later(rest) => rest.await,
    }
}

/// The answer if it is there already.
async fn poll_once(pending: &mut Pending) -> Option<Done> {
    match &mut pending.outcome {
        Outcome::Now(done) => Some(std::mem::replace(done, Done::Silence)),
        Outcome::Later(rest) => {
            poll_fn(|cx| match rest.as_mut().poll(cx) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending => Poll::Ready(None),
            })
            .await
        }
    }
}

async fn send(shared: &Shared, stream: &Stream, ready: &mut Ready<'_>) -> Result<(), WriteError> {
    while ready.bytes > 0 {
        let written = match try_send(stream, &ready.frames) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Box::pin(writable(shared, stream)).await?;
                0
            }
            Err(error) => return Err(error.into()),
        };
        ready.advance(written);
    }
    Ok(())
}

/// One write of as many pieces as there are, up to a limit. Apart from `send`, so that the slices do
/// not lie in every idle connection's future.
fn try_send(stream: &Stream, frames: &VecDeque<Frame>) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let mut filled = 0;
    for frame in frames {
        filled += frame.chunks_vectored(&mut slices[filled..]);
        if filled == SLICES_MAX {
            break;
        }
    }
    stream.try_write_vectored(&slices[..filled])
}

/// Waits until the client reads on. Who does not may keep its answers in memory for as long as a
/// connection may be idle, but not while that holds up the others: when answers over all connections
/// are over their limit, or requests, of which more wait behind these answers, are short of memory.
async fn writable(shared: &Shared, stream: &Stream) -> Result<(), WriteError> {
    let settings = &shared.settings;
    let mut waited = Duration::ZERO;
    while waited < settings.idle_timeout {
        let step = STALL_LIMIT.min(settings.idle_timeout);
        let ready = async {
            tokio::select! {
                biased;
                writable = stream.writable() => Ok(writable?),
                () = shared.requests.stays_short_for(STALL_LIMIT) => {
                    Err(WriteError::Stalled)
                }
            }
        };
        if let Ok(ready) = shared.env.timeout(step, ready).await {
            return ready;
        }
        if shared.responses.bytes() >= settings.response_bytes_max {
            break;
        }
        waited += step;
    }
    Err(WriteError::Stalled)
}
