//! RabbitMQ quorum queues over AMQP 0-9-1: a batch is that many publishes, sent together, which the
//! server confirms. A queue tells nobody where a record lies: a record's place is the delivery tag
//! that it is handed out with, so a reader sees that none is left out or comes again, and not more.
//!
//! Written here like the other drivers: what keeps its own socket, tasks and futures of each publish
//! (lapin, amqprs) would be measured with the server.
//!
//! Format: AMQP 0-9-1, with RabbitMQ's `confirm` class and queue types.

pub mod codec;

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

use self::codec::{
    BASIC_ACK, BASIC_CONSUME, BASIC_DELIVER, BASIC_NACK, BASIC_PUBLISH, BASIC_QOS, BASIC_RETURN,
    CHANNEL, CHANNEL_OPEN, CONFIRM_SELECT, CONNECTION, CONNECTION_OPEN, CONNECTION_START,
    CONNECTION_START_OK, CONNECTION_TUNE, CONNECTION_TUNE_OK, CONTENT_BODY, CONTENT_HEADER,
    FRAME_BYTES_MIN, QUEUE_DECLARE, call, content, expect, frame, long, method, received_method,
    short,
};
use crate::driver::{Acknowledged, Driver, Place, Record};
use crate::fields::Reader;
use crate::wire::Wire;

const PROTOCOL_HEADER: &[u8] = b"AMQP\0\0\x09\x01";

/// Bits of `queue.declare`, `basic.publish` and `basic.ack`.
const DURABLE: u8 = 1 << 1;
/// A record that no queue takes comes back instead of being confirmed.
const MANDATORY: u8 = 1;
pub const MULTIPLE: u8 = 1;
/// Records that the server hands out before it waits for acknowledgements, which go out whenever
/// half of them have come.
const PREFETCH: u16 = 1024;
/// How often a queue that seems empty is asked for its length: a leader that did not answer within
/// a quarter of a second counts as an empty queue.
const LENGTH_ATTEMPTS: u32 = 3;

pub struct Amqp {
    topic: String,
    /// The longest frame, its head and end included.
    frame_bytes_max: usize,
    confirmed: Confirmed,
    /// Delivery tags: the last that came, and the last that is acknowledged.
    delivered: u64,
    acknowledged: u64,
    /// A value that came in several frames.
    joined: Vec<u8>,
}

impl Driver for Amqp {
    fn open(wire: &mut Wire) -> Result<Self> {
        wire.queue(PROTOCOL_HEADER);
        expect(wire, CONNECTION_START)?;
        wire.queue(&method(CONNECTION, CONNECTION_START_OK, |fields| {
            long(fields, b"");
            short(fields, "PLAIN");
            long(fields, b"\0guest\0guest");
            short(fields, "en_US");
        }));
        let tune = expect(wire, CONNECTION_TUNE)?;
        let mut tune = Reader(&tune);
        let (_, frame_bytes_max) = (tune.u16()?, tune.u32()?);
        // No heartbeats, since nobody would answer them under load.
        wire.queue(&method(CONNECTION, CONNECTION_TUNE_OK, |fields| {
            fields.extend(CHANNEL.to_be_bytes());
            fields.extend(frame_bytes_max.to_be_bytes());
            fields.extend(0u16.to_be_bytes());
        }));
        call(wire, CONNECTION, CONNECTION_OPEN, |fields| {
            short(fields, "/");
            fields.extend([0, 0]);
        })?;
        call(wire, CHANNEL, CHANNEL_OPEN, |fields| short(fields, ""))?;
        Ok(Self {
            topic: String::new(),
            frame_bytes_max: (frame_bytes_max as usize).max(FRAME_BYTES_MIN),
            confirmed: Confirmed::default(),
            delivered: 0,
            acknowledged: 0,
            joined: Vec::new(),
        })
    }

    fn topic(&mut self, wire: &mut Wire, topic: &str) -> Result<Option<u64>> {
        self.topic = topic.to_owned();
        let mut length = 0;
        for _ in 0..LENGTH_ATTEMPTS {
            length = declare(wire, topic)?;
            if length > 0 {
                break;
            }
        }
        Ok(Some(length))
    }

    fn start_writing(&mut self, wire: &mut Wire) -> Result<()> {
        call(wire, CHANNEL, CONFIRM_SELECT, |fields| fields.push(0)).map(drop)
    }

    fn encode(&self, topic: &str, value: &[u8], records: u32) -> Vec<u8> {
        let mut record = method(CHANNEL, BASIC_PUBLISH, |fields| {
            fields.extend(0u16.to_be_bytes());
            short(fields, "");
            short(fields, topic);
            fields.push(MANDATORY);
        });
        record.extend(content(value, self.frame_bytes_max));
        record.repeat(records as usize)
    }

    fn acknowledged(&mut self, bytes: &[u8]) -> Result<Option<(usize, Acknowledged)>> {
        let Some((taken, id, arguments)) = received_method(bytes)? else {
            return Ok(None);
        };
        match id {
            BASIC_ACK => {
                let mut arguments = Reader(arguments);
                let (tag, bits) = (arguments.u64()?, arguments.u8()?);
                let records = self.confirmed.add(tag, bits & MULTIPLE != 0)?;
                let place = None;
                Ok(Some((taken, Acknowledged { records, place })))
            }
            BASIC_NACK => bail!("a record was refused"),
            BASIC_RETURN => bail!("a record came back: no queue took it"),
            id => bail!("a confirmation was due, not method {id:?}"),
        }
    }

    /// A queue hands out what lies in it and what comes; `from_start` says nothing new.
    fn start_reading(&mut self, wire: &mut Wire, topic: &str, _: bool) -> Result<()> {
        self.start_consuming(wire, topic, PREFETCH)
    }

    fn ask(&mut self, wire: &mut Wire) {
        if self.delivered - self.acknowledged < u64::from(PREFETCH / 2) {
            return;
        }
        wire.queue(&method(CHANNEL, BASIC_ACK, |fields| {
            fields.extend(self.delivered.to_be_bytes());
            fields.push(MULTIPLE);
        }));
        self.acknowledged = self.delivered;
    }

    fn records(&mut self, bytes: &[u8], each: &mut dyn FnMut(Record<'_>)) -> Result<usize> {
        let mut at = 0;
        while let Some((taken, tag, value)) = delivery(&bytes[at..], &mut self.joined)? {
            each((Place::from(tag), value));
            self.delivered = tag;
            at += taken;
        }
        Ok(at)
    }

    fn follows(last: Place, next: Place) -> bool {
        next == last + 1
    }
}

impl Amqp {
    /// Lets the server push up to `prefetch` records before they are acknowledged.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn start_consuming(&mut self, wire: &mut Wire, topic: &str, prefetch: u16) -> Result<()> {
        declare(wire, topic)?;
        call(wire, CHANNEL, BASIC_QOS, |fields| {
            fields.extend(0u32.to_be_bytes());
            fields.extend(prefetch.to_be_bytes());
            fields.push(0);
        })?;
        call(wire, CHANNEL, BASIC_CONSUME, |fields| {
            fields.extend(0u16.to_be_bytes());
            short(fields, topic);
            short(fields, "levada");
            fields.push(0);
            long(fields, b"");
        })
        .map(drop)
    }
}

/// Delivery tags that the server has confirmed, from 1 on.
#[derive(Default)]
struct Confirmed {
    /// All up to this one.
    through: u64,
    /// Those that were confirmed before one that comes before them.
    early: BTreeSet<u64>,
}

impl Confirmed {
    /// How many records are confirmed now with all before them that were not yet.
    ///
    /// # Errors
    /// When the server confirms one again.
    fn add(&mut self, tag: u64, is_multiple: bool) -> Result<u32> {
        ensure!(tag > self.through, "record {tag} is confirmed again");
        let before = self.through;
        if is_multiple {
            self.through = tag;
            self.early = self.early.split_off(&(tag + 1));
        } else {
            ensure!(self.early.insert(tag), "record {tag} is confirmed again");
        }
        while self.early.remove(&(self.through + 1)) {
            self.through += 1;
        }
        Ok(u32::try_from(self.through - before)?)
    }
}

/// Makes the quorum queue unless it is there; how many records wait in it.
fn declare(wire: &mut Wire, topic: &str) -> Result<u64> {
    let answer = call(wire, CHANNEL, QUEUE_DECLARE, |fields| {
        fields.extend(0u16.to_be_bytes());
        short(fields, topic);
        fields.push(DURABLE);
        let mut table = Vec::new();
        short(&mut table, "x-queue-type");
        table.push(b'S');
        long(&mut table, b"quorum");
        long(fields, &table);
    })?;
    let mut answer = Reader(&answer);
    let name_bytes = answer.u8()?;
    answer.take(name_bytes.into())?;
    Ok(answer.u32()?.into())
}

/// The first delivery in `bytes`: how many of them it takes, its tag, its value (in `joined` if it
/// came in several frames); None when it has not come whole.
pub fn delivery<'a>(
    bytes: &'a [u8],
    joined: &'a mut Vec<u8>,
) -> Result<Option<(usize, u64, &'a [u8])>> {
    let Some((mut at, id, arguments)) = received_method(bytes)? else {
        return Ok(None);
    };
    ensure!(id == BASIC_DELIVER, "a record was due, not method {id:?}");
    let mut arguments = Reader(arguments);
    let consumer_bytes = arguments.u8()?;
    arguments.take(consumer_bytes.into())?;
    let (tag, redelivered) = (arguments.u64()?, arguments.u8()?);
    ensure!(redelivered == 0, "record {tag} was delivered before");
    let Some((taken, header)) = frame(&bytes[at..], CONTENT_HEADER)? else {
        return Ok(None);
    };
    at += taken;
    let mut header = Reader(header);
    header.take(4)?;
    let size = usize::try_from(header.u64()?)?;
    joined.clear();
    while joined.len() < size {
        let Some((taken, part)) = frame(&bytes[at..], CONTENT_BODY)? else {
            return Ok(None);
        };
        at += taken;
        if part.len() == size {
            return Ok(Some((at, tag, part)));
        }
        joined.extend_from_slice(part);
    }
    ensure!(joined.len() == size, "record {tag} is longer than it said");
    Ok(Some((at, tag, joined)))
}

#[cfg(test)]
mod tests {
    use super::codec::CHANNEL_CLOSE;
    use super::*;

    fn amqp() -> Amqp {
        Amqp {
            topic: String::new(),
            frame_bytes_max: FRAME_BYTES_MIN,
            confirmed: Confirmed::default(),
            delivered: 0,
            acknowledged: 0,
            joined: Vec::new(),
        }
    }

    fn delivered(tag: u64, value: &[u8]) -> Vec<u8> {
        let mut bytes = method(CHANNEL, BASIC_DELIVER, |fields| {
            short(fields, "levada");
            fields.extend(tag.to_be_bytes());
            fields.push(0);
            short(fields, "");
            short(fields, "topic");
        });
        bytes.extend(content(value, FRAME_BYTES_MIN));
        bytes
    }

    #[test]
    fn a_delivery_comes_once_it_is_whole_in_however_many_frames() -> Result<()> {
        let value: Vec<u8> = (0..10_000u32).map(|at| at as u8).collect();
        for value in [&value[..], &value[..100], &[]] {
            let bytes = delivered(7, value);
            for cut in 0..bytes.len() {
                let nothing = amqp().records(&bytes[..cut], &mut |_| panic!("cut at {cut}"))?;
                assert_eq!(nothing, 0);
            }
            let (mut amqp, mut found) = (amqp(), Vec::new());
            let taken = amqp.records(&bytes, &mut |(place, value)| {
                found.push((place, value.to_vec()));
            })?;
            assert_eq!((taken, amqp.delivered), (bytes.len(), 7));
            assert_eq!(found, [(7, value.to_vec())]);
        }
        Ok(())
    }

    #[test]
    fn a_confirmation_counts_once_all_before_it_are_confirmed() -> Result<()> {
        let mut confirmed = Confirmed::default();
        assert_eq!(confirmed.add(2, false)?, 0);
        assert_eq!(confirmed.add(5, false)?, 0);
        assert_eq!(confirmed.add(1, false)?, 2);
        assert_eq!(confirmed.add(4, true)?, 3);
        assert!(confirmed.add(5, false).is_err());
        assert!(confirmed.add(3, true).is_err());
        Ok(())
    }

    #[test]
    fn what_is_no_confirmation_is_an_error() -> Result<()> {
        let ack = |id, tag: u64| {
            method(CHANNEL, id, |fields| {
                fields.extend(tag.to_be_bytes());
                fields.push(MULTIPLE);
            })
        };
        let found = amqp().acknowledged(&ack(BASIC_ACK, 3))?;
        assert_eq!(found.map(|(_, acknowledged)| acknowledged.records), Some(3));
        assert!(amqp().acknowledged(&ack(BASIC_NACK, 3)).is_err());
        let closed = method(CHANNEL, CHANNEL_CLOSE, |fields| {
            fields.extend(404u16.to_be_bytes());
            short(fields, "NOT_FOUND");
        });
        let error = amqp()
            .acknowledged(&closed)
            .expect_err("the channel is closed");
        assert!(error.to_string().contains("404 NOT_FOUND"), "{error}");
        Ok(())
    }
}
