//! A connection for load: a thread drives it by hand, frames are prepared once and only patched.
//!
//! It shares its machine with the broker that it measures, so it must cost little: no task, no
//! channel, few system calls. And it must wait precisely: tokio's timer counts in milliseconds,
//! `poll` in microseconds.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::{FRAME_SIZE_BYTES, KStr, Message, Reader, Request, Writer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{ClientError, ClientResult};

/// Where the correlation id stands in a request's frame: after size, key and version.
const CORRELATION_ID_AT: usize = 8;
/// Pieces up to this size are copied together, larger ones are sent where they lie.
const COPY_BYTES_MAX: usize = 16 * 1024;
const READ_BYTES: usize = 64 * 1024;
const SLICES_PER_WRITE: usize = 32;

/// A request that is sent many times: only its correlation id changes.
#[derive(Clone, Debug)]
pub struct Template {
    pieces: Vec<Bytes>,
}

impl Template {
    /// Encodes `request` once; its records are not copied.
    pub fn new<R: Request>(request: &R, version: i16, client_id: &str) -> Self {
        let mut writer = Writer::framed();
        RequestHeader {
            api_key: R::KEY.code(),
            api_version: version,
            correlation_id: 0,
            client_id: Some(KStr::from(client_id)),
        }
        .encode(&mut writer);
        request.encode(&mut writer, version);
        Self {
            pieces: writer.finish().pieces().cloned().collect(),
        }
    }

    /// Bytes on the wire.
    pub fn bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

/// What waits to be written.
enum Piece {
    Copied(Vec<u8>),
    Shared(Bytes),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A non-blocking connection; see the module.
pub struct RawConnection {
    address: String,
    stream: TcpStream,
    unsent: VecDeque<Piece>,
    /// Bytes of the first piece that are sent already.
    sent: usize,
    received: Vec<u8>,
    /// Where the next frame begins in what was received.
    consumed: usize,
    response_bytes_max: usize,
}

impl RawConnection {
    /// Connects; blocks the thread.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub fn open(address: &str, timeout: Duration) -> ClientResult<Self> {
        let unreachable = |error: io::Error| ClientError::Unreachable {
            address: address.to_owned(),
            reason: error.to_string(),
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for resolved in address.to_socket_addrs().map_err(unreachable)? {
            match TcpStream::connect_timeout(&resolved, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(unreachable)?;
                    stream.set_nonblocking(true).map_err(unreachable)?;
                    return Ok(Self {
                        address: address.to_owned(),
                        stream,
                        unsent: VecDeque::new(),
                        sent: 0,
                        received: Vec::with_capacity(READ_BYTES),
                        consumed: 0,
                        response_bytes_max: 256 * 1024 * 1024,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }

    fn ended(&self, reason: impl ToString) -> ClientError {
        ClientError::Disconnected {
            address: self.address.clone(),
            reason: reason.to_string(),
        }
    }

    /// Adds a frame to what is to be written.
    pub fn queue(&mut self, template: &Template, correlation_id: i32) {
        for (index, piece) in template.pieces.iter().enumerate() {
            // The first piece holds the header and is never large.
            if index > 0 && piece.len() > COPY_BYTES_MAX {
                self.unsent.push_back(Piece::Shared(piece.clone()));
                continue;
            }
            let room = |last: &&mut Piece| matches!(last, Piece::Copied(bytes) if bytes.len() < COPY_BYTES_MAX);
            let copied = match self.unsent.back_mut().filter(room) {
                Some(Piece::Copied(bytes)) => bytes,
                _ => {
                    self.unsent.push_back(Piece::Copied(Vec::new()));
                    match self.unsent.back_mut() {
                        Some(Piece::Copied(bytes)) => bytes,
                        _ => continue,
                    }
                }
            };
            let start = copied.len();
            copied.extend_from_slice(piece);
            let id = start + CORRELATION_ID_AT..start + CORRELATION_ID_AT + 4;
            if index == 0
                && let Some(field) = copied.get_mut(id)
            {
                field.copy_from_slice(&correlation_id.to_be_bytes());
            }
        }
    }

    /// Whether something waits to be written.
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    /// [`ClientError::Disconnected`].
    pub fn write(&mut self) -> ClientResult<()> {
        while !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
            let mut filled = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.unsent) {
                let skip = if filled == 0 { self.sent } else { 0 };
                *slice = IoSlice::new(piece.bytes().get(skip..).unwrap_or_default());
                filled += 1;
            }
            let slices = slices.get(..filled).unwrap_or_default();
            match self.stream.write_vectored(slices) {
                Ok(0) => return Err(self.ended("it takes no more bytes")),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.ended(error)),
            }
            while let Some(first) = self.unsent.front() {
                let length = first.bytes().len();
                if self.sent < length {
                    break;
                }
                self.sent -= length;
                self.unsent.pop_front();
            }
        }
        Ok(())
    }

    /// Reads what the socket has, once; whether there was something.
    ///
    /// # Errors
    /// [`ClientError::Disconnected`].
    pub fn read(&mut self) -> ClientResult<bool> {
        self.make_room();
        match rustix::io::read(
            &self.stream,
            rustix::buffer::spare_capacity(&mut self.received),
        ) {
            Ok(0) => Err(self.ended("the server closed it")),
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(self.ended(io::Error::from(error))),
        }
    }

    /// Moves what is left to a buffer that holds the whole of the frame that has begun: so large
    /// frames are read to where they stay.
    fn make_room(&mut self) {
        let size = self.next_size().unwrap_or(0).min(self.response_bytes_max);
        let left = self.received.len() - self.consumed;
        let wanted = (size + FRAME_SIZE_BYTES).max(READ_BYTES);
        let fits = self.received.capacity() - self.consumed >= wanted;
        if fits && self.received.len() < self.received.capacity() {
            return;
        }
        let mut larger = Vec::with_capacity(wanted.max(left + READ_BYTES.min(wanted)));
        larger.extend_from_slice(self.received.get(self.consumed..).unwrap_or_default());
        self.received = larger;
        self.consumed = 0;
    }

    fn next_size(&self) -> Option<usize> {
        let head = self.received.get(self.consumed..)?.first_chunk()?;
        usize::try_from(i32::from_be_bytes(*head)).ok()
    }

    /// The next whole frame without its size, if one has come.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] if its size is out of range.
    pub fn next_frame(&mut self) -> ClientResult<Option<Bytes>> {
        let rest = self.received.get(self.consumed..).unwrap_or_default();
        let Some(head) = rest.first_chunk() else {
            return Ok(None);
        };
        let size = i32::from_be_bytes(*head);
        let length = usize::try_from(size)
            .ok()
            .filter(|length| *length <= self.response_bytes_max)
            .ok_or_else(|| ClientError::Protocol {
                address: self.address.clone(),
                reason: format!("an answer of {size} bytes"),
            })?;
        let whole = FRAME_SIZE_BYTES + length;
        let Some(frame) = rest.get(FRAME_SIZE_BYTES..whole) else {
            return Ok(None);
        };
        if self.consumed == 0 && rest.len() == whole && length > COPY_BYTES_MAX {
            let received = std::mem::replace(&mut self.received, Vec::with_capacity(READ_BYTES));
            return Ok(Some(Bytes::from(received).slice(FRAME_SIZE_BYTES..)));
        }
        let frame = Bytes::copy_from_slice(frame);
        self.consumed += whole;
        if self.consumed == self.received.len() {
            self.received.clear();
            self.consumed = 0;
        }
        Ok(Some(frame))
    }

    /// Waits until something can be read (or written, if something waits for that), for at most
    /// `wait`.
    ///
    /// # Errors
    /// [`ClientError::Disconnected`] if the system cannot wait.
    pub fn wait(&self, wait: Duration) -> ClientResult<()> {
        let mut flags = PollFlags::IN;
        if self.has_unsent() {
            flags |= PollFlags::OUT;
        }
        let mut fds = [PollFd::new(&self.stream, flags)];
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(self.ended(io::Error::from(error))),
        }
    }

    /// Reads an answer's frame: its correlation id and its body.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] if it is not the answer to `R` in `version`.
    pub fn decode<R: Request>(
        &self,
        frame: Bytes,
        version: i16,
    ) -> ClientResult<(i32, R::Response)> {
        let mut reader = Reader::new(frame);
        ResponseHeader::decode(&mut reader, R::KEY, version)
            .and_then(|header| {
                let body = R::Response::decode(&mut reader, version)?;
                reader.expect_end()?;
                Ok((header.correlation_id, body))
            })
            .map_err(|error| ClientError::protocol(&self.address, &error))
    }
}

/// Lets this thread's waits end within a microsecond of their time, where the system can.
pub fn wait_precisely() {
    #[cfg(target_os = "linux")]
    {
        // Without it waits are up to 50 µs longer: less precise, not wrong.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}
