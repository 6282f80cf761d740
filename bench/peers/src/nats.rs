//! NATS JetStream: publishes with a reply subject, acknowledged one by one, and a pull consumer
//! that acknowledges nothing. A record's place is its sequence.
//!
//! The server's pings are not answered: it waits for minutes before it minds, no load is as long.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};

use crate::driver::{Acknowledged, Driver, Place, Record};
use crate::wire::{Wire, line, number};

/// Records of one pull; the next one is asked for when so few are under way.
const PULL_RECORDS: u64 = 512;
/// Requests and replies of the API, acknowledgements, records.
const API: &str = "1";
const ACKS: &str = "2";
const RECORDS: &str = "3";
/// Where a record's reply subject tells its sequence, by the number of its parts: without and with
/// a domain.
const SEQUENCE_AT: usize = 5;
const SEQUENCE_AT_WITH_DOMAIN: usize = 7;
const PARTS_WITH_DOMAIN_MIN: usize = 11;

static CONNECTIONS: AtomicU32 = AtomicU32::new(0);

pub struct Nats {
    inbox: String,
    pull: String,
    under_way: u64,
}

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<'a> {
    Message {
        subscription: &'a [u8],
        reply: Option<&'a [u8]>,
        payload: &'a [u8],
    },
    /// A message with headers instead of a payload: how a pull ended.
    Status(&'a [u8]),
    /// Greetings and pings.
    Other,
}

impl Driver for Nats {
    fn open(wire: &mut Wire) -> Result<Self> {
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let inbox = format!("_INBOX.levada.{}.{number}", std::process::id());
        wire.queue(
            b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\
              \"no_responders\":true,\"lang\":\"rust\",\"version\":\"0\"}\r\nPING\r\n",
        );
        wire.queue(format!("SUB {inbox}.api {API}\r\n").as_bytes());
        wire.answer(|bytes| {
            let mut at = 0;
            while let Some((taken, line)) = line(&bytes[at..])? {
                at += taken;
                ensure!(
                    !line.starts_with(b"-ERR"),
                    "{}",
                    String::from_utf8_lossy(line)
                );
                if line == b"PONG" {
                    return Ok(Some((at, ())));
                }
            }
            Ok(None)
        })?;
        Ok(Self {
            inbox,
            pull: String::new(),
            under_way: 0,
        })
    }

    fn topic(&mut self, wire: &mut Wire, topic: &str) -> Result<Option<u64>> {
        let subject = format!("$JS.API.STREAM.CREATE.{topic}");
        let config = format!(
            "{{\"name\":\"{topic}\",\"subjects\":[\"{topic}\"],\"storage\":\"file\",\
             \"retention\":\"limits\",\"discard\":\"old\",\"num_replicas\":1}}"
        );
        let answer = self.request(wire, &subject, &config)?;
        let messages = after(&answer, b"\"messages\":").context("a stream tells its messages")?;
        Ok(Some(number(messages)?))
    }

    fn start_writing(&mut self, wire: &mut Wire) -> Result<()> {
        wire.queue(format!("SUB {}.ack {ACKS}\r\n", self.inbox).as_bytes());
        Ok(())
    }

    fn encode(&self, topic: &str, value: &[u8], records: u32) -> Vec<u8> {
        publish(topic, &format!("{}.ack", self.inbox), value).repeat(records as usize)
    }

    fn acknowledged(&mut self, bytes: &[u8]) -> Result<Option<(usize, Acknowledged)>> {
        let Some((taken, said)) = said(bytes)? else {
            return Ok(None);
        };
        let place = match said {
            Said::Message { payload, .. } => {
                let sequence = after(payload, b"\"seq\":")
                    .with_context(|| format!("refused: {}", String::from_utf8_lossy(payload)))?;
                Some(Place::from(number(sequence)?))
            }
            Said::Status(status) => bail!("refused: {}", String::from_utf8_lossy(status)),
            Said::Other => None,
        };
        let records = u32::from(place.is_some());
        Ok(Some((taken, Acknowledged { records, place })))
    }

    fn start_reading(&mut self, wire: &mut Wire, topic: &str, from_start: bool) -> Result<()> {
        let policy = if from_start { "all" } else { "new" };
        let config = format!(
            "{{\"stream_name\":\"{topic}\",\"config\":{{\"deliver_policy\":\"{policy}\",\
             \"ack_policy\":\"none\",\"replay_policy\":\"instant\",\"mem_storage\":true,\
             \"inactive_threshold\":60000000000}}}}"
        );
        let subject = format!("$JS.API.CONSUMER.CREATE.{topic}");
        let answer = self.request(wire, &subject, &config)?;
        let name = after(&answer, b"\"name\":\"").context("a consumer has a name")?;
        let name = std::str::from_utf8(name)?;
        let records = format!("{}.records", self.inbox);
        wire.queue(format!("SUB {records} {RECORDS}\r\n").as_bytes());
        let wanted = format!("{{\"batch\":{PULL_RECORDS},\"expires\":60000000000}}");
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{topic}.{name}");
        self.pull = String::from_utf8(publish(&next, &records, wanted.as_bytes()))?;
        Ok(())
    }

    fn ask(&mut self, wire: &mut Wire) {
        if self.under_way <= PULL_RECORDS / 2 {
            wire.queue(self.pull.as_bytes());
            self.under_way += PULL_RECORDS;
        }
    }

    fn records(&mut self, bytes: &[u8], each: &mut dyn FnMut(Record<'_>)) -> Result<usize> {
        let mut at = 0;
        while let Some((taken, said)) = said(&bytes[at..])? {
            at += taken;
            match said {
                Said::Message {
                    subscription,
                    reply: Some(reply),
                    payload,
                } if subscription == RECORDS.as_bytes() => {
                    self.under_way = self.under_way.saturating_sub(1);
                    each((sequence(reply)?, payload));
                }
                Said::Status(status) => {
                    bail!("a pull ended: {}", String::from_utf8_lossy(status))
                }
                Said::Message { .. } | Said::Other => {}
            }
        }
        Ok(at)
    }

    fn follows(last: Place, next: Place) -> bool {
        next == last + 1
    }
}

impl Nats {
    /// Where answers to this connection go.
    pub fn inbox(&self) -> &str {
        &self.inbox
    }

    /// One request of the API and its answer.
    pub fn request(&self, wire: &mut Wire, subject: &str, body: &str) -> Result<Vec<u8>> {
        wire.queue(&publish(
            subject,
            &format!("{}.api", self.inbox),
            body.as_bytes(),
        ));
        let answer = wire.answer(|bytes| {
            let mut at = 0;
            while let Some((taken, said)) = said(&bytes[at..])? {
                at += taken;
                match said {
                    Said::Message { payload, .. } => return Ok(Some((at, payload.to_vec()))),
                    Said::Status(status) => {
                        bail!("{subject}: {}", String::from_utf8_lossy(status))
                    }
                    Said::Other => {}
                }
            }
            Ok(None)
        })?;
        let text = String::from_utf8_lossy(&answer);
        ensure!(!text.contains("\"error\":"), "{subject}: {text}");
        Ok(answer)
    }
}

pub fn publish(subject: &str, reply: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("PUB {subject} {reply} {}\r\n", payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// What the server says first in `bytes`, and how many of them it takes; None when it has not come
/// whole.
pub fn said(bytes: &[u8]) -> Result<Option<(usize, Said<'_>)>> {
    let Some((taken, line)) = line(bytes)? else {
        return Ok(None);
    };
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let (reply, headers, length) = match words[..] {
        [b"MSG", _, _, length] => (None, 0, number(length)?),
        [b"MSG", _, _, reply, length] => (Some(reply), 0, number(length)?),
        [b"HMSG", _, _, headers, length] => (None, number(headers)?, number(length)?),
        [b"HMSG", _, _, _, headers, length] => (None, number(headers)?, number(length)?),
        [b"-ERR", ..] => bail!("NATS says: {}", String::from_utf8_lossy(line)),
        _ => return Ok(Some((taken, Said::Other))),
    };
    let end = taken + usize::try_from(length)?;
    let Some(payload) = bytes.get(taken..end) else {
        return Ok(None);
    };
    if bytes.len() < end + 2 {
        return Ok(None);
    }
    let said = match headers {
        0 => Said::Message {
            subscription: words[2],
            reply,
            payload,
        },
        _ => Said::Status(payload),
    };
    Ok(Some((end + 2, said)))
}

/// The sequence that a record's reply subject tells.
fn sequence(reply: &[u8]) -> Result<Place> {
    let parts: Vec<&[u8]> = reply.split(|byte| *byte == b'.').collect();
    let at = match parts.len() {
        PARTS_WITH_DOMAIN_MIN.. => SEQUENCE_AT_WITH_DOMAIN,
        _ => SEQUENCE_AT,
    };
    let part = parts
        .get(at)
        .context("a record's reply subject tells its sequence")?;
    Ok(Place::from(number(part)?))
}

/// What stands behind `name`, up to the next mark of JSON.
pub fn after<'a>(json: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = json.windows(name.len()).position(|part| part == name)?;
    let rest = &json[at + name.len()..];
    let end = rest.iter().position(|byte| b",}\"".contains(byte))?;
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_whole_with_its_sequence() -> Result<()> {
        let bytes = b"PING\r\nMSG t 3 $JS.ACK.t.c.1.42.1.1700000000.0 5\r\na\r\nbc\r\n";
        for cut in 0..=bytes.len() {
            let mut nats = Nats {
                inbox: String::new(),
                pull: String::new(),
                under_way: 1,
            };
            let mut found = Vec::new();
            let taken = nats.records(&bytes[..cut], &mut |(place, value)| {
                found.push((place, value.to_vec()));
            })?;
            match cut == bytes.len() {
                true => assert_eq!((taken, found), (cut, vec![(42, b"a\r\nbc".to_vec())])),
                false => assert!(found.is_empty() && taken <= 6, "{cut}"),
            }
        }
        Ok(())
    }

    #[test]
    fn an_acknowledgement_tells_the_place_and_a_refusal_its_reason() -> Result<()> {
        let mut nats = Nats {
            inbox: String::new(),
            pull: String::new(),
            under_way: 0,
        };
        let good = b"MSG i 2 26\r\n{\"stream\":\"t\", \"seq\":1234}\r\n";
        let found = nats.acknowledged(good)?;
        let place = Some(1234);
        assert_eq!(
            found,
            Some((good.len(), Acknowledged { records: 1, place }))
        );
        let bad = b"MSG i 2 22\r\n{\"error\":{\"code\":503}}\r\n";
        let words = nats.acknowledged(bad).expect_err("refused").to_string();
        assert!(words.contains("503"), "{words}");
        Ok(())
    }
}
