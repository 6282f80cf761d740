//! The one file that defines a segment's object in a bucket, version 1, little-endian.
//!
//! `header | block*`. Header, 44 bytes: `magic u32 | version u32 | segment u64 | writer [16] |
//! length u64 | crc32c u32 of all before`. Block: up to 16 KiB of the segment, then a `crc32c u32`
//! over `segment u64 | index u64 | bytes`. So a range is read with one request and checked on its
//! own, and neither a flipped bit nor another object's block passes for what was asked. The version
//! stands in the object's name too, since a reader of a range does not see the header.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest, checksum};
use levada_model::{
    SegmentId,
    codec::{DecodeError, Decoder, Encoder},
};

pub(super) const VERSION: u32 = 1;
const MAGIC: u32 = 0x4C56_4A4F;
const CRC_BYTES: usize = 4;
pub(super) const HEADER_BYTES: usize = 44;
const BLOCK_BYTES: usize = 16 * 1024;
const STORED_BLOCK_BYTES: usize = BLOCK_BYTES + CRC_BYTES;

/// Chosen by chance when a journal is opened: tells its objects from any other's.
pub(super) type Writer = [u8; 16];

/// Who wrote an object, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub segment: SegmentId,
    pub writer: Writer,
    /// Bytes of the segment, checksums not counted.
    pub length: u64,
}

impl Header {
    fn encode(self) -> Bytes {
        let mut out = Encoder::new();
        out.u32(MAGIC);
        out.u32(VERSION);
        out.u64(self.segment.0);
        out.raw(&self.writer);
        out.u64(self.length);
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &out.bytes) as u32;
        out.u32(crc);
        out.bytes.into()
    }

    /// # Errors
    /// When these are not the first bytes of an object of this version.
    pub fn decode(bytes: &[u8]) -> Result<Header, DecodeError> {
        let header = bytes
            .first_chunk::<HEADER_BYTES>()
            .ok_or(DecodeError("an object without its header"))?;
        let (body, crc) = header.split_at(HEADER_BYTES - CRC_BYTES);
        if checksum(CrcAlgorithm::Crc32Iscsi, body) as u32 != Decoder::new(crc).u32()? {
            return Err(DecodeError("the checksum of a header does not match"));
        }
        let mut input = Decoder::new(body);
        if input.u32()? != MAGIC || input.u32()? != VERSION {
            return Err(DecodeError("not a segment of a version that is known"));
        }
        Ok(Header {
            segment: SegmentId(input.u64()?),
            writer: input.bytes16()?,
            length: input.u64()?,
        })
    }
}

/// The whole object, in pieces that share the segment's memory.
pub(super) fn frame(header: Header, pieces: &[Bytes]) -> Vec<Bytes> {
    let mut out = vec![header.encode()];
    let mut block = Block::new(header.segment, 0);
    for piece in pieces {
        let mut rest = piece.clone();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(block.room()));
            block.add(&part);
            out.push(part);
            if block.room() == 0 {
                out.push(block.crc());
                block = Block::new(header.segment, block.index + 1);
            }
        }
    }
    if block.room() < BLOCK_BYTES {
        out.push(block.crc());
    }
    out
}

/// The checksum of a block while it fills.
struct Block {
    index: u64,
    filled: usize,
    digest: Digest,
}

impl Block {
    fn new(segment: SegmentId, index: u64) -> Self {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&segment.0.to_le_bytes());
        digest.update(&index.to_le_bytes());
        Block {
            index,
            filled: 0,
            digest,
        }
    }

    fn room(&self) -> usize {
        BLOCK_BYTES - self.filled
    }

    fn add(&mut self, part: &[u8]) {
        self.digest.update(part);
        self.filled += part.len();
    }

    fn crc(&self) -> Bytes {
        Bytes::copy_from_slice(&(self.digest.finalize() as u32).to_le_bytes())
    }
}

/// The bytes of an object that hold `length` bytes (at least one) of its segment from `position`;
/// the last block may end earlier. `None` when no object can be so long.
pub(super) fn stored_range(position: u64, length: u32) -> Option<Range<u64>> {
    let last = position.checked_add(u64::from(length))?.checked_sub(1)?;
    let start = |block: u64| {
        let before = block.checked_mul(STORED_BLOCK_BYTES as u64)?;
        before.checked_add(HEADER_BYTES as u64)
    };
    let block = BLOCK_BYTES as u64;
    Some(start(position / block)?..start(last / block + 1)?)
}

/// What was asked for out of the blocks that [`stored_range`] named.
///
/// # Errors
/// When a block is damaged, is another's, or is not there.
pub(super) fn extract(
    segment: SegmentId,
    position: u64,
    length: u32,
    mut stored: Bytes,
) -> Result<Bytes, DecodeError> {
    let block = BLOCK_BYTES as u64;
    let mut index = position / block;
    let mut skip = (position % block) as usize;
    let mut wanted = length as usize;
    let mut joined = BytesMut::new();
    while wanted > 0 {
        let mut bytes = stored.split_to(stored.len().min(STORED_BLOCK_BYTES));
        let crc = bytes
            .len()
            .checked_sub(CRC_BYTES)
            .ok_or(DecodeError("a segment ends before the extent does"))?;
        let crc = bytes.split_off(crc);
        let mut check = Block::new(segment, index);
        check.add(&bytes);
        if check.crc() != crc {
            return Err(DecodeError("the checksum of a block does not match"));
        }
        let end = bytes.len().min(skip.saturating_add(wanted));
        if end <= skip {
            return Err(DecodeError("a segment ends before the extent does"));
        }
        let part = bytes.slice(skip..end);
        wanted -= part.len();
        if wanted == 0 && joined.is_empty() {
            return Ok(part);
        }
        joined.reserve(part.len() + wanted);
        joined.extend_from_slice(&part);
        skip = 0;
        index += 1;
    }
    Ok(joined.freeze())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEGMENT: SegmentId = SegmentId(0x0001_0000_0000_0002);

    fn framed(pieces: &[Bytes]) -> Bytes {
        let header = Header {
            segment: SEGMENT,
            writer: [7; 16],
            length: pieces.iter().map(|piece| piece.len() as u64).sum(),
        };
        Bytes::from(frame(header, pieces).concat())
    }

    /// As a bucket serves it: a range that goes past the end is cut there.
    fn read(object: &Bytes, position: u64, length: u32) -> Result<Bytes, DecodeError> {
        let range = stored_range(position, length).ok_or(DecodeError("range"))?;
        let cut = |at: u64| (at.min(object.len() as u64)) as usize;
        let stored = object.slice(cut(range.start)..cut(range.end));
        extract(SEGMENT, position, length, stored)
    }

    fn pieces() -> impl Strategy<Value = Vec<Bytes>> {
        let piece = (0..40_000usize, any::<u8>())
            .prop_map(|(n, seed)| (0..n).map(|i| (i as u8).wrapping_mul(seed)).collect());
        proptest::collection::vec(piece, 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_part_comes_back(pieces in pieces(), a: u32, b: u32) {
            let (object, whole) = (framed(&pieces), pieces.concat());
            let header = Header::decode(&object).unwrap();
            prop_assert_eq!(header.segment, SEGMENT);
            prop_assert_eq!(header.length, whole.len() as u64);
            if !whole.is_empty() {
                let from = a as usize % whole.len();
                let length = 1 + b as usize % (whole.len() - from);
                let part = read(&object, from as u64, length as u32).unwrap();
                prop_assert_eq!(&part[..], &whole[from..from + length]);
            }
            prop_assert!(read(&object, whole.len() as u64, 1).is_err());
        }

        #[test]
        fn a_flipped_bit_is_found_by_whoever_reads_its_block(pieces in pieces(), bit: usize) {
            let object = framed(&pieces);
            let length = pieces.iter().map(Bytes::len).sum::<usize>() as u32;
            let mut damaged = object.to_vec();
            let bit = bit % (damaged.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            let damaged = Bytes::from(damaged);
            if bit / 8 < HEADER_BYTES {
                prop_assert!(Header::decode(&damaged).is_err());
            } else {
                prop_assert!(read(&damaged, 0, length).is_err());
            }
        }

        #[test]
        fn an_object_cut_short_is_found(pieces in pieces(), left: usize) {
            let object = framed(&pieces);
            let length = pieces.iter().map(Bytes::len).sum::<usize>() as u32;
            prop_assume!(length > 0);
            let left = left % object.len();
            prop_assert!(read(&object.slice(..left), 0, length).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>, position: u64, length: u32) {
            let _ = Header::decode(&bytes);
            let _ = stored_range(position, length);
            prop_assert!(length == 0 || extract(SEGMENT, position, length, bytes.into()).is_err());
        }
    }

    #[test]
    fn another_segment_s_block_does_not_pass() {
        let object = framed(&[Bytes::from_static(b"some bytes")]);
        let stored = object.slice(HEADER_BYTES..);
        assert!(extract(SEGMENT, 0, 10, stored.clone()).is_ok());
        assert!(extract(SegmentId(SEGMENT.0 + 1), 0, 10, stored.clone()).is_err());
        assert!(extract(SEGMENT, BLOCK_BYTES as u64, 10, stored).is_err());
    }

    #[test]
    fn the_stored_form_is_frozen() {
        let object = framed(&[Bytes::from_static(b"le"), Bytes::from_static(b"vada")]);
        let hex: String = object.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "4f4a564c01000000020000000000010007070707070707070707070707070707060000000000000015f786646c6576616461739f805a"
        );
    }
}
