//! A quorum queue over AMQP 0-9-1: a batch is that many publishes, each confirmed; the server pushes
//! up to a batch, which is acknowledged at once. The protocol confirms no acknowledgement.

use std::ops::Range;

use anyhow::{Result, bail};

use super::Args;
use super::bodies::{DIGITS, stamp, template};
use super::client::{Client, Each, Said};
use crate::amqp::codec::{
    BASIC_ACK, BASIC_DELIVER, BASIC_NACK, BASIC_RETURN, CHANNEL, method, received_method,
};
use crate::amqp::{Amqp, MULTIPLE, delivery};
use crate::driver::Driver as _;
use crate::wire::Wire;

pub struct QuorumQueue {
    amqp: Amqp,
    /// One publish, and where its digits stand.
    publish: Vec<u8>,
    digits_at: usize,
    batch: u32,
    held: u32,
    delivered: u64,
    joined: Vec<u8>,
}

impl Client for QuorumQueue {
    fn open(wire: &mut Wire, args: &Args) -> Result<Self> {
        let mut amqp = Amqp::open(wire)?;
        amqp.topic(wire, &args.queue)?;
        amqp.start_writing(wire)?;
        let takes = !matches!(args.kind, super::Kind::Send);
        if takes {
            amqp.start_consuming(wire, &args.queue, args.batch as u16)?;
        }
        let body = template(args.size);
        let publish = amqp.encode(&args.queue, &body, 1);
        let start = publish.windows(body.len()).position(|part| part == body);
        Ok(Self {
            amqp,
            digits_at: start.unwrap_or(0),
            publish,
            batch: args.batch,
            held: 0,
            delivered: 0,
            joined: Vec::new(),
        })
    }

    fn send(&mut self, wire: &mut Wire, numbers: Range<u64>) {
        for number in numbers {
            stamp(&mut self.publish[self.digits_at..][..DIGITS], number);
            wire.queue(&self.publish);
        }
    }

    fn receive(&mut self, _: &mut Wire) -> bool {
        self.held >= self.batch
    }

    fn acknowledge(&mut self, wire: &mut Wire) -> u32 {
        wire.queue(&method(CHANNEL, BASIC_ACK, |fields| {
            fields.extend(self.delivered.to_be_bytes());
            fields.push(MULTIPLE);
        }));
        self.held = 0;
        0
    }

    fn held(&self) -> u32 {
        self.held
    }

    fn said(&mut self, bytes: &[u8], each: &mut Each<'_>) -> Result<Option<(usize, Said)>> {
        let Some((_, id, _)) = received_method(bytes)? else {
            return Ok(None);
        };
        match id {
            BASIC_ACK => {
                let said = self.amqp.acknowledged(bytes)?;
                Ok(said.map(|(taken, done)| (taken, Said::Sent(done.records))))
            }
            BASIC_DELIVER => {
                let Some((taken, tag, body)) = delivery(bytes, &mut self.joined)? else {
                    return Ok(None);
                };
                each(body);
                self.delivered = tag;
                self.held += 1;
                Ok(Some((
                    taken,
                    match self.held == self.batch {
                        true => Said::Received,
                        false => Said::Other,
                    },
                )))
            }
            BASIC_NACK | BASIC_RETURN => bail!("a message was refused"),
            id => bail!("no answer was due of method {id:?}"),
        }
    }
}
