//! One connection: whole frames out, whole frames in, every answer checked.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use bytes::BytesMut;
use levada_wire_kafka::header::ResponseHeader;
use levada_wire_kafka::messages::{FetchRequest, ProduceRequest};
use levada_wire_kafka::{Message, Reader, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::frames::{FETCH_VERSION, PRODUCE_VERSION};

/// A connection to the service.
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    pub async fn send(&mut self, frames: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(frames).await?)
    }

    /// Sends frames that hold `answers` requests, and takes their acknowledgements.
    pub async fn produce(&mut self, frames: &[u8], answers: u64) -> Result<()> {
        self.send(frames).await?;
        for _ in 0..answers {
            let answer = self.answer::<ProduceRequest>(PRODUCE_VERSION).await?;
            let partitions = answer.responses.iter().flat_map(|t| &t.partition_responses);
            let codes: Vec<i16> = partitions.map(|partition| partition.error_code).collect();
            ensure!(codes == [0], "a produce request was refused: {codes:?}");
        }
        Ok(())
    }

    /// Asks, and takes the answer.
    pub async fn fetch(&mut self, frame: &[u8]) -> Result<()> {
        self.send(frame).await?;
        self.take_fetched().await
    }

    pub async fn take_fetched(&mut self) -> Result<()> {
        let answer = self.answer::<FetchRequest>(FETCH_VERSION).await?;
        let partitions = answer.responses.iter().flat_map(|t| &t.partitions);
        let found = partitions.map(|p| (p.error_code, p.records.is_some()));
        let found: Vec<_> = found.collect();
        ensure!(
            found == [(0, true)],
            "a fetch brought no records: {found:?}"
        );
        Ok(())
    }

    async fn answer<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let size = self.stream.read_u32().await?;
        let mut received = BytesMut::with_capacity(usize::try_from(size)?);
        let mut frame = (&mut self.stream).take(u64::from(size));
        while frame.limit() > 0 {
            let read = frame.read_buf(&mut received).await?;
            ensure!(read > 0, "the connection ended inside an answer");
        }
        let mut reader = Reader::new(received.freeze());
        ResponseHeader::decode(&mut reader, R::KEY, version)?;
        Ok(R::Response::decode(&mut reader, version)?)
    }
}
