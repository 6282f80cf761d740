//! A blocking connection that sends one request after the other, refused ones and garbage too.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use levada_wire_kafka::header::{RequestHeader, ResponseHeader};
use levada_wire_kafka::{Message, Reader, Request, Writer};

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const WAIT: Duration = Duration::from_secs(20);

/// One connection to a broker.
pub struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When nobody accepts there.
    pub fn open(address: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect {address}"))?;
        stream.set_read_timeout(Some(WAIT))?;
        stream.set_write_timeout(Some(WAIT))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            correlation_id: 0,
        })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When the broker closes the connection or answers with something else.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.send(version, request)?;
        self.receive::<R>(version)
    }

    /// Sends a request without waiting for the answer; returns its correlation id.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<i32> {
        self.correlation_id += 1;
        let mut writer = Writer::framed();
        let header = RequestHeader {
            api_key: R::KEY.code(),
            api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("proof".into()),
        };
        header.encode(&mut writer);
        request.encode(&mut writer, version);
        self.stream.write_all(&writer.finish().into_bytes())?;
        Ok(self.correlation_id)
    }

    /// Reads the answer to the request that was sent last.
    ///
    /// # Errors
    /// When the connection is closed, or the frame is not that answer to its last byte.
    pub fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        self.receive_of::<R>(version, self.correlation_id)
    }

    /// Reads the answer to the request with this correlation id, which must come next.
    ///
    /// # Errors
    /// As [`Connection::receive`].
    pub fn receive_of<R: Request>(&mut self, version: i16, id: i32) -> Result<R::Response> {
        let mut reader = Reader::new(self.receive_frame()?);
        let header = ResponseHeader::decode(&mut reader, R::KEY, version)?;
        if header.correlation_id != id {
            bail!("answer {} to request {id}", header.correlation_id);
        }
        let answer = R::Response::decode(&mut reader, version)?;
        reader.expect_end()?;
        Ok(answer)
    }

    /// How long an answer is waited for.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn wait_at_most(&mut self, limit: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(limit))?)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Reads one frame, without its length.
    ///
    /// # Errors
    /// When the connection is closed or silent for 8 s, or the length is absurd.
    pub fn receive_frame(&mut self) -> Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).context("closed")?;
        let length = usize::try_from(i32::from_be_bytes(length))?;
        if length > ANSWER_BYTES_MAX {
            bail!("an answer of {length} bytes");
        }
        let mut frame = vec![0; length];
        self.stream
            .read_exact(&mut frame)
            .context("closed inside an answer")?;
        Ok(frame.into())
    }
}
