//! Redis streams: XADD, and XREAD that waits. A record's place is its id.

use anyhow::{Context, Result, bail, ensure};

use crate::driver::{Acknowledged, Driver, Place, Record};
use crate::wire::{Wire, line, number};

/// Most entries of one XREAD: about a MiB of records of 1 KiB.
const READ_ENTRIES: &str = "1024";

#[derive(Default)]
pub struct Redis {
    topic: String,
    /// The id of the last entry that was read; `$` before the first of what comes next.
    last: String,
    is_asked: bool,
}

impl Driver for Redis {
    fn open(wire: &mut Wire) -> Result<Self> {
        wire.queue(&command(&[b"PING"]));
        let answer =
            wire.answer(|bytes| Ok(line(bytes)?.map(|(taken, line)| (taken, line.to_vec()))))?;
        ensure!(answer == b"+PONG", "the server is no Redis that is ready");
        Ok(Self::default())
    }

    fn topic(&mut self, wire: &mut Wire, topic: &str) -> Result<Option<u64>> {
        wire.queue(&command(&[b"XLEN", topic.as_bytes()]));
        wire.answer(|bytes| {
            let Some((taken, line)) = line(bytes)? else {
                return Ok(None);
            };
            let length = line.strip_prefix(b":").context("no answer to XLEN")?;
            Ok(Some((taken, Some(number(length)?))))
        })
    }

    fn start_writing(&mut self, _: &mut Wire) -> Result<()> {
        Ok(())
    }

    fn encode(&self, topic: &str, value: &[u8], records: u32) -> Vec<u8> {
        command(&[b"XADD", topic.as_bytes(), b"*", b"v", value]).repeat(records as usize)
    }

    fn acknowledged(&mut self, bytes: &[u8]) -> Result<Option<(usize, Acknowledged)>> {
        let mut parser = Parser { bytes, at: 0 };
        let Some(id) = parser.bulk()? else {
            return Ok(None);
        };
        let place = Some(place(id)?);
        Ok(Some((parser.at, Acknowledged { records: 1, place })))
    }

    fn start_reading(&mut self, _: &mut Wire, topic: &str, from_start: bool) -> Result<()> {
        self.topic = topic.to_owned();
        self.last = if from_start { "0" } else { "$" }.to_owned();
        Ok(())
    }

    fn ask(&mut self, wire: &mut Wire) {
        if self.is_asked {
            return;
        }
        self.is_asked = true;
        let (topic, last) = (self.topic.as_bytes(), self.last.as_bytes());
        let count = READ_ENTRIES.as_bytes();
        let words: [&[u8]; 8] = [
            b"XREAD", b"COUNT", count, b"BLOCK", b"30000", b"STREAMS", topic, last,
        ];
        wire.queue(&command(&words));
    }

    /// An answer is taken whole: one stream with its entries, each an id and one field.
    fn records(&mut self, bytes: &[u8], each: &mut dyn FnMut(Record<'_>)) -> Result<usize> {
        let mut parser = Parser { bytes, at: 0 };
        // The answer may have come in part: look before anything is handed out.
        if entries(&mut parser, &mut |_, _| Ok(()))?.is_none() {
            return Ok(0);
        }
        let mut parser = Parser { bytes, at: 0 };
        let last = &mut self.last;
        entries(&mut parser, &mut |id, value| {
            each((place(id)?, value));
            last.clear();
            last.push_str(std::str::from_utf8(id)?);
            Ok(())
        })?;
        self.is_asked = false;
        Ok(parser.at)
    }

    /// Ids are times with a counter: what lies between two is not known from them, so that the
    /// number of records, and each one's value, tell whether one is missing.
    fn follows(last: Place, next: Place) -> bool {
        next > last
    }
}

/// What is done with an entry: its id, its value.
type Each<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// Walks an answer to XREAD of one stream; None when it has not come whole.
fn entries(parser: &mut Parser<'_>, each: &mut Each<'_>) -> Result<Option<()>> {
    macro_rules! whole {
        ($part:expr) => {
            match $part? {
                Some(part) => part,
                None => return Ok(None),
            }
        };
    }
    ensure!(
        whole!(parser.array()) == 1,
        "an answer of one stream was due"
    );
    ensure!(
        whole!(parser.array()) == 2,
        "a stream has a name and entries"
    );
    whole!(parser.bulk());
    for _ in 0..whole!(parser.array()) {
        ensure!(whole!(parser.array()) == 2, "an entry has an id and fields");
        let id = whole!(parser.bulk());
        ensure!(whole!(parser.array()) == 2, "one field was written");
        whole!(parser.bulk());
        let value = whole!(parser.bulk());
        each(id, value)?;
    }
    Ok(Some(()))
}

/// `milliseconds-counter`, in order.
fn place(id: &[u8]) -> Result<Place> {
    let dash = id.iter().position(|byte| *byte == b'-');
    let dash = dash.context("an id has a dash")?;
    let (ms, counter) = (number(&id[..dash])?, number(&id[dash + 1..])?);
    Ok((u128::from(ms) << 64) | u128::from(counter))
}

/// A command as an array of bulk strings.
fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// RESP from the front; each part is None when it has not come whole.
struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn head(&mut self, kind: u8) -> Result<Option<u64>> {
        let Some((taken, line)) = line(&self.bytes[self.at..])? else {
            return Ok(None);
        };
        match line.split_first() {
            Some((first, rest)) if *first == kind => {
                self.at += taken;
                Ok(Some(number(rest)?))
            }
            _ => bail!("Redis says: {}", String::from_utf8_lossy(line)),
        }
    }

    fn array(&mut self) -> Result<Option<u64>> {
        self.head(b'*')
    }

    fn bulk(&mut self) -> Result<Option<&'a [u8]>> {
        let Some(length) = self.head(b'$')? else {
            return Ok(None);
        };
        let end = self.at + usize::try_from(length)?;
        let Some(value) = self.bytes.get(self.at..end) else {
            return Ok(None);
        };
        if self.bytes.len() < end + 2 {
            return Ok(None);
        }
        self.at = end + 2;
        Ok(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"*1\r\n*2\r\n$1\r\nt\r\n*2\r\n\
        *2\r\n$3\r\n7-0\r\n*2\r\n$1\r\nv\r\n$2\r\nab\r\n\
        *2\r\n$3\r\n7-1\r\n*2\r\n$1\r\nv\r\n$2\r\ncd\r\n";

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() -> Result<()> {
        for cut in 0..ANSWER.len() {
            let mut redis = Redis::default();
            let none = redis.records(&ANSWER[..cut], &mut |_| panic!("it is not whole"))?;
            assert_eq!(none, 0);
        }
        let mut redis = Redis::default();
        let mut found = Vec::new();
        let taken = redis.records(ANSWER, &mut |(place, value)| {
            found.push((place, value.to_vec()))
        })?;
        assert_eq!(taken, ANSWER.len());
        assert_eq!(
            found,
            [(7 << 64, b"ab".to_vec()), ((7 << 64) + 1, b"cd".to_vec())]
        );
        assert_eq!(redis.last, "7-1");
        Ok(())
    }

    #[test]
    fn a_refusal_is_an_error_with_the_server_s_words() {
        let refused = Redis::default().acknowledged(b"-OOM command not allowed\r\n");
        let words = refused.expect_err("it was refused").to_string();
        assert!(words.contains("OOM"), "{words}");
    }
}
