//! The two tasks of a connection.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use levada_env::net::{ReadHalf, WriteHalf};
use levada_wire_kafka::{FRAME_SIZE_BYTES, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;

use super::Shared;
use crate::error::{ClientError, ClientResult};

/// Frames that are joined in one write.
const FRAMES_PER_WRITE: usize = 32;
const SLICES_PER_WRITE: usize = 64;
/// First size of the read buffer; also the least by which it grows.
const READ_BYTES: usize = 64 * 1024;

/// Writes frames until the connection is dropped or breaks.
pub(super) async fn write(
    shared: Arc<Shared>,
    mut socket: WriteHalf,
    mut queue: UnboundedReceiver<Frame>,
) {
    let mut frames = Vec::with_capacity(FRAMES_PER_WRITE);
    while queue.recv_many(&mut frames, FRAMES_PER_WRITE).await > 0 {
        if let Err(error) = write_all(&mut socket, frames.drain(..).collect()).await {
            shared.end(&shared.disconnected(error));
            return;
        }
    }
}

async fn write_all(socket: &mut WriteHalf, mut frames: VecDeque<Frame>) -> std::io::Result<()> {
    while let Some(first) = frames.front() {
        if !first.has_remaining() {
            frames.pop_front();
            continue;
        }
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        let pieces = frames.iter().flat_map(Frame::pieces);
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        let mut written = socket
            .write_vectored(slices.get(..filled).unwrap_or_default())
            .await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        for frame in &mut frames {
            let part = written.min(frame.remaining());
            frame.advance(part);
            written -= part;
        }
    }
    Ok(())
}

/// Reads answers and hands each to who waits for it, until the connection ends.
pub(super) async fn read(shared: Arc<Shared>, mut socket: ReadHalf, bytes_max: usize) {
    let mut buffer = BytesMut::new();
    let error = loop {
        match read_frame(&mut socket, &mut buffer, bytes_max).await {
            Ok(Some(frame)) => {
                if let Err(error) = deliver(&shared, frame) {
                    break error;
                }
            }
            Ok(None) => break shared.disconnected("the server closed it"),
            Err(FrameError::Io(error)) => break shared.disconnected(error),
            Err(FrameError::Size(size)) => break wrong_size(&shared.address, size, bytes_max),
        }
    };
    shared.end(&error);
}

/// Other protocols begin with what would be a size beyond all limits; the usual ones are known.
fn wrong_size(address: &str, size: i32, bytes_max: usize) -> ClientError {
    let address = address.to_owned();
    let guess = match size.to_be_bytes() {
        [b'H', b'T', b'T', b'P'] => "it answers in HTTP".to_owned(),
        [b'S', b'S', b'H', b'-'] => "it answers as an SSH server".to_owned(),
        [0x15 | 0x16, 3, ..] => "it answers in TLS, which this client does not speak".to_owned(),
        begin if begin.iter().all(u8::is_ascii_graphic) => {
            format!("its answer begins with '{}'", begin.escape_ascii())
        }
        _ => {
            return ClientError::Protocol {
                address,
                reason: format!("an answer of {size} bytes; at most {bytes_max} are accepted"),
            };
        }
    };
    ClientError::NotKafka { address, guess }
}

fn deliver(shared: &Shared, frame: Bytes) -> ClientResult<()> {
    let protocol = |reason: String| ClientError::Protocol {
        address: shared.address.clone(),
        reason,
    };
    let id = frame
        .first_chunk()
        .map(|bytes| i32::from_be_bytes(*bytes))
        .ok_or_else(|| protocol("an answer without a correlation id".into()))?;
    let pending = shared.state.lock().pending.pop_front();
    match pending {
        Some(pending) if pending.correlation_id == id => {
            // Whoever does not wait any more does not want it.
            let _ = pending.answer.send(Ok(frame));
            Ok(())
        }
        Some(pending) => {
            let expected = pending.correlation_id;
            let error = protocol(format!("answer {id} where {expected} was due"));
            let _ = pending.answer.send(Err(error.clone()));
            Err(error)
        }
        None => Err(protocol(format!("answer {id} to no request"))),
    }
}

/// Why no frame can be read.
pub(crate) enum FrameError {
    Io(std::io::Error),
    Size(i32),
}

impl From<std::io::Error> for FrameError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads one frame without its size; `None` at the end of the stream between two frames. Memory
/// grows with what has come, not with what the size promises.
pub(crate) async fn read_frame(
    socket: &mut ReadHalf,
    buffer: &mut BytesMut,
    bytes_max: usize,
) -> Result<Option<Bytes>, FrameError> {
    loop {
        let mut missing = FRAME_SIZE_BYTES.saturating_sub(buffer.len());
        if let Some(head) = buffer.first_chunk() {
            let size = i32::from_be_bytes(*head);
            let length = usize::try_from(size)
                .ok()
                .filter(|&length| length <= bytes_max)
                .ok_or(FrameError::Size(size))?;
            let whole = length + FRAME_SIZE_BYTES;
            if buffer.len() >= whole {
                let mut frame = buffer.split_to(whole).freeze();
                frame.advance(FRAME_SIZE_BYTES);
                return Ok(Some(frame));
            }
            missing = whole - buffer.len();
        }
        let room = missing.clamp(READ_BYTES, buffer.len().max(READ_BYTES) * 2);
        buffer.reserve(room);
        if socket.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(FrameError::Io(std::io::ErrorKind::UnexpectedEof.into()))
            };
        }
    }
}
