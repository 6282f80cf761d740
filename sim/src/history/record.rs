//! A record's identity, and the value that carries it: what is read can be held against what was
//! written byte by byte.

use std::fmt;

/// Names one record that a client wrote. Unique in a run; a retry of the same batch carries the
/// same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordId {
    /// A record that a client of this run wrote.
    Written(u64),
    /// Bytes that no client wrote: their checksum. No call writes one; a read that returns one is
    /// a violation.
    Foreign(u32),
}

impl RecordId {
    /// A value of about `bytes` that carries this identity: its number in text, then a filler that
    /// the number and the length decide.
    pub fn value(self, bytes: usize) -> Vec<u8> {
        let (RecordId::Written(number), head) = (self, format!("{self}:")) else {
            return self.to_string().into_bytes();
        };
        let mut value = head.into_bytes();
        let filler = bytes.saturating_sub(value.len());
        value.extend((0..filler).map(|index| filler_byte(number, index)));
        value
    }

    /// Reads a value back. Every byte is held against what [`RecordId::value`] made; one that
    /// differs makes the whole record foreign.
    pub fn read(value: &[u8]) -> RecordId {
        let written = || {
            let colon = value.iter().position(|byte| *byte == b':')?;
            let number = std::str::from_utf8(value.get(1..colon)?).ok()?;
            let id = RecordId::Written(number.parse().ok()?);
            (id.value(value.len()) == value).then_some(id)
        };
        written().unwrap_or_else(|| RecordId::Foreign(sum(value)))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordId::Written(number) => write!(f, "r{number}"),
            RecordId::Foreign(sum) => write!(f, "?{sum:08x}"),
        }
    }
}

/// Differs between records and along one value, so that a piece of another record is noticed.
fn filler_byte(number: u64, index: usize) -> u8 {
    let mixed = (number.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let turned = mixed.rotate_left((index % 64) as u32);
    (turned as u8) ^ (index as u8)
}

/// FNV-1a: the identity of bytes that nobody wrote, the same in each run.
fn sum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_is_read_back_as_its_record(number: u64, bytes in 0_usize..300) {
            let id = RecordId::Written(number);
            prop_assert_eq!(RecordId::read(&id.value(bytes)), id);
        }

        #[test]
        fn any_changed_byte_makes_a_value_another(number: u64, at: usize, flip in 1_u8..) {
            let id = RecordId::Written(number);
            let mut value = id.value(100);
            let at = at % value.len();
            value[at] ^= flip;
            prop_assert_ne!(RecordId::read(&value), id);
        }

        #[test]
        fn any_bytes_can_be_read(bytes: Vec<u8>) {
            let _ = RecordId::read(&bytes);
        }
    }
}
