//! Kafka's signed variable-length integers (zigzag, seven bits a byte, lowest first).

use bytes::BufMut;

/// Most bytes that a 64-bit number takes.
pub const VARLONG_BYTES_MAX: usize = 10;

/// Reads a signed number from the front of `bytes`; gives it and how many bytes it took.
pub fn read_long(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(VARLONG_BYTES_MAX).enumerate() {
        if index == VARLONG_BYTES_MAX - 1 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let signed = (value >> 1) as i64 ^ -((value & 1) as i64);
            return Some((signed, index + 1));
        }
    }
    None
}

/// Writes a signed number.
pub fn write_long(out: &mut impl BufMut, value: i64) {
    let mut rest = zigzag(value);
    while rest > 0x7f {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// How many bytes [`write_long`] takes.
pub fn size(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_comes_back_and_takes_its_size(value: i64, shift in 0u32..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            write_long(&mut bytes, value);
            prop_assert_eq!(bytes.len(), size(value));
            prop_assert_eq!(read_long(&bytes), Some((value, bytes.len())));
            prop_assert_eq!(read_long(&bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn a_number_that_never_ends_is_refused() {
        assert_eq!(read_long(&[0xff; 11]), None);
        assert_eq!(
            read_long(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            None
        );
    }
}
