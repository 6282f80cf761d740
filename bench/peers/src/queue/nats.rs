//! A JetStream work queue: publishes acknowledged one by one, pulls of a batch, and acknowledgements
//! that the server confirms.

use std::ops::Range;

use anyhow::{Result, bail, ensure};

use super::Args;
use super::bodies::{DIGITS, stamp, template};
use super::client::{Client, Each, Said};
use crate::driver::Driver as _;
use crate::nats::{self, Nats};
use crate::wire::Wire;

const CONSUMER: &str = "workers";
/// Subscriptions: what is stored, messages, confirmed acknowledgements.
const STORED: &[u8] = b"5";
const MESSAGES: &[u8] = b"6";
const CONFIRMED: &[u8] = b"7";
/// Ten minutes: what comes twice is wrong.
const ACK_WAIT_NS: u64 = 600_000_000_000;
const PULL_WAIT_NS: u64 = 1_000_000_000;

pub struct WorkQueue {
    inbox: String,
    /// One publish, and where its digits stand.
    publish: Vec<u8>,
    digits_at: usize,
    pull: Vec<u8>,
    batch: u32,
    /// Of the pull under way.
    received: u32,
    replies: Vec<String>,
}

impl Client for WorkQueue {
    fn open(wire: &mut Wire, args: &Args) -> Result<Self> {
        let nats = Nats::open(wire)?;
        let (queue, inbox) = (&args.queue, nats.inbox());
        nats.request(
            wire,
            &format!("$JS.API.STREAM.CREATE.{queue}"),
            &format!(
                "{{\"name\":\"{queue}\",\"subjects\":[\"{queue}\"],\"storage\":\"file\",\
                 \"retention\":\"workqueue\",\"discard\":\"old\",\"num_replicas\":1}}"
            ),
        )?;
        nats.request(
            wire,
            &format!("$JS.API.CONSUMER.DURABLE.CREATE.{queue}.{CONSUMER}"),
            &format!(
                "{{\"stream_name\":\"{queue}\",\"config\":{{\"durable_name\":\"{CONSUMER}\",\
                 \"ack_policy\":\"explicit\",\"ack_wait\":{ACK_WAIT_NS},\"max_ack_pending\":-1,\
                 \"deliver_policy\":\"all\"}}}}"
            ),
        )?;
        for (name, id) in [
            ("stored", STORED),
            ("messages", MESSAGES),
            ("confirmed", CONFIRMED),
        ] {
            let id = String::from_utf8_lossy(id);
            wire.queue(format!("SUB {inbox}.{name} {id}\r\n").as_bytes());
        }
        let body = template(args.size);
        let publish = nats::publish(queue, &format!("{inbox}.stored"), &body);
        let wanted = format!("{{\"batch\":{},\"expires\":{PULL_WAIT_NS}}}", args.batch);
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{queue}.{CONSUMER}");
        Ok(Self {
            digits_at: publish.len() - body.len() - 2,
            publish,
            pull: nats::publish(&next, &format!("{inbox}.messages"), wanted.as_bytes()),
            batch: args.batch,
            received: 0,
            replies: Vec::new(),
            inbox: inbox.to_owned(),
        })
    }

    fn send(&mut self, wire: &mut Wire, numbers: Range<u64>) {
        for number in numbers {
            stamp(&mut self.publish[self.digits_at..][..DIGITS], number);
            wire.queue(&self.publish);
        }
    }

    fn receive(&mut self, wire: &mut Wire) -> bool {
        self.received = 0;
        wire.queue(&self.pull);
        false
    }

    fn acknowledge(&mut self, wire: &mut Wire) -> u32 {
        let count = self.replies.len() as u32;
        for reply in self.replies.drain(..) {
            let confirmed = format!("{}.confirmed", self.inbox);
            wire.queue(&nats::publish(&reply, &confirmed, b"+ACK"));
        }
        count
    }

    fn held(&self) -> u32 {
        self.replies.len() as u32
    }

    fn said(&mut self, bytes: &[u8], each: &mut Each<'_>) -> Result<Option<(usize, Said)>> {
        let Some((taken, said)) = nats::said(bytes)? else {
            return Ok(None);
        };
        let said = match said {
            nats::Said::Message {
                subscription,
                reply,
                payload,
            } => match (subscription, reply) {
                (STORED, _) => {
                    let is_stored = nats::after(payload, b"\"seq\":").is_some();
                    ensure!(is_stored, "refused: {}", String::from_utf8_lossy(payload));
                    Said::Sent(1)
                }
                (MESSAGES, Some(reply)) => {
                    each(payload);
                    self.replies.push(std::str::from_utf8(reply)?.to_owned());
                    self.received += 1;
                    match self.received == self.batch {
                        true => Said::Received,
                        false => Said::Other,
                    }
                }
                (CONFIRMED, _) => Said::Acknowledged(1),
                _ => Said::Other,
            },
            // The pull's time is over.
            nats::Said::Status(status) if status.starts_with(b"NATS/1.0 4") => Said::Received,
            nats::Said::Status(status) => bail!("refused: {}", String::from_utf8_lossy(status)),
            nats::Said::Other => Said::Other,
        };
        Ok(Some((taken, said)))
    }
}
