//! Apache BookKeeper: a ledger for each topic on one bookie, spoken to in its wire protocol's
//! second version, as Apache Pulsar does. A batch is one entry.
//!
//! A bookie does not ask whether a ledger has metadata, so none is made: a ledger's number is its
//! topic's hash. Ledgers without metadata are collected a quarter of an hour after the start, long
//! after a turn has ended.
//!
//! Entry: head of 32 bytes (ledger, entry, last entry confirmed, bytes of data so far), CRC32C over
//! head and data, data: first record's number (8), records (4), then length (4) and value of each.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use crc_fast::{CrcAlgorithm, Digest};

use crate::driver::{Acknowledged, Driver, Place, Record};
use crate::fields::Reader;
use crate::wire::Wire;

/// Version, operation and flags of a packet.
const ADD: u32 = 0x0201_0000;
const READ: u32 = 0x0202_0000;
/// What an answer to either says.
const OK: u32 = 0;
const NO_LEDGER: u32 = 1;
const NO_ENTRY: u32 = 2;
/// Stands for the entry that was added last.
const LAST: u64 = u64::MAX;

/// A ledger's password is what its first entry came with.
const PASSWORD_DIGEST: [u8; 20] = [0; 20];
/// Where the parts of an added entry begin, behind the packet's size.
const HEAD_AT: usize = 4 + 4 + PASSWORD_DIGEST.len();
const ENTRY_AT: usize = HEAD_AT + 8;
const CRC_AT: usize = HEAD_AT + HEAD_BYTES;
const DATA_AT: usize = CRC_AT + 4;
const HEAD_BYTES: usize = 32;

/// Entries that are asked for ahead.
const READS: u32 = 16;

#[derive(Default)]
pub struct BookKeeper {
    ledger: u64,
    /// The number of the entry that comes next, to write or to ask for.
    entry: u64,
    /// Records and bytes of data in the entries before it.
    records: u64,
    bytes: u64,
    /// Records of each entry that is not acknowledged, and the number of the first of these.
    unacknowledged: VecDeque<u32>,
    acknowledged: u64,
    reads_under_way: u32,
}

impl Driver for BookKeeper {
    /// A bookie expects no greeting.
    fn open(_: &mut Wire) -> Result<Self> {
        Ok(Self::default())
    }

    fn topic(&mut self, wire: &mut Wire, topic: &str) -> Result<Option<u64>> {
        self.ledger = ledger(topic);
        wire.queue(&read(self.ledger, LAST));
        let (records, bytes, entry) = wire.answer(|bytes| {
            let Some((taken, answer)) = answer(bytes, READ)? else {
                return Ok(None);
            };
            if matches!(answer.code, NO_LEDGER | NO_ENTRY) {
                return Ok(Some((taken, (0, 0, 0))));
            }
            let entry = entry(&answer)?;
            let records = entry.first + u64::from(entry.records);
            Ok(Some((taken, (records, entry.bytes, entry.number + 1))))
        })?;
        (self.records, self.bytes) = (records, bytes);
        (self.entry, self.acknowledged) = (entry, entry);
        Ok(Some(records))
    }

    fn start_writing(&mut self, _: &mut Wire) -> Result<()> {
        Ok(())
    }

    fn encode(&self, topic: &str, value: &[u8], records: u32) -> Vec<u8> {
        let mut packet = vec![0; DATA_AT];
        packet[4..8].copy_from_slice(&ADD.to_be_bytes());
        packet[8..HEAD_AT].copy_from_slice(&PASSWORD_DIGEST);
        packet[HEAD_AT..ENTRY_AT].copy_from_slice(&ledger(topic).to_be_bytes());
        packet.extend(0u64.to_be_bytes());
        packet.extend(records.to_be_bytes());
        for _ in 0..records {
            packet.extend((value.len() as u32).to_be_bytes());
            packet.extend(value);
        }
        let size = (packet.len() - 4) as u32;
        packet[..4].copy_from_slice(&size.to_be_bytes());
        packet
    }

    fn stamp(&mut self, packet: &mut [u8], records: u32) {
        self.bytes += (packet.len() - DATA_AT) as u64;
        let confirmed = self.acknowledged.wrapping_sub(1);
        for (at, field) in [self.entry, confirmed, self.bytes].into_iter().enumerate() {
            packet[ENTRY_AT + at * 8..][..8].copy_from_slice(&field.to_be_bytes());
        }
        packet[DATA_AT..][..8].copy_from_slice(&self.records.to_be_bytes());
        let crc = crc(&packet[HEAD_AT..CRC_AT], &packet[DATA_AT..]);
        packet[CRC_AT..DATA_AT].copy_from_slice(&crc.to_be_bytes());
        self.entry += 1;
        self.records += u64::from(records);
        self.unacknowledged.push_back(records);
    }

    fn acknowledged(&mut self, bytes: &[u8]) -> Result<Option<(usize, Acknowledged)>> {
        let Some((taken, answer)) = answer(bytes, ADD)? else {
            return Ok(None);
        };
        ensure!(
            answer.code == OK,
            "entry {} was refused: code {}",
            answer.entry,
            answer.code
        );
        let due = self.acknowledged;
        ensure!(
            answer.ledger == self.ledger && answer.entry == due,
            "entry {} is acknowledged where {due} was due",
            answer.entry
        );
        let records = self.unacknowledged.pop_front();
        let records = records.context("an entry is acknowledged that was not sent")?;
        self.acknowledged += 1;
        // It was checked above; of the records in it only the last has one.
        let place = None;
        Ok(Some((taken, Acknowledged { records, place })))
    }

    fn start_reading(&mut self, _: &mut Wire, topic: &str, from_start: bool) -> Result<()> {
        ensure!(
            from_start,
            "a reader learns that an entry is safe with the entry after it, or by asking again"
        );
        self.ledger = ledger(topic);
        self.entry = 0;
        Ok(())
    }

    fn ask(&mut self, wire: &mut Wire) {
        while self.reads_under_way < READS {
            wire.queue(&read(self.ledger, self.entry));
            self.entry += 1;
            self.reads_under_way += 1;
        }
    }

    fn records(&mut self, bytes: &[u8], each: &mut dyn FnMut(Record<'_>)) -> Result<usize> {
        let mut at = 0;
        while let Some((taken, answer)) = answer(&bytes[at..], READ)? {
            at += taken;
            // What lies behind the last entry was asked for too early: it stays under way.
            if matches!(answer.code, NO_LEDGER | NO_ENTRY) {
                continue;
            }
            let due = self.entry - u64::from(self.reads_under_way);
            let entry = entry(&answer)?;
            ensure!(
                answer.entry == due && entry.number == due,
                "entry {} came where {due} was due",
                entry.number
            );
            self.reads_under_way -= 1;
            let mut values = Reader(entry.values);
            for nth in 0..u64::from(entry.records) {
                let length = values.u32()?;
                each((
                    Place::from(entry.first + nth),
                    values.take(length as usize)?,
                ));
            }
        }
        Ok(at)
    }

    fn follows(last: Place, next: Place) -> bool {
        next == last + 1
    }
}

/// FNV-1a of the name, positive as a signed number.
fn ledger(topic: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    topic.bytes().fold(0xcbf2_9ce4_8422_2325, step) >> 1
}

fn crc(head: &[u8], data: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(head);
    digest.update(data);
    digest.finalize() as u32
}

/// The packet that asks for an entry.
fn read(ledger: u64, entry: u64) -> Vec<u8> {
    let mut packet = 20u32.to_be_bytes().to_vec();
    packet.extend(READ.to_be_bytes());
    packet.extend(ledger.to_be_bytes());
    packet.extend(entry.to_be_bytes());
    packet
}

struct Answer<'a> {
    code: u32,
    ledger: u64,
    entry: u64,
    /// What was read.
    body: &'a [u8],
}

/// The answer at the start of `bytes`, and how many of them it takes; None when it has not come
/// whole.
///
/// # Errors
/// When it answers something else.
fn answer(bytes: &[u8], to: u32) -> Result<Option<(usize, Answer<'_>)>> {
    if bytes.len() < 4 {
        return Ok(None);
    }
    let end = 4 + Reader(bytes).u32()? as usize;
    let Some(packet) = bytes.get(4..end) else {
        return Ok(None);
    };
    let mut packet = Reader(packet);
    let operation = packet.u32()?;
    if operation != to {
        bail!("an answer to {to:#010x} was due, not to {operation:#010x}");
    }
    let answer = Answer {
        code: packet.u32()?,
        ledger: packet.u64()?,
        entry: packet.u64()?,
        body: packet.0,
    };
    Ok(Some((end, answer)))
}

struct Entry<'a> {
    number: u64,
    /// Bytes of data up to its end.
    bytes: u64,
    /// The first record's number.
    first: u64,
    records: u32,
    values: &'a [u8],
}

/// The entry that was read.
///
/// # Errors
/// When it could not be, is another ledger's, or its CRC is wrong.
fn entry<'a>(answer: &Answer<'a>) -> Result<Entry<'a>> {
    let (code, number) = (answer.code, answer.entry);
    ensure!(code == OK, "entry {number} cannot be read: code {code}");
    let mut body = Reader(answer.body);
    let head = body.take(HEAD_BYTES)?;
    let found = body.u32()?;
    ensure!(
        found == crc(head, body.0),
        "entry {number}: its CRC is wrong"
    );
    let mut head = Reader(head);
    let (ledger, number, _, bytes) = (head.u64()?, head.u64()?, head.u64()?, head.u64()?);
    ensure!(ledger == answer.ledger, "an entry of ledger {ledger}");
    Ok(Entry {
        number,
        bytes,
        first: body.u64()?,
        records: body.u32()?,
        values: body.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(to: u32, code: u32, entry: u64, body: &[u8]) -> Vec<u8> {
        let mut packet = (24 + body.len() as u32).to_be_bytes().to_vec();
        packet.extend(to.to_be_bytes());
        packet.extend(code.to_be_bytes());
        packet.extend(ledger("topic").to_be_bytes());
        packet.extend(entry.to_be_bytes());
        packet.extend(body);
        packet
    }

    fn driver() -> BookKeeper {
        BookKeeper {
            ledger: ledger("topic"),
            ..BookKeeper::default()
        }
    }

    #[test]
    fn what_was_added_is_read_once_it_is_whole_and_its_crc_is_right() -> Result<()> {
        let mut writer = driver();
        let mut answers = Vec::new();
        for number in 0..2 {
            let mut packet = writer.encode("topic", b"value", 3);
            writer.stamp(&mut packet, 3);
            answers.extend(answered(READ, OK, number, &packet[HEAD_AT..]));
        }
        answers.extend(answered(READ, NO_ENTRY, 2, &[]));
        let reader = || BookKeeper {
            entry: 3,
            reads_under_way: 3,
            ..driver()
        };
        for cut in 0..answers.len() / 2 - 28 {
            let taken = reader().records(&answers[..cut], &mut |_| panic!("cut at {cut}"))?;
            assert_eq!(taken, 0);
        }
        let mut found = Vec::new();
        let taken = reader().records(&answers, &mut |(place, value)| {
            assert_eq!(value, b"value");
            found.push(place);
        })?;
        assert_eq!((taken, found), (answers.len(), (0..6).collect()));
        *answers.get_mut(90).expect("it is longer") ^= 1;
        assert!(reader().records(&answers, &mut |_| ()).is_err());
        Ok(())
    }

    #[test]
    fn an_acknowledgement_counts_its_entry_and_another_is_an_error() -> Result<()> {
        let mut writer = driver();
        for records in [3, 2] {
            let mut packet = writer.encode("topic", b"value", records);
            writer.stamp(&mut packet, records);
        }
        let found = writer.acknowledged(&answered(ADD, OK, 0, &[]))?;
        assert_eq!(found.map(|(_, acknowledged)| acknowledged.records), Some(3));
        assert!(writer.acknowledged(&answered(ADD, OK, 0, &[])).is_err());
        assert!(writer.acknowledged(&answered(ADD, 101, 1, &[])).is_err());
        Ok(())
    }
}
