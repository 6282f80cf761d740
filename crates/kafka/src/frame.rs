//! Requests out of a stream of bytes: a size of four bytes, then so many bytes.
//!
//! An idle connection holds no buffer. Memory is taken as bytes arrive, never because of what a
//! size claims: at most four times what has arrived, or as much as the connection's last frame.
//! When others have to wait for memory, a request that hardly arrives is given up.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use levada_env::Env;
use levada_env::net::Stream;

use crate::budget::{ByteBudget, Held};
use crate::settings::KafkaSettings;

/// The size that stands before each frame.
const SIZE_BYTES: usize = 4;
/// What is read at first from a connection ...
const CHUNK_BYTES_MIN: usize = 4 * 1024;
/// ... and at once from a busy one.
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// How much must arrive in each `frame_timeout`.
const PROGRESS_BYTES: usize = 1024 * 1024;
/// How much more memory than bytes that have arrived a frame may take.
const TRUST_FACTOR: usize = 4;
/// While others wait for the budget, so much of a frame must arrive in so long.
const SHORT_PROGRESS_BYTES: usize = 16 * 1024;
const SHORT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a request that has begun, and so holds memory, may wait for more of it.
const MEMORY_WAIT_MAX: Duration = Duration::from_secs(10);

/// One request, without its size.
#[derive(Debug)]
pub struct Frame {
    pub bytes: Bytes,
    pub held: Held,
}

/// Why a connection's bytes end or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the connection ended inside a request")]
    Cut,
    #[error("a request of {0} bytes: the size must be above 0 and at most {1}")]
    Size(i32, usize),
    #[error("a request did not arrive within {0:?}")]
    Slow(Duration),
    #[error("a request hardly arrives while others wait for the memory that it holds")]
    Stalled,
    #[error(
        "no memory for the rest of a request within {MEMORY_WAIT_MAX:?}: raise memory.request_bytes"
    )]
    NoMemory,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Collects the bytes of one connection.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    held: Held,
    chunk_bytes: usize,
    /// The size of the last whole frame: so large a frame may be expected again.
    last_bytes: usize,
}

impl FrameReader {
    pub fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            held: Held::default(),
            chunk_bytes: CHUNK_BYTES_MIN,
            last_bytes: 0,
        }
    }

    /// Whether no frame has begun.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next frame that has arrived as a whole.
    pub fn split(&mut self, bytes_max: usize) -> Result<Option<Frame>, FrameError> {
        let Some(size) = self.size(bytes_max)? else {
            return Ok(None);
        };
        let whole = SIZE_BYTES + size;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(whole).freeze().slice(SIZE_BYTES..);
        self.last_bytes = whole;
        Ok(Some(Frame {
            bytes,
            held: self.held.split(whole),
        }))
    }

    fn size(&self, bytes_max: usize) -> Result<Option<usize>, FrameError> {
        let Some(size) = self.buffer.first_chunk::<SIZE_BYTES>() else {
            return Ok(None);
        };
        let size = i32::from_be_bytes(*size);
        match usize::try_from(size) {
            Ok(bytes) if bytes > 0 && bytes <= bytes_max => Ok(Some(bytes)),
            _ => Err(FrameError::Size(size, bytes_max)),
        }
    }

    /// Gives the buffer and its bytes of the budget back, between frames.
    pub fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            self.held = Held::default();
        }
    }

    /// Reads what is there, between frames; `false` at the end of the stream.
    pub async fn fill(&mut self, stream: &Stream, budget: &ByteBudget) -> Result<bool, FrameError> {
        let spare = self.chunk_bytes;
        budget.grow(&mut self.held, self.buffer.len() + spare).await;
        self.buffer.reserve(spare);
        match stream.try_read_buf(&mut self.buffer) {
            Ok(0) => Ok(false),
            Ok(read) => {
                if read >= spare {
                    self.chunk_bytes = (self.chunk_bytes * 2).min(CHUNK_BYTES_MAX);
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads on until the frame that has begun is whole. Waiting for the budget does not count as
    /// the client's time.
    pub async fn complete(
        &mut self,
        stream: &Stream,
        budget: &ByteBudget,
        env: &Env,
        settings: &KafkaSettings,
    ) -> Result<(), FrameError> {
        loop {
            let whole = match self.size(settings.frame_bytes_max)? {
                Some(size) => SIZE_BYTES + size,
                None => SIZE_BYTES,
            };
            let have = self.buffer.len();
            if have >= whole && whole > SIZE_BYTES {
                return Ok(());
            }
            // Memory that is there is filled first: whoever sends nothing takes no more of it.
            let mut room = whole.min(self.held.bytes()).min(self.buffer.capacity());
            if room <= have {
                let trusted = (have * TRUST_FACTOR)
                    .max(CHUNK_BYTES_MIN)
                    .max(self.last_bytes);
                room = whole.min(trusted);
                let grown = env.timeout(MEMORY_WAIT_MAX, budget.grow(&mut self.held, room));
                grown.await.map_err(|_| FrameError::NoMemory)?;
                self.buffer.reserve(room - have);
            }
            let goal = room.min(have + PROGRESS_BYTES);
            let limit = settings.frame_timeout;
            let arrived = env.timeout(limit, self.read_in_time(stream, goal, budget));
            arrived.await.map_err(|_| FrameError::Slow(limit))??;
        }
    }

    /// Reads on, in steps each of which has to come soon when the budget is short.
    async fn read_in_time(
        &mut self,
        stream: &Stream,
        goal: usize,
        budget: &ByteBudget,
    ) -> Result<(), FrameError> {
        while self.buffer.len() < goal {
            let step = goal.min(self.buffer.len() + SHORT_PROGRESS_BYTES);
            tokio::select! {
                biased;
                read = self.read_to(stream, step) => read?,
                () = budget.stays_short_for(SHORT_TIMEOUT) => return Err(FrameError::Stalled),
            }
        }
        Ok(())
    }

    async fn read_to(&mut self, stream: &Stream, goal: usize) -> Result<(), FrameError> {
        while self.buffer.len() < goal {
            stream.readable().await?;
            match stream.try_read_buf(&mut self.buffer) {
                Ok(0) => return Err(FrameError::Cut),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
