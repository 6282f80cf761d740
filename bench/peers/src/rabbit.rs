//! RabbitMQ streams over their own protocol: a batch is one publish frame, confirmed record by
//! record. A record's place is its offset, which only a reader is told.
//!
//! Format: `PROTOCOL` of RabbitMQ's stream plugin, version 1; chunks as osiris stores them.

use anyhow::{Context, Result, bail, ensure};

use crate::driver::{Acknowledged, Driver, Place, Record};
use crate::fields::Reader;
use crate::wire::Wire;

const VERSION: u16 = 1;
const RESPONSE: u16 = 0x8000;
const OK: u16 = 1;
const ALREADY_EXISTS: u16 = 5;

const DECLARE_PUBLISHER: u16 = 0x0001;
const PUBLISH: u16 = 0x0002;
const PUBLISH_CONFIRM: u16 = 0x0003;
const PUBLISH_ERROR: u16 = 0x0004;
const SUBSCRIBE: u16 = 0x0007;
const DELIVER: u16 = 0x0008;
const CREDIT: u16 = 0x0009;
const CREATE: u16 = 0x000d;
const PEER_PROPERTIES: u16 = 0x0011;
const SASL_HANDSHAKE: u16 = 0x0012;
const SASL_AUTHENTICATE: u16 = 0x0013;
const TUNE: u16 = 0x0014;
const OPEN: u16 = 0x0015;

/// Of one publisher and one subscription on a connection there is no second.
const ONLY: u8 = 1;
const FROM_FIRST: u16 = 1;
const FROM_NEXT: u16 = 3;
/// Chunks that the server may send before it is given credit again.
const CREDIT_CHUNKS: u16 = 16;
/// A chunk from its magic to its data, and where its fields stand.
const CHUNK_HEAD_BYTES: usize = 48;
const CHUNK_RECORDS_AT: usize = 4;
const CHUNK_FIRST_OFFSET_AT: usize = 24;

#[derive(Default)]
pub struct Rabbit {
    topic: String,
    /// Chunks that came since the last credit.
    spent: u16,
}

impl Driver for Rabbit {
    fn open(wire: &mut Wire) -> Result<Self> {
        call(wire, PEER_PROPERTIES, |body| body.u32(0))?;
        call(wire, SASL_HANDSHAKE, |_| {})?;
        call(wire, SASL_AUTHENTICATE, |body| {
            body.text("PLAIN");
            body.bytes(b"\0guest\0guest");
        })?;
        // The server proposes; no heartbeats, since nobody would answer them under load.
        let frame_max = wire.answer(|bytes| {
            let Some((taken, frame)) = frame(bytes)? else {
                return Ok(None);
            };
            ensure!(
                frame.key == TUNE,
                "a proposal was due, not {:#06x}",
                frame.key
            );
            Ok(Some((taken, Reader(frame.body).u32()?)))
        })?;
        let mut tune = Frame::new(TUNE);
        tune.u32(frame_max);
        tune.u32(0);
        wire.queue(&tune.finish());
        call(wire, OPEN, |body| body.text("/"))?;
        Ok(Self::default())
    }

    fn topic(&mut self, wire: &mut Wire, topic: &str) -> Result<Option<u64>> {
        self.topic = topic.to_owned();
        call(wire, CREATE, |body| {
            body.text(topic);
            body.u32(0);
        })?;
        Ok(None)
    }

    fn start_writing(&mut self, wire: &mut Wire) -> Result<()> {
        call(wire, DECLARE_PUBLISHER, |body| {
            body.u8(ONLY);
            body.text("");
            body.text(&self.topic);
        })
    }

    /// All with one publishing id: a publisher without a name may repeat it.
    fn encode(&self, _: &str, value: &[u8], records: u32) -> Vec<u8> {
        let mut publish = Frame::new(PUBLISH);
        publish.u8(ONLY);
        publish.u32(records);
        for _ in 0..records {
            publish.u64(0);
            publish.bytes(value);
        }
        publish.finish()
    }

    fn acknowledged(&mut self, bytes: &[u8]) -> Result<Option<(usize, Acknowledged)>> {
        let Some((taken, frame)) = frame(bytes)? else {
            return Ok(None);
        };
        let mut body = Reader(frame.body);
        let records = match frame.key {
            PUBLISH_CONFIRM => {
                body.u8()?;
                body.u32()?
            }
            PUBLISH_ERROR => bail!("a record was refused: {:?}", frame.body),
            key => bail!("a confirmation was due, not {key:#06x}"),
        };
        let place = None;
        Ok(Some((taken, Acknowledged { records, place })))
    }

    fn start_reading(&mut self, wire: &mut Wire, topic: &str, from_start: bool) -> Result<()> {
        call(wire, SUBSCRIBE, |body| {
            body.u8(ONLY);
            body.text(topic);
            body.u16(if from_start { FROM_FIRST } else { FROM_NEXT });
            body.u16(CREDIT_CHUNKS);
            body.u32(0);
        })
    }

    fn ask(&mut self, wire: &mut Wire) {
        if self.spent < CREDIT_CHUNKS / 2 {
            return;
        }
        let mut credit = Frame::new(CREDIT);
        credit.u8(ONLY);
        credit.u16(std::mem::take(&mut self.spent));
        wire.queue(&credit.finish());
    }

    fn records(&mut self, bytes: &[u8], each: &mut dyn FnMut(Record<'_>)) -> Result<usize> {
        let mut at = 0;
        while let Some((taken, frame)) = frame(&bytes[at..])? {
            at += taken;
            ensure!(
                frame.key == DELIVER,
                "records were due, not {:#06x}",
                frame.key
            );
            self.spent += 1;
            let chunk = &frame.body[1..];
            let head = chunk.get(..CHUNK_HEAD_BYTES).context("a chunk cut short")?;
            let records = Reader(&head[CHUNK_RECORDS_AT..]).u32()?;
            let first = Reader(&head[CHUNK_FIRST_OFFSET_AT..]).u64()?;
            let mut data = Reader(&chunk[CHUNK_HEAD_BYTES..]);
            for nth in 0..u64::from(records) {
                // The highest bit would say that several are compressed together: none were.
                let length = data.u32()?;
                each((Place::from(first + nth), data.take(length as usize)?));
            }
        }
        Ok(at)
    }

    fn follows(last: Place, next: Place) -> bool {
        next == last + 1
    }
}

/// A request and its response, which must say that it was done, or that it was so before.
fn call(wire: &mut Wire, key: u16, fill: impl FnOnce(&mut Frame)) -> Result<()> {
    let mut request = Frame::new(key);
    request.u32(u32::from(key));
    fill(&mut request);
    wire.queue(&request.finish());
    wire.answer(|bytes| {
        let Some((taken, frame)) = frame(bytes)? else {
            return Ok(None);
        };
        let mut body = Reader(frame.body);
        let (correlation_id, code) = (body.u32()?, body.u16()?);
        let is_answer = frame.key == key | RESPONSE && correlation_id == u32::from(key);
        ensure!(
            is_answer,
            "an answer to {key:#06x} was due, not {:#06x}",
            frame.key
        );
        ensure!(
            code == OK || code == ALREADY_EXISTS,
            "request {key:#06x}: code {code}"
        );
        Ok(Some((taken, ())))
    })
}

/// A frame as it is written; its size is filled in at the end.
struct Frame(Vec<u8>);

impl Frame {
    fn new(key: u16) -> Self {
        let mut frame = Self(vec![0; 4]);
        frame.u16(key);
        frame.u16(VERSION);
        frame
    }

    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.0.extend(value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_be_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_be_bytes());
    }

    /// At most 64 KiB less one: our own names.
    fn text(&mut self, text: &str) {
        self.u16(text.len() as u16);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    fn finish(mut self) -> Vec<u8> {
        let size = (self.0.len() - 4) as u32;
        self.0[..4].copy_from_slice(&size.to_be_bytes());
        self.0
    }
}

struct Received<'a> {
    key: u16,
    body: &'a [u8],
}

/// The first frame of `bytes`, and how many of them it takes; None when it has not come whole.
fn frame(bytes: &[u8]) -> Result<Option<(usize, Received<'_>)>> {
    if bytes.len() < 4 {
        return Ok(None);
    }
    let end = 4 + Reader(bytes).u32()? as usize;
    let Some(whole) = bytes.get(4..end) else {
        return Ok(None);
    };
    let key = Reader(whole).u16()?;
    let body = whole.get(4..).context("a frame without a version")?;
    Ok(Some((end, Received { key, body })))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk of two records from offset 7 on.
    fn delivered() -> Vec<u8> {
        let mut deliver = Frame::new(DELIVER);
        deliver.u8(ONLY);
        deliver.u8(0x50);
        deliver.u8(0);
        deliver.u16(2);
        deliver.u32(2);
        deliver.u64(1_700_000_000_000);
        deliver.u64(1);
        deliver.u64(7);
        (0..4).for_each(|_| deliver.u32(0));
        deliver.bytes(b"ab");
        deliver.bytes(b"cde");
        deliver.finish()
    }

    #[test]
    fn a_chunk_s_records_come_with_their_offsets_once_it_is_whole() -> Result<()> {
        let bytes = delivered();
        for cut in 0..bytes.len() {
            let nothing = Rabbit::default().records(&bytes[..cut], &mut |_| panic!("cut"))?;
            assert_eq!(nothing, 0);
        }
        let mut found = Vec::new();
        let mut rabbit = Rabbit::default();
        let taken = rabbit.records(&bytes, &mut |(place, value)| {
            found.push((place, value.to_vec()))
        })?;
        assert_eq!((taken, rabbit.spent), (bytes.len(), 1));
        assert_eq!(found, [(7, b"ab".to_vec()), (8, b"cde".to_vec())]);
        Ok(())
    }

    #[test]
    fn a_confirmation_counts_its_records_and_an_error_is_one() -> Result<()> {
        let mut confirm = Frame::new(PUBLISH_CONFIRM);
        confirm.u8(ONLY);
        confirm.u32(3);
        (0..3).for_each(|_| confirm.u64(0));
        let found = Rabbit::default().acknowledged(&confirm.finish())?;
        assert_eq!(found.map(|(_, acknowledged)| acknowledged.records), Some(3));
        let mut refused = Frame::new(PUBLISH_ERROR);
        refused.u8(ONLY);
        assert!(Rabbit::default().acknowledged(&refused.finish()).is_err());
        Ok(())
    }
}
