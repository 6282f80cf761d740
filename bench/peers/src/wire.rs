//! A non-blocking connection that a thread drives by hand: no task, no channel, few system calls,
//! since it shares its machine with the server that it measures.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Without any progress for so long, a run has failed.
pub const STALL_MAX: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 256 * 1024;
/// A line of a protocol's handshake is not longer.
const LINE_BYTES_MAX: usize = 64 * 1024;

pub struct Wire {
    stream: TcpStream,
    unsent: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    /// Bytes of `received` that came from the socket.
    filled: usize,
    consumed: usize,
}

impl Wire {
    /// Connects, and lets this thread's waits end within a microsecond of their time.
    ///
    /// # Errors
    /// When nobody accepts.
    pub fn open(address: &str) -> Result<Self> {
        // Without it waits are up to 50 µs longer: less precise, not wrong.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            unsent: Vec::new(),
            sent: 0,
            received: vec![0; READ_BYTES],
            filled: 0,
            consumed: 0,
        })
    }

    /// Connects again, to a server that keeps no connection.
    ///
    /// # Errors
    /// When nobody accepts.
    pub fn reopen(&mut self) -> Result<()> {
        *self = Self::open(&self.stream.peer_addr()?.to_string())?;
        Ok(())
    }

    /// Adds to what is to be written.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    /// When the server has gone.
    pub fn write(&mut self) -> Result<()> {
        while self.sent < self.unsent.len() {
            match self.stream.write(&self.unsent[self.sent..]) {
                Ok(0) => bail!("the server takes no more bytes"),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads what the socket has, once; whether there was something.
    ///
    /// # Errors
    /// When the server has gone.
    pub fn read(&mut self) -> Result<bool> {
        if self.consumed == self.filled {
            (self.consumed, self.filled) = (0, 0);
        } else if self.filled == self.received.len() {
            self.received.copy_within(self.consumed..self.filled, 0);
            self.filled -= self.consumed;
            self.consumed = 0;
            // One answer is larger than all the room.
            if self.filled > self.received.len() / 2 {
                self.received.resize(self.received.len() * 2, 0);
            }
        }
        match self.stream.read(&mut self.received[self.filled..]) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(read) => {
                self.filled += read;
                Ok(true)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What came and is not consumed.
    pub fn received(&self) -> &[u8] {
        &self.received[self.consumed..self.filled]
    }

    pub fn consume(&mut self, bytes: usize) {
        self.consumed += bytes;
    }

    /// What this connection waits for: bytes, and room if something is to be written.
    pub fn poll(&self) -> PollFd<'_> {
        let mut flags = PollFlags::IN;
        if !self.unsent.is_empty() {
            flags |= PollFlags::OUT;
        }
        PollFd::new(&self.stream, flags)
    }

    /// Waits until something can be read (or written, if something waits for that), for at most
    /// `wait`.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&self, wait: Duration) -> Result<()> {
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        match poll(&mut [self.poll()], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(std::io::Error::from(error).into()),
        }
    }

    /// Writes what is queued and waits for an answer that `parse` finds: its bytes, and its value.
    /// For handshakes, not for what is measured.
    ///
    /// # Errors
    /// When none comes, or `parse` fails.
    pub fn answer<T>(&mut self, parse: impl Fn(&[u8]) -> Result<Option<(usize, T)>>) -> Result<T> {
        let started = Instant::now();
        loop {
            self.write()?;
            if let Some((bytes, value)) = parse(self.received())? {
                self.consume(bytes);
                return Ok(value);
            }
            if !self.read()? {
                if started.elapsed() > STALL_MAX {
                    bail!("no answer for {} s", STALL_MAX.as_secs());
                }
                self.wait(Duration::from_millis(50))?;
            }
        }
    }
}

/// The line at the start of `bytes` without its end, and its bytes with it; None when it has not
/// come whole.
///
/// # Errors
/// When it is too long to be one.
pub fn line(bytes: &[u8]) -> Result<Option<(usize, &[u8])>> {
    match bytes.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => Ok(Some((end + 2, &bytes[..end]))),
        None if bytes.len() > LINE_BYTES_MAX => bail!("a line of more than {LINE_BYTES_MAX} bytes"),
        None => Ok(None),
    }
}

/// A decimal number.
///
/// # Errors
/// When it is none.
pub fn number(bytes: &[u8]) -> Result<u64> {
    let text = std::str::from_utf8(bytes)?;
    text.parse()
        .with_context(|| format!("`{text}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_with_its_end_or_not_at_all() -> Result<()> {
        assert_eq!(line(b"+OK\r\nmore")?, Some((5, &b"+OK"[..])));
        assert_eq!(line(b"+OK\r")?, None);
        assert!(line(&[b'x'; LINE_BYTES_MAX + 1]).is_err());
        assert!(number(b"12x").is_err());
        Ok(())
    }
}
